package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

// Resolution is how a sign-up stands once an operator has decided what becomes of it.
type Resolution struct {
	Outcome
	// Cause is why the sign-up is not where the decision leads, or nil.
	Cause error
}

// undone is the problem of a sign-up that an operator has undone.
const problemUndone = "undone"

// ResolveFinish resumes a sign-up that needs an operator, as far as it goes: every step looks for itself what there is
// to do. Where the cause is still there, it needs an operator afterwards too; without its login it is not even begun, as only the
// person's own request could make that. A process that dies meanwhile leaves it to the reconciler.
//
// One that goes on already, or is ready, is answered as it stands. It fails with [catalog.ErrNotFound], with [ErrNotWaiting] for
// one that has ended without a school, with [ErrInProgress], with [catalog.ErrIdentityTaken], and with an *[Unavailable].
func (s *Service) ResolveFinish(ctx context.Context, id uuid.UUID, by Actor) (Resolution, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	switch {
	case err != nil:
		return Resolution{}, s.unavailable(err)
	case row.Status == catalog.Expired, row.Status == catalog.Failed:
		return resolution(row, nil, ErrNotWaiting)
	case row.Status != catalog.NeedsOperator:
		return resolution(row, nil, nil)
	}
	ctx = context.WithoutCancel(ctx)
	if cause := s.checkOwnAccount(ctx, row); cause != nil { // without its login, to resume it would be to end it
		return resolution(row, cause, nil)
	}
	var resumed catalog.Signup
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		if resumed, err = s.cfg.Catalog.ResumeTx(ctx, tx, row, s.cfg.Lease); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, by.event("signup.finish", row.ID))
	})
	if err != nil {
		return Resolution{}, s.resolveError(err)
	}
	killpoint.Here("signup.resumed")
	cause := s.reconcileSignup(ctx, resumed)
	row, err = s.cfg.Catalog.Signup(ctx, id)
	return resolution(row, cause, s.unavailable(err))
}

// checkOwnAccount is why a sign-up cannot be finished whose login is not there, or not its own; or nil. One that was there before
// the sign-up need not carry it yet.
func (s *Service) checkOwnAccount(ctx context.Context, row catalog.Signup) error {
	_, err := s.lookupOwn(ctx, row)
	if row.IdentityID != nil && errors.Is(err, errNotOurs) {
		return nil
	}
	if errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("its login is not at the identity provider: %w", err)
	}
	return err
}

// ResolveUndo ends a sign-up that needs an operator, as one that has waited for too long ends: its user goes away, its e-mail
// and its slug are free at once, its login is removed if it carries the sign-up, and its tenant is free after the last recheck,
// only for the refiller of spares, which discards what is nobody's. A process that dies meanwhile leaves that to the
// reconciler.
//
// One that was undone before is answered as it stands. It fails with [catalog.ErrNotFound], with [ErrNotWaiting] for any other
// that needs no operator, with [ErrInProgress], and with an *[Unavailable].
func (s *Service) ResolveUndo(ctx context.Context, id uuid.UUID, by Actor) (Resolution, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	switch {
	case err != nil:
		return Resolution{}, s.unavailable(err)
	case row.Status == catalog.Expired && problemCode(row) == problemUndone:
		return resolution(row, nil, nil)
	case row.Status != catalog.NeedsOperator:
		return resolution(row, nil, ErrNotWaiting)
	}
	ctx = context.WithoutCancel(ctx)
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ExpireTx(ctx, tx, row, row.Steps, problemJSON(problemUndone), s.cfg.Lease); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, by.event("signup.undo", row.ID))
	})
	if err != nil {
		return Resolution{}, s.resolveError(err)
	}
	killpoint.Here("signup.undone_by_operator")
	if row, err = s.cfg.Catalog.Signup(ctx, id); err != nil {
		return Resolution{}, s.unavailable(err)
	}
	return resolution(row, s.recheck(ctx, row), nil)
}

// unresolved explains what the catalog said to a decision. Where somebody else has decided at the same moment, who asks again
// is told how the sign-up stands.
func (s *Service) resolveError(err error) error {
	if errors.Is(err, catalog.ErrStateChanged) {
		return ErrInProgress
	}
	return s.unavailable(err)
}

// resolution is how a sign-up stands, with why it stands no better.
func resolution(row catalog.Signup, cause, err error) (Resolution, error) {
	r := Resolution{Outcome: Outcome{SignupID: row.ID, Status: row.Status}, Cause: cause}
	if err == nil && row.Status == catalog.SignupReady {
		r.Cause = nil // whoever was faster
		r.Result, err = storedResult(row)
	}
	return r, err
}

// problemCode is the word that a sign-up's row has for why it ended.
func problemCode(row catalog.Signup) string {
	var problem struct{ Code string }
	_ = json.Unmarshal(row.Problem, &problem) // what cannot be read is no word of ours
	return problem.Code
}
