package signup

import (
	"context"
	"crypto/hmac"
	"errors"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// repeat answers a request whose key or e-mail is known. free reports that the conflicting sign-up is gone, so that the
// caller can try the request again.
func (s *Service) repeat(ctx context.Context, req Request) (outcome Outcome, free bool, err error) {
	outcome, known, err := s.repeatKeyed(ctx, req)
	if known || err != nil {
		return outcome, false, err
	}
	return s.repeatEmail(ctx, req)
}

// repeatKeyed answers a request whose key is known, and reports whether it is.
func (s *Service) repeatKeyed(ctx context.Context, req Request) (outcome Outcome, known bool, err error) {
	if req.IdempotencyKey == "" {
		return Outcome{}, false, nil
	}
	row, err := s.cfg.Catalog.SignupByKey(ctx, req.IdempotencyKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return Outcome{}, false, nil
	}
	if err != nil {
		return Outcome{}, false, s.unavailable(err)
	}
	outcome, err = s.repeatKey(ctx, req, row)
	outcome.Repeated = true
	return outcome, true, err
}

// repeatKnown answers a repetition. Any other request fails with the given refusal.
func (s *Service) repeatKnown(ctx context.Context, req Request, refusal error) (Outcome, error) {
	outcome, known, err := s.repeatKeyed(ctx, req)
	if !known && err == nil {
		err = refusal
	}
	return outcome, err
}

// repeatKey answers a request whose key is known.
func (s *Service) repeatKey(ctx context.Context, req Request, row catalog.Signup) (Outcome, error) {
	if !hmac.Equal(row.RequestHash, s.hash(req)) {
		return Outcome{}, ErrKeyReused
	}
	switch row.Status {
	case catalog.SignupReady:
		result, err := storedResult(row)
		return Outcome{SignupID: row.ID, Status: row.Status, Result: result}, err
	case catalog.Provisioning, catalog.AwaitingVerification, catalog.AwaitingApproval:
		return Outcome{SignupID: row.ID, Status: row.Status}, nil
	case catalog.NeedsOperator:
		return Outcome{}, ErrNeedsOperator
	}
	row, err := s.cfg.Catalog.TakeOver(ctx, row.ID, s.cfg.Lease)
	if errors.Is(err, catalog.ErrStateChanged) {
		return Outcome{}, ErrInProgress
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.taken_over")
	job, err := s.load(ctx, row)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	job.log.begin(stepIdentity, row.LeaseEpoch)
	outcome, err := s.run(ctx, req, job, true)
	return outcome, err
}

// repeatEmail answers a request whose e-mail is known, and reports whether the e-mail is free by now. If it belongs to
// a sign-up whose worker died, repeatEmail reconciles that sign-up at once, so that the caller need not wait for the
// reconciler.
func (s *Service) repeatEmail(ctx context.Context, req Request) (Outcome, bool, error) {
	if req.Account != nil {
		if _, err := s.cfg.Catalog.UserByIdentity(ctx, req.Account.ID); err == nil {
			return Outcome{}, false, ErrHasSchool
		}
		if row, err := s.cfg.Catalog.SignupByIdentity(ctx, req.Account.ID); err == nil && row.Status == catalog.AwaitingVerification {
			return Outcome{SignupID: row.ID, Status: row.Status}, false, nil // its mail is on the way
		}
	}
	user, err := s.cfg.Catalog.UserByEmail(ctx, req.Email)
	if errors.Is(err, catalog.ErrNotFound) {
		return Outcome{}, true, nil // just undone
	}
	if err != nil {
		return Outcome{}, false, s.unavailable(err)
	}
	row, err := s.cfg.Catalog.SignupByUser(ctx, user.ID)
	if err == nil && (row.Status == catalog.Expired || row.Status == catalog.Failed) {
		return Outcome{}, true, nil // just undone
	}
	if err == nil && row.Status == catalog.Pending {
		row, err = s.cfg.Catalog.TakeOver(ctx, row.ID, s.cfg.Lease)
		if err == nil {
			_ = s.reconcileSignup(context.WithoutCancel(ctx), row) // reconcileSignup has logged the error
			return Outcome{}, true, nil
		}
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, catalog.ErrStateChanged) {
		return Outcome{}, false, s.unavailable(err)
	}
	return Outcome{}, false, ErrEmailExists
}
