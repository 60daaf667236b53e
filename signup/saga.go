package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/tenant"
)

// job is a sign-up in the hands of this worker.
type job struct {
	signup catalog.Signup
	tenant catalog.Tenant
	names  struct{ GivenName, FamilyName, Name string }
	log    log
	// doubt: a create was sent whose outcome is unknown, by this worker or by one before it.
	doubt bool
}

func newJob(held catalog.Held, req Request, log log) *job {
	j := &job{signup: held.Signup, tenant: held.Tenant, log: log}
	j.names.GivenName, j.names.FamilyName, j.names.Name = req.GivenName, req.FamilyName, req.Name
	return j
}

// load reads what a sign-up that was taken over needs.
func (s *Service) load(ctx context.Context, row catalog.Signup) (*job, error) {
	if row.TenantID == nil {
		return nil, fmt.Errorf("sign-up %s has no tenant", row.ID)
	}
	tenant, err := s.cfg.Catalog.TenantByID(ctx, *row.TenantID)
	if err != nil {
		return nil, err
	}
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	if err != nil {
		return nil, err
	}
	j := &job{signup: row, tenant: tenant, log: readLog(row.Steps)}
	j.names.GivenName, j.names.FamilyName, j.names.Name = user.GivenName, user.FamilyName, user.Name
	return j, nil
}

// run takes a reserved sign-up to its end, as far as the caller waits. probe means that an earlier worker may have made
// the identity.
func (s *Service) run(ctx context.Context, req Request, j *job, probe bool) (Outcome, error) {
	ctx = context.WithoutCancel(ctx) // from here on the work is finished, whether or not anybody waits for it
	login, err := s.ensureIdentity(ctx, req, j, probe)
	if err != nil {
		return Outcome{}, s.identityFailed(ctx, j, err)
	}
	killpoint.Here("signup.identity_made")
	j.log.end("")
	if !mustBuild(j.tenant) {
		result, err := s.finish(ctx, j, login, catalog.Health{Version: j.tenant.SchemaVersion})
		if err != nil {
			return Outcome{}, err
		}
		s.wakeKeeper()
		return Outcome{SignupID: j.signup.ID, Status: catalog.SignedUp, Result: result}, nil
	}
	return s.build(ctx, j, login, req.Async)
}

// mustBuild tells a tenant without a database from a claimed spare.
func mustBuild(t catalog.Tenant) bool { return t.State == catalog.Building }

// park leaves a sign-up to a person.
func (s *Service) park(ctx context.Context, j *job, cause error) error {
	s.cfg.Logger.Error("a sign-up needs a person to look", "signup", j.signup.ID, "cause", cause)
	j.log.end("needs_operator")
	if err := s.cfg.Catalog.Park(ctx, j.signup, j.log.json(), problemJSON("needs_operator")); err != nil {
		s.cfg.Logger.Error("park a sign-up", "signup", j.signup.ID, "cause", err)
	}
	killpoint.Here("signup.parked")
	return ErrParked
}

func problemJSON(code string) json.RawMessage {
	text, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		panic(err) // a string
	}
	return text
}

// finish is the last step. It tries for a while, since the identity exists already; a commit whose answer was lost shows
// in the row.
func (s *Service) finish(ctx context.Context, j *job, login identity.User, health catalog.Health) (*Result, error) {
	j.log.begin(stepFinish, j.signup.LeaseEpoch)
	j.log.end("")
	result := j.result(login, health.Version)
	text, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("write result of sign-up %s: %w", j.signup.ID, err)
	}
	killpoint.Here("signup.before_finish")
	for attempt := 1; ; attempt++ {
		err = s.cfg.Catalog.Finish(ctx, j.signup, catalog.Identity{ID: login.ID, EmailVerified: login.EmailVerified},
			health, j.log.json(), text)
		if err == nil {
			killpoint.Here("signup.finished")
			return &result, nil
		}
		if errors.Is(err, catalog.ErrStateChanged) {
			outcome, err := s.takenOver(ctx, j)
			return outcome.Result, err
		}
		if attempt == 3 || !pause(ctx, time.Duration(attempt)*300*time.Millisecond) {
			return nil, s.unavailable(err) // the lease ends, and the reconciler goes on
		}
	}
}

// takenOver answers when the row is no longer ours: finished, or being finished, by whoever took it over or by our own
// commit whose answer was lost; or expired, because we were away for longer than the lease. The identity that we made
// after that has no school, and goes away.
func (s *Service) takenOver(ctx context.Context, j *job) (Outcome, error) {
	row, err := s.cfg.Catalog.Signup(ctx, j.signup.ID)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	switch {
	case row.Status == catalog.SignedUp:
		result, err := stored(row)
		return Outcome{SignupID: row.ID, Status: row.Status, Result: result}, err
	case row.Status == catalog.Failed && row.TenantID != nil:
		return Outcome{}, ErrParked
	case row.Status == catalog.Expired, row.Status == catalog.Failed:
		if _, err := s.lookupOwn(ctx, row); err == nil {
			err = s.cfg.Identity.Delete(ctx, row.UserID)
			killpoint.Here("signup.late_identity_removed")
			s.cfg.Logger.Warn("removed the identity of a sign-up that had expired", "signup", row.ID, "err", err)
		}
		return Outcome{}, &Unavailable{What: Identity, RetryAfter: undecided, Err: errors.New("the sign-up expired before its identity was made")}
	}
	return Outcome{}, ErrInProgress
}

// build makes the tenant of a sign-up that found no spare. The identity is recorded first, with an alarm for the case
// that this process dies.
func (s *Service) build(ctx context.Context, j *job, login identity.User, async bool) (Outcome, error) {
	j.log.begin(stepProvision, j.signup.LeaseEpoch)
	err := s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		known := catalog.Identity{ID: login.ID, EmailVerified: login.EmailVerified}
		if err := s.cfg.Catalog.IdentityMadeTx(ctx, tx, j.signup, known, j.log.json(), s.cfg.Lease); err != nil {
			return err
		}
		return s.cfg.Queue.FinishSignupTx(ctx, tx, j.signup.ID, s.cfg.Lease+time.Second)
	})
	if errors.Is(err, catalog.ErrStateChanged) {
		return s.takenOver(ctx, j)
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.identity_recorded")
	done := make(chan Outcome, 1)
	go func() {
		outcome := Outcome{SignupID: j.signup.ID, Status: catalog.Provisioning}
		if result := s.provision(ctx, j, login); result != nil {
			outcome.Status, outcome.Result = catalog.SignedUp, result
		}
		s.wakeKeeper()
		done <- outcome
	}()
	if !async {
		timer := time.NewTimer(s.cfg.Wait)
		defer timer.Stop()
		select {
		case outcome := <-done:
			return outcome, nil
		case <-timer.C:
		}
	}
	return Outcome{SignupID: j.signup.ID, Status: catalog.Provisioning}, nil
}

// provision makes the database and finishes. Without a result the sign-up is given back, to be taken up again later, or
// parked.
func (s *Service) provision(ctx context.Context, j *job, login identity.User) *Result {
	health, err := s.ensureDatabase(ctx, j)
	if errors.Is(err, tenant.ErrForeign) || errors.Is(err, tenant.ErrHalfDropped) {
		_ = s.park(ctx, j, err)
		return nil
	}
	var result *Result
	if err == nil {
		j.log.end("")
		result, err = s.finish(ctx, j, login, health)
	} else {
		j.log.end("unavailable")
	}
	if err != nil {
		delay := min(time.Second<<min(j.signup.LeaseEpoch, 6), time.Minute)
		s.cfg.Logger.Error("provision a school; trying again", "signup", j.signup.ID, "tenant", j.tenant.ID, "in", delay, "cause", err)
		if err := s.cfg.Catalog.RetryLater(ctx, j.signup, j.log.json(), delay); err != nil {
			s.cfg.Logger.Warn("give back a sign-up", "signup", j.signup.ID, "cause", err)
		}
		killpoint.Here("signup.rested")
	}
	return result
}

// ensureDatabase runs the provisioning itself, and keeps the lease alive for as long as that takes.
func (s *Service) ensureDatabase(ctx context.Context, j *job) (catalog.Health, error) {
	if err := s.checkLineage(j.tenant); err != nil {
		return catalog.Health{}, err // a process with those migrations goes on
	}
	server, err := s.cfg.Servers.Get(j.tenant.Server)
	if err != nil {
		return catalog.Health{}, err
	}
	stop := s.keepLease(ctx, j.signup)
	defer stop()
	result, err := server.Ensure(ctx, tenant.ID(j.tenant.ID), j.tenant.PasswordRotation, nil)
	return healthOf(result), err
}

// keepLease renews the lease until stop is called.
func (s *Service) keepLease(ctx context.Context, signup catalog.Signup) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		ticker := time.NewTicker(s.cfg.Lease / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := s.cfg.Catalog.Renew(ctx, signup, s.cfg.Lease); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Warn("renew the lease of a sign-up", "signup", signup.ID, "cause", err)
			}
		}
	}()
	return stop
}
