package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
	"homeroom/tenant"
)

// job is a sign-up that this worker has leased.
type job struct {
	signup catalog.Signup
	tenant catalog.Tenant
	person catalog.Person
	// role is the person's role at the school.
	role string
	log  stepLog
	// ensureDatabase says that the tenant's database could not be checked, and must be ensured before the sign-up
	// finishes.
	ensureDatabase bool
	// verified says that the person has verified the e-mail, whatever the provider says.
	verified bool
	// created says that this worker has created the account, with its request's password.
	created bool
	// outcomeUnknown says that this worker or an earlier one sent a create whose outcome is unknown.
	outcomeUnknown bool
}

func newJob(held catalog.Reservation, req Request, role string, log stepLog) *job {
	j := &job{signup: held.Signup, tenant: held.Tenant, role: role, log: log, verified: held.Signup.InvitationID != nil}
	j.person = req.Person
	return j
}

// load reads the rows of a sign-up that was taken over.
func (s *Service) load(ctx context.Context, row catalog.Signup) (*job, error) {
	var tenant catalog.Tenant // a sign-up that waits has no tenant yet
	var err error
	if row.TenantID != nil {
		if tenant, err = s.cfg.Catalog.TenantByID(ctx, *row.TenantID); err != nil {
			return nil, err
		}
	}
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	if err != nil {
		return nil, err
	}
	j := &job{signup: row, tenant: tenant, role: user.Role, log: readLog(row.Steps), verified: user.EmailVerified || row.InvitationID != nil}
	j.person = user.Person
	return j, nil
}

// run finishes a reserved sign-up, or works on it as long as the caller waits. lookupFirst means that an earlier worker
// may have created the identity.
func (s *Service) run(ctx context.Context, req Request, j *job, lookupFirst bool) (Outcome, error) {
	ctx = context.WithoutCancel(ctx) // from here on the work is finished, even if nobody waits for it
	if err := s.ensureSpare(ctx, j, lookupFirst); err != nil {
		return Outcome{}, err
	}
	j.log.restart()
	account, err := s.ensureIdentity(ctx, req, j, lookupFirst)
	if err != nil {
		return Outcome{}, s.identityFailed(ctx, j, err)
	}
	killpoint.Here("signup.identity_made")
	j.log.end("")
	if gate := s.gate(j.signup, account.EmailVerified); gate != "" {
		return s.wait(ctx, j, account, gate)
	}
	if j.signup.TenantID == nil { // it was to wait, and no longer needs to
		if err := s.admit(ctx, j); err != nil {
			return Outcome{}, s.unavailable(err)
		}
	}
	if j.mustBuild() || s.needsMembership(j, account) {
		return s.complete(ctx, j, account, req.Async)
	}
	result, err := s.finish(ctx, j, account, identity.Assignment{}, catalog.Health{Version: j.tenant.SchemaVersion})
	if err != nil {
		return Outcome{}, err
	}
	s.wakeRefiller(j.tenant.Server)
	return Outcome{SignupID: j.signup.ID, Status: catalog.SignupReady, Result: result}, nil
}

// mustBuild reports whether the tenant's database must be created or ensured, because the tenant is not a claimed
// spare.
func (j *job) mustBuild() bool { return j.tenant.State == catalog.Building || j.ensureDatabase }

// leaveToOperator marks a sign-up as one that needs an operator, and returns the cause.
func (s *Service) leaveToOperator(ctx context.Context, j *job, cause error) error {
	s.cfg.Logger.Error("a sign-up needs an operator: homeroom signup resolve", "signup", j.signup.ID, "error", cause)
	j.log.end("needs_operator")
	if err := s.cfg.Catalog.NeedsOperator(ctx, j.signup, j.log.json(), problemJSON("needs_operator")); err != nil {
		s.cfg.Logger.Error("leave a sign-up to an operator", "signup", j.signup.ID, "error", err)
	}
	killpoint.Here("signup.needs_operator")
	return &needsOperatorError{cause}
}

func problemJSON(code string) json.RawMessage {
	text, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		panic(err) // only a string
	}
	return text
}

// finish is the last step. It retries for a while, since the identity exists already. A commit whose answer was lost is
// visible in the row.
func (s *Service) finish(ctx context.Context, j *job, account identity.User, assignment identity.Assignment, health catalog.Health) (*Result, error) {
	j.log.begin(stepFinish, j.signup.LeaseEpoch)
	j.log.end("")
	account.EmailVerified = account.EmailVerified || j.verified
	result := j.result(account, health.Version)
	text, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("write result of sign-up %s: %w", j.signup.ID, err)
	}
	killpoint.Here("signup.before_finish")
	known := catalog.Identity{ID: account.ID, EmailVerified: account.EmailVerified, OrganizationID: assignment.OrganizationID}
	for attempt := 1; ; attempt++ {
		err = s.cfg.Catalog.Finish(ctx, j.signup, known, health, j.log.json(), text)
		if err == nil {
			killpoint.Here("signup.finished")
			return &result, nil
		}
		if errors.Is(err, catalog.ErrStateChanged) {
			outcome, err := s.lostLease(ctx, j)
			return outcome.Result, err
		}
		if attempt == 3 || wait.For(ctx, time.Duration(attempt)*300*time.Millisecond) != nil {
			return nil, s.unavailable(err) // the lease ends, and the reconciler resumes the sign-up
		}
	}
}

// lostLease answers when the row no longer belongs to this worker: another worker has taken it over, or our own commit
// has finished it and its answer was lost, or it has expired because this process paused for longer than the lease. An
// identity that we created after the expiry has no school, and is removed.
func (s *Service) lostLease(ctx context.Context, j *job) (Outcome, error) {
	row, err := s.cfg.Catalog.Signup(ctx, j.signup.ID)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	switch row.Status {
	case catalog.SignupReady:
		result, err := storedResult(row)
		return Outcome{SignupID: row.ID, Status: row.Status, Result: result}, err
	case catalog.NeedsOperator:
		return Outcome{}, ErrNeedsOperator
	case catalog.Expired, catalog.Failed:
		if _, err := s.lookupOwn(ctx, row); err == nil {
			err = s.removeIdentity(ctx, row)
			killpoint.Here("signup.late_identity_removed")
			s.cfg.Logger.Warn("removed the identity of a sign-up that had expired", "signup", row.ID, "error", err)
		}
		return Outcome{}, &Unavailable{What: Identity, RetryAfter: undecidedDelay, Err: errors.New("the sign-up expired before its identity was made")}
	}
	return Outcome{}, ErrInProgress
}

// complete does the rest once the identity exists: the membership, and the tenant of a sign-up that found no spare. It
// records the identity first, with a new lease: if this process dies, the reconciler resumes when the lease ends.
func (s *Service) complete(ctx context.Context, j *job, account identity.User, async bool) (Outcome, error) {
	s.beginRemainingStep(j, account)
	known := catalog.Identity{ID: account.ID, EmailVerified: account.EmailVerified}
	err := s.cfg.Catalog.RecordIdentity(ctx, j.signup, known, j.log.json(), s.cfg.Lease)
	if errors.Is(err, catalog.ErrStateChanged) {
		return s.lostLease(ctx, j)
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.identity_recorded")
	done := make(chan Outcome, 1)
	go func() {
		outcome := Outcome{SignupID: j.signup.ID, Status: catalog.Provisioning}
		if result, err := s.provision(ctx, j, account); err == nil {
			outcome.Status, outcome.Result = catalog.SignupReady, result
		}
		s.wakeRefiller(j.tenant.Server)
		done <- outcome
	}()
	if !async {
		timer := time.NewTimer(s.cfg.ResponseTimeout)
		defer timer.Stop()
		select {
		case outcome := <-done:
			return outcome, nil
		case <-timer.C:
		}
	}
	return Outcome{SignupID: j.signup.ID, Status: catalog.Provisioning}, nil
}

// provision creates the database and finishes. After a failure the sign-up is released for a later retry, or left to an
// operator. The error has been logged, and says why.
func (s *Service) provision(ctx context.Context, j *job, account identity.User) (*Result, error) {
	assignment, health, err := s.ensureRemaining(ctx, j, account)
	if errors.Is(err, tenant.ErrUnmanaged) || errors.Is(err, tenant.ErrInvalid) {
		return nil, s.leaveToOperator(ctx, j, err)
	}
	if errors.Is(err, identity.ErrNotFound) {
		if err = s.removeMembership(ctx, j, account); err == nil {
			return nil, s.leaveToOperator(ctx, j, errIdentityGone)
		}
	}
	var result *Result
	if err == nil {
		j.log.end("")
		result, err = s.finish(ctx, j, account, assignment, health)
	} else {
		j.log.end("unavailable")
	}
	if err != nil {
		delay := min(time.Second<<min(j.signup.LeaseEpoch, 6), time.Minute)
		s.cfg.Logger.Error("provision a school; trying again", "signup", j.signup.ID, "tenant", j.tenant.ID, "in", delay, "error", err)
		if err := s.cfg.Catalog.RetryLater(ctx, j.signup, j.log.json(), delay); err != nil {
			s.cfg.Logger.Warn("release a sign-up", "signup", j.signup.ID, "error", err)
		}
		killpoint.Here("signup.rested")
	}
	return result, err
}

// errIdentityGone is why a sign-up needs an operator when somebody has removed its account.
var errIdentityGone = errors.New("its identity has been removed at the provider while the school was being made")

// beginRemainingStep adds the first of the remaining steps to the log.
func (s *Service) beginRemainingStep(j *job, account identity.User) {
	step := stepProvision
	if s.needsMembership(j, account) {
		step = stepMembership
	}
	j.log.begin(step, j.signup.LeaseEpoch)
}

// ensureRemaining ensures the membership and the database, and renews the lease as long as that takes.
func (s *Service) ensureRemaining(ctx context.Context, j *job, account identity.User) (assignment identity.Assignment, health catalog.Health, err error) {
	stop := s.keepLease(ctx, j.signup)
	defer stop()
	if s.needsMembership(j, account) {
		limited, cancel := context.WithTimeout(ctx, 3*s.cfg.IdentityTimeout)
		defer cancel()
		if assignment, err = s.ensureMembership(limited, j, account); err != nil {
			return assignment, catalog.Health{}, fmt.Errorf("ensure the membership: %w", err)
		}
	}
	if !j.mustBuild() {
		return assignment, catalog.Health{Version: j.tenant.SchemaVersion}, nil
	}
	if s.needsMembership(j, account) {
		j.log.end("")
		j.log.begin(stepProvision, j.signup.LeaseEpoch)
	}
	health, err = s.ensureDatabase(ctx, j)
	return assignment, health, err
}

// ensureDatabase runs the provisioning.
func (s *Service) ensureDatabase(ctx context.Context, j *job) (catalog.Health, error) {
	if err := s.checkLineage(j.tenant); err != nil {
		return catalog.Health{}, err // a process with those migrations resumes the sign-up
	}
	server, err := s.cfg.Servers.Get(j.tenant.Server)
	if err != nil {
		return catalog.Health{}, err
	}
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
				s.cfg.Logger.Warn("renew the lease of a sign-up", "signup", signup.ID, "error", err)
			}
		}
	}()
	return stop
}
