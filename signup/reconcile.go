package signup

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

// reconcileConcurrency is how many sign-ups a process reconciles at the same time.
const reconcileConcurrency = 4

var (
	// reconcileInterval is how often a process looks for sign-ups without a worker. Together with the lease it limits
	// how long anything stays incomplete after a crash: 15 s + 5 s and the work itself.
	reconcileInterval = killpoint.ScaleTime(5 * time.Second)
	// recheckAfter is how long after its expiry a sign-up is checked again, for an identity that the provider created
	// late. Each further recheck comes after twice as long, until recheckUntil has passed. No request to the provider
	// lasts that long.
	recheckAfter = killpoint.ScaleTime(15 * time.Second)
	recheckUntil = killpoint.ScaleTime(time.Minute)
)

// Reconcile finishes or undoes the sign-ups that a crash has interrupted, until ctx ends. Every process runs it; one of
// them takes each sign-up.
func (s *Service) Reconcile(ctx context.Context) error {
	ticker := time.NewTicker(reconcileInterval)
	defer ticker.Stop()
	// A pass that is delayed, for example by a server that does not answer, does not delay the next one.
	var passes errgroup.Group
	passes.SetLimit(reconcileConcurrency)
	for {
		passes.TryGo(func() error {
			if err := s.ReconcileOnce(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Error("reconcile sign-ups", "error", err)
			}
			return nil
		})
		select {
		case <-ctx.Done():
			return passes.Wait()
		case <-ticker.C:
		}
	}
}

// ReconcileOnce finishes or undoes all sign-ups that are due now.
func (s *Service) ReconcileOnce(ctx context.Context) error {
	if err := s.markNewTenants(ctx); err != nil {
		s.cfg.Logger.Warn("mark databases as in use", "error", err)
	}
	for {
		due, err := s.cfg.Catalog.Due(ctx, s.cfg.Lease, reconcileConcurrency)
		if err != nil || len(due) == 0 {
			return err
		}
		var group errgroup.Group
		for _, row := range due {
			group.Go(func() error {
				_ = s.reconcileSignup(ctx, row) // reconcileSignup has logged the error
				return nil
			})
		}
		_ = group.Wait()
	}
}

// reconcileSignup resumes a sign-up that this worker has just taken over, without its password: it finishes the sign-up
// when the identity exists, and undoes it when it does not. Failures are logged and retried when the lease ends. The
// error says why the sign-up is neither finished nor undone.
func (s *Service) reconcileSignup(ctx context.Context, row catalog.Signup) error {
	killpoint.Here("reconcile.taken_over")
	switch row.Status {
	case catalog.Expired:
		return s.recheck(ctx, row)
	case catalog.AwaitingVerification, catalog.AwaitingApproval:
		s.expireWaiting(ctx, row)
		return nil
	}
	j, err := s.load(ctx, row)
	if err != nil {
		s.cfg.Logger.Error("load a sign-up", "signup", row.ID, "error", err)
		return err
	}
	j.log.begin(stepIdentity, row.LeaseEpoch)
	account, err := s.existingAccount(ctx, j)
	switch {
	case err == nil:
		j.log.end("")
		return s.resumeForward(ctx, j, account)
	case errors.Is(err, errNotOurs):
		return s.leaveToOperator(ctx, j, err)
	case errors.Is(err, identity.ErrNotFound) && row.Status == catalog.Pending:
		j.log.end("expired")
		s.cfg.Logger.Info("undoing a sign-up whose worker died before the identity was made", "signup", row.ID)
		expired := s.cfg.Catalog.Expire(ctx, row, j.log.json(), problemJSON("expired"), recheckAfter)
		killpoint.Here("reconcile.expired")
		s.warn("undo a sign-up", row, expired)
	case errors.Is(err, identity.ErrNotFound):
		if err = s.removeMembership(ctx, j, identity.User{ID: s.knownIdentity(ctx, row), OurID: row.UserID}); err == nil {
			return s.leaveToOperator(ctx, j, errIdentityGone)
		}
		s.retryLater(ctx, j, err)
	default:
		s.retryLater(ctx, j, err)
	}
	return err
}

// retryLater releases a sign-up because the provider did not answer.
func (s *Service) retryLater(ctx context.Context, j *job, cause error) {
	j.log.end("unavailable")
	s.cfg.Logger.Warn("cannot ask the identity provider about a sign-up", "signup", j.signup.ID, "error", cause)
	delay := max(identity.RetryAfter(cause), min(time.Second<<min(j.signup.LeaseEpoch, 5), 30*time.Second))
	s.warn("release a sign-up", j.signup, s.cfg.Catalog.RetryLater(ctx, j.signup, j.log.json(), delay))
}

// resumeForward finishes a sign-up whose identity exists.
func (s *Service) resumeForward(ctx context.Context, j *job, account identity.User) error {
	s.cfg.Logger.Info("finishing a sign-up whose worker died", "signup", j.signup.ID)
	if gate := s.gate(j.signup, account.EmailVerified); gate != "" {
		_, err := s.wait(ctx, j, account, gate)
		s.warn("let a sign-up wait", j.signup, err)
		return err
	}
	if j.signup.TenantID == nil {
		if err := s.admit(ctx, j); err != nil {
			s.warn("give a sign-up its tenant", j.signup, err)
			return err // the lease ends, and the sign-up is due again
		}
	}
	err := s.ensureSpare(ctx, j, true)
	if err != nil {
		return err
	}
	if j.mustBuild() || s.needsMembership(j, account) {
		s.beginRemainingStep(j, account)
		known := catalog.Identity{ID: account.ID, EmailVerified: account.EmailVerified}
		if err := s.cfg.Catalog.RecordIdentity(ctx, j.signup, known, j.log.json(), s.cfg.Lease); err != nil {
			s.warn("record the identity of a sign-up", j.signup, err)
			return err
		}
		killpoint.Here("reconcile.identity_recorded")
		_, err = s.provision(ctx, j, account)
	} else {
		_, err = s.finish(ctx, j, account, identity.Assignment{}, catalog.Health{Version: j.tenant.SchemaVersion})
		s.warn("finish a sign-up", j.signup, err)
	}
	s.wakeRefiller(j.tenant.Server)
	return err
}

// existingAccount finds the account of a sign-up, or links it where that may not be done yet.
func (s *Service) existingAccount(ctx context.Context, j *job) (identity.User, error) {
	if j.signup.IdentityID != nil && j.signup.Status == catalog.Pending {
		return s.linkIdentity(ctx, j)
	}
	return s.lookupOwn(ctx, j.signup)
}

// knownIdentity returns the provider's id of a sign-up's account from the catalog, or an empty string.
func (s *Service) knownIdentity(ctx context.Context, row catalog.Signup) string {
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	s.warn("read the user of a sign-up", row, err)
	return user.IdentityID
}

// expireWaiting ends a sign-up that has waited for too long. The next recheck removes its account.
func (s *Service) expireWaiting(ctx context.Context, row catalog.Signup) {
	steps := readLog(row.Steps)
	s.cfg.Logger.Info("ending a sign-up that has waited for too long", "signup", row.ID, "status", row.Status)
	s.warn("end a sign-up that waits", row, s.cfg.Catalog.Expire(ctx, row, steps.json(), problemJSON("expired"), 0))
	killpoint.Here("reconcile.expired_waiting")
}

// recheck removes what an expired sign-up has at the provider, or what the provider created since. It carries our
// sign-up's id, so it is ours.
func (s *Service) recheck(ctx context.Context, row catalog.Signup) error {
	account, err := s.lookupOwn(ctx, row)
	if err == nil {
		s.cfg.Logger.Warn("removing the identity of a sign-up that has expired", "signup", row.ID)
		if err = s.removeExpiredMembership(ctx, row, account); err == nil {
			err = s.removeIdentity(ctx, row)
		}
		killpoint.Here("reconcile.identity_removed")
	}
	if err != nil && !errors.Is(err, identity.ErrNotFound) && !errors.Is(err, errNotOurs) {
		s.warn("look again at an expired sign-up", row, err)
		return err // the lease ends, and the sign-up is due again
	}
	now := row.CheckAt.Add(-s.cfg.Lease) // the time of the takeover, by the catalog's clock
	// This applies after a removal too: an earlier request may still create another one.
	if age := now.Sub(*row.FinishedAt); age < recheckUntil {
		s.warn("release an expired sign-up", row, s.cfg.Catalog.RetryLater(ctx, row, row.Steps, max(age, recheckAfter)))
		return nil
	}
	s.warn("close an expired sign-up", row, s.cfg.Catalog.RecheckDone(ctx, row))
	killpoint.Here("reconcile.closed")
	return nil
}

// removeExpiredMembership removes the membership of an expired sign-up's account. Only a sign-up that an operator has
// undone can have one.
func (s *Service) removeExpiredMembership(ctx context.Context, row catalog.Signup, account identity.User) error {
	if row.TenantID == nil {
		return nil
	}
	t, err := s.cfg.Catalog.TenantByID(ctx, *row.TenantID)
	if err != nil {
		return err
	}
	return s.removeMembership(ctx, &job{signup: row, tenant: t, role: identity.RoleOwner}, account)
}

// warn logs the error of a write that the reconciler repeats. It logs nothing if another worker has changed the row
// first.
func (s *Service) warn(what string, row catalog.Signup, err error) {
	if err != nil && !errors.Is(err, catalog.ErrStateChanged) {
		s.cfg.Logger.Warn(what, "signup", row.ID, "error", err)
	}
}
