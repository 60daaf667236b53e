package signup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

// wait lets a sign-up wait for a person. Its lease ends only after the wait timeout.
func (s *Service) wait(ctx context.Context, j *job, account identity.User, gate catalog.Status) (Outcome, error) {
	j.log.begin(stepOf(gate), j.signup.LeaseEpoch)
	err := s.cfg.Catalog.Wait(ctx, j.signup, catalog.Identity{ID: account.ID, EmailVerified: account.EmailVerified}, gate,
		j.log.json(), s.cfg.WaitTimeout)
	if errors.Is(err, catalog.ErrStateChanged) {
		return s.lostLease(ctx, j)
	}
	if errors.Is(err, catalog.ErrEmailTaken) { // another sign-up has just confirmed it
		return Outcome{}, ErrEmailExists
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.waits")
	return Outcome{SignupID: j.signup.ID, Status: gate}, nil
}

func stepOf(gate catalog.Status) StepName {
	if gate == catalog.AwaitingApproval {
		return stepApproval
	}
	return stepVerification
}

// ActivationToken returns the secret in the mail that confirms a sign-up's e-mail address. It is derived from the id
// and stored nowhere.
func (s *Service) ActivationToken(signup uuid.UUID) string { return s.linkToken("activate", signup) }

// linkToken returns a token for the link to a row, which only the receiver of the link can know.
func (s *Service) linkToken(purpose string, id uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(id[:], s.linkMAC(purpose, id)...))
}

func (s *Service) linkMAC(purpose string, id uuid.UUID) []byte {
	mac := hmac.New(sha256.New, s.linkKey)
	mac.Write([]byte(purpose))
	mac.Write(id[:])
	return mac.Sum(nil)[:16]
}

// readLink is the inverse of linkToken. It fails with [ErrLinkGone] for any other token.
func (s *Service) readLink(purpose, token string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 32 {
		return uuid.Nil, ErrLinkGone
	}
	id := uuid.UUID(raw[:16])
	if !hmac.Equal(raw[16:], s.linkMAC(purpose, id)) {
		return uuid.Nil, ErrLinkGone
	}
	return id, nil
}

// Approve admits a sign-up that waits for an operator. It fails with [catalog.ErrNotFound], with [ErrNotWaiting],
// [ErrInProgress] and an *[Unavailable].
func (s *Service) Approve(ctx context.Context, id uuid.UUID, by catalog.Actor) (Outcome, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	if row.Status != catalog.AwaitingApproval {
		return Outcome{}, ErrNotWaiting
	}
	ctx = context.WithoutCancel(ctx)
	account, err := s.lookupOwn(ctx, row)
	if err != nil {
		return Outcome{}, identityUnavailable(err)
	}
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(by, "signup.approve").About(nil, &row.ID))
	})
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	outcome, err := s.resume(ctx, row, account)
	if errors.Is(err, ErrLinkGone) {
		err = ErrNotWaiting // the sign-up has just expired, or was rejected
	}
	return outcome, err
}

// waiting finds a sign-up that waits, and its user. It fails with [catalog.ErrNotFound] and [ErrNotWaiting].
func (s *Service) waiting(ctx context.Context, id uuid.UUID, status catalog.Status) (catalog.Signup, catalog.User, error) {
	row, err := s.cfg.Catalog.Signup(ctx, id)
	if err != nil {
		return catalog.Signup{}, catalog.User{}, s.unavailable(err)
	}
	if row.Status != status {
		return catalog.Signup{}, catalog.User{}, ErrNotWaiting
	}
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	if errors.Is(err, catalog.ErrNotFound) {
		err = ErrNotWaiting // the sign-up has just ended
	}
	return row, user, s.unavailable(err)
}

// Reject rejects a sign-up that waits for an operator. Its account is removed within seconds, and its owner gets a
// mail. It fails with [catalog.ErrNotFound] and [ErrNotWaiting].
func (s *Service) Reject(ctx context.Context, id uuid.UUID, by catalog.Actor) error {
	row, user, err := s.waiting(ctx, id, catalog.AwaitingApproval)
	if err != nil {
		return err
	}
	steps := readLog(row.Steps)
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ExpireTx(ctx, tx, row, steps.json(), problemJSON("rejected"), 0); err != nil {
			return err
		}
		if err := s.cfg.Catalog.EmitTx(ctx, tx, catalog.NotifySignup(catalog.SignupRejected, row, user)); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(by, "signup.reject").About(nil, &row.ID))
	})
	killpoint.Here("signup.rejected")
	if errors.Is(err, catalog.ErrStateChanged) {
		return ErrNotWaiting
	}
	return s.unavailable(err)
}

// resume continues a sign-up after the gate at which it waited: to the next gate, or to its school.
func (s *Service) resume(ctx context.Context, row catalog.Signup, account identity.User) (Outcome, error) {
	j, err := s.load(ctx, row)
	if errors.Is(err, catalog.ErrNotFound) { // its user is gone because the sign-up has just expired
		return s.currentOutcome(ctx, row)
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	j.log.end("")
	if gate := s.gate(row, account.EmailVerified); gate != "" {
		return s.wait(ctx, j, account, gate)
	}
	err = s.admit(ctx, j)
	if errors.Is(err, catalog.ErrStateChanged) { // another worker was first, or the sign-up has just expired
		return s.currentOutcome(ctx, row)
	}
	if errors.Is(err, catalog.ErrEmailTaken) { // another sign-up has just confirmed it
		return Outcome{}, ErrEmailExists
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.admitted")
	return s.complete(ctx, j, account, false)
}

// currentOutcome returns the outcome of a sign-up that somebody else has changed. If it still waits, it is being ended.
func (s *Service) currentOutcome(ctx context.Context, before catalog.Signup) (Outcome, error) {
	row, err := s.cfg.Catalog.Signup(ctx, before.ID)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	if row.Status == before.Status {
		return Outcome{}, ErrInProgress
	}
	return outcomeOf(row)
}

// outcomeOf returns the outcome of a sign-up that has passed its gate before.
func outcomeOf(row catalog.Signup) (Outcome, error) {
	switch row.Status {
	case catalog.SignupReady:
		result, err := storedResult(row)
		return Outcome{SignupID: row.ID, Status: row.Status, Result: result}, err
	case catalog.Expired, catalog.Failed:
		return Outcome{}, ErrLinkGone
	case catalog.NeedsOperator:
		return Outcome{}, ErrNeedsOperator
	}
	return Outcome{SignupID: row.ID, Status: row.Status}, nil
}
