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

// Resolution is the state of a sign-up after an operator's decision.
type Resolution struct {
	Outcome
	// Cause is why the decision is not carried out yet, or nil.
	Cause error
}

// problemUndone is the problem of a sign-up that an operator has undone.
const problemUndone = "undone"

// ResolveFinish carries out an operator's decision to finish a sign-up that needs one. Every step checks what is left to do. If the cause still
// exists, the sign-up needs an operator again afterwards. If its account does not exist, it is not resumed, because only the
// person's own request can create the account. If the process dies, the reconciler continues.
//
// A sign-up that was resumed already, or is ready, is returned as it is. It fails with [catalog.ErrNotFound], with
// [ErrNotWaiting] for a sign-up that has ended without a school, with [ErrInProgress], with [catalog.ErrIdentityTaken],
// and with an *[Unavailable].
func (s *Service) ResolveFinish(ctx context.Context, id uuid.UUID, by catalog.Actor) (Resolution, error) {
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
	if cause := s.checkOwnAccount(ctx, row); cause != nil { // without its account, resuming the sign-up would end it
		return resolution(row, cause, nil)
	}
	var resumed catalog.Signup
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		if resumed, err = s.cfg.Catalog.ResumeTx(ctx, tx, row, s.cfg.Lease); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(by, "signup.finish").About(nil, &row.ID))
	})
	if err != nil {
		return Resolution{}, s.resolveError(err)
	}
	killpoint.Here("signup.resumed")
	cause := s.reconcileSignup(ctx, resumed)
	row, err = s.cfg.Catalog.Signup(ctx, id)
	return resolution(row, cause, s.unavailable(err))
}

// checkOwnAccount returns why a sign-up cannot be finished whose account does not exist or belongs to somebody else; or
// nil. An account that existed before the sign-up need not have its metadata yet.
func (s *Service) checkOwnAccount(ctx context.Context, row catalog.Signup) error {
	_, err := s.lookupOwn(ctx, row)
	if row.IdentityID != nil && errors.Is(err, errNotOurs) {
		return nil
	}
	if errors.Is(err, identity.ErrNotFound) {
		return fmt.Errorf("its account is not at the identity provider: %w", err)
	}
	return err
}

// ResolveUndo ends a sign-up that needs an operator in the same way as one that has waited for too long. Its user is
// removed, its e-mail and its slug are free at once, and its account is removed if it has the sign-up's id. Its tenant
// is free after the last recheck, only for the spare pool refiller, which discards databases that nobody uses. If the
// process dies, the reconciler does the rest.
//
// A sign-up that was undone before is returned as it is. It fails with [catalog.ErrNotFound], with [ErrNotWaiting] for
// any other sign-up that needs no operator, with [ErrInProgress], and with an *[Unavailable].
func (s *Service) ResolveUndo(ctx context.Context, id uuid.UUID, by catalog.Actor) (Resolution, error) {
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
		return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(by, "signup.undo").About(nil, &row.ID))
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

// resolveError maps an error of the catalog after a decision. If somebody else has decided at the same time, the caller
// asks again and gets the current state.
func (s *Service) resolveError(err error) error {
	if errors.Is(err, catalog.ErrStateChanged) {
		return ErrInProgress
	}
	return s.unavailable(err)
}

// resolution returns the state of a sign-up, with the cause if it is not resolved.
func resolution(row catalog.Signup, cause, err error) (Resolution, error) {
	r := Resolution{Outcome: Outcome{SignupID: row.ID, Status: row.Status}, Cause: cause}
	if err == nil && row.Status == catalog.SignupReady {
		r.Cause = nil // another operator was first
		r.Result, err = storedResult(row)
	}
	return r, err
}

// problemCode returns the code in a sign-up's row that says why it ended.
func problemCode(row catalog.Signup) string {
	var problem struct{ Code string }
	_ = json.Unmarshal(row.Problem, &problem) // the problem of another program has no code
	return problem.Code
}
