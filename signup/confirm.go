package signup

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/internal/secret"
)

// InspectActivation returns what an activation link is for. It changes nothing, because programs that scan mails follow
// links. It fails with [ErrLinkGone].
func (s *Service) InspectActivation(ctx context.Context, token string) (catalog.Signup, error) {
	id, err := s.readLink("activate", token)
	if err != nil {
		return catalog.Signup{}, err
	}
	row, err := s.cfg.Catalog.Signup(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return catalog.Signup{}, ErrLinkGone
	case err != nil:
		return catalog.Signup{}, s.unavailable(err)
	case row.Status == catalog.Expired, row.Status == catalog.Failed, row.Status == catalog.Pending:
		return catalog.Signup{}, ErrLinkGone
	}
	return row, nil
}

// NeedsPassword reports whether the person chooses a password when they confirm the e-mail of a sign-up. They do where
// the sign-up creates the account and the provider takes passwords.
func (s *Service) NeedsPassword(row catalog.Signup) bool {
	return row.IdentityID == nil && !s.cfg.Rules.NoPassword
}

// Activate confirms the e-mail address of a sign-up that waits for it, creates the account with this password, and
// resumes the sign-up. The password of the first request is not stored: only the person who receives the mail chooses
// one. An account that an interrupted confirmation has created gets this password.
//
// A repetition returns the current outcome and changes no password. Activate fails with [ErrLinkGone] after the time
// limit, with [ErrInProgress] while another worker has the sign-up, with [ErrEmailExists] when the address has an
// account, with [ErrAccountRequired] for a sign-up with an existing account, with a *[ValidationError], a
// *[identity.Rejected], and an *[Unavailable].
func (s *Service) Activate(ctx context.Context, token string, password secret.String) (Outcome, error) {
	row, err := s.InspectActivation(ctx, token)
	if err != nil {
		return Outcome{}, err
	}
	if row.Status != catalog.AwaitingVerification {
		return outcomeOf(row)
	}
	if row.IdentityID != nil {
		return Outcome{}, ErrAccountRequired
	}
	return s.confirm(context.WithoutCancel(ctx), row, password)
}

// ActivateWithAccount confirms the e-mail address of a sign-up with an existing account. The link proves who owns the
// address, but not who owns the account: another person may have created it with this address. So the person proves
// both in one request; account is the provider's id of the account with which they have just logged in. It fails as
// [Service.Activate] does, and with [ErrOtherAccount].
func (s *Service) ActivateWithAccount(ctx context.Context, token, account string) (Outcome, error) {
	row, err := s.InspectActivation(ctx, token)
	if err != nil {
		return Outcome{}, err
	}
	if row.IdentityID == nil || *row.IdentityID != account {
		return Outcome{}, ErrOtherAccount
	}
	if row.Status != catalog.AwaitingVerification {
		return outcomeOf(row)
	}
	return s.confirm(context.WithoutCancel(ctx), row, "")
}

// confirm ensures the account of a sign-up whose e-mail is verified, and resumes the sign-up.
func (s *Service) confirm(ctx context.Context, row catalog.Signup, password secret.String) (Outcome, error) {
	switch taken, err := s.emailTaken(ctx, row); {
	case err != nil:
		return Outcome{}, err
	case taken:
		return Outcome{}, ErrEmailExists
	}
	account, err := s.confirmedAccount(ctx, row, password)
	if err != nil {
		return Outcome{}, err
	}
	if verifier, ok := s.cfg.Identity.(identity.Verifier); ok && !account.EmailVerified {
		if err := verifier.Verify(ctx, account.ID); err != nil {
			return Outcome{}, identityUnavailable(err)
		}
	}
	account.EmailVerified = true
	killpoint.Here("signup.email_verified")
	return s.resume(ctx, row, account)
}

// emailTaken reports whether another user now has the sign-up's e-mail.
func (s *Service) emailTaken(ctx context.Context, row catalog.Signup) (bool, error) {
	user, err := s.cfg.Catalog.UserByEmail(ctx, row.Email)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return err == nil && user.ID != row.UserID, s.unavailable(err)
}

// confirmedAccount creates the account of a sign-up whose e-mail is verified, with the chosen password, or links the
// account that the person has.
func (s *Service) confirmedAccount(ctx context.Context, row catalog.Signup, password secret.String) (identity.User, error) {
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	if errors.Is(err, catalog.ErrNotFound) {
		return identity.User{}, ErrLinkGone // the sign-up has just expired
	}
	if err != nil {
		return identity.User{}, s.unavailable(err)
	}
	req := Request{
		Email: user.Email, Password: password, SchoolName: row.SchoolName, Person: user.Person,
	}
	if row.IdentityID != nil {
		req.Account = &identity.User{ID: *row.IdentityID}
	}
	if req, err = req.Normalise(s.confirmationRules()); err != nil {
		return identity.User{}, err
	}
	j := newJob(catalog.Reservation{Signup: row}, req, identity.RoleOwner, nil)
	j.verified = true
	account, err := s.ensureIdentity(ctx, req, j, true)
	if err == nil && !j.created && s.NeedsPassword(row) {
		err = s.setPassword(ctx, account, password)
	}
	var rejected *identity.Rejected
	switch {
	case errors.Is(err, identity.ErrExists):
		return identity.User{}, ErrEmailExists
	case errors.Is(err, errNotOurs), row.IdentityID != nil && errors.Is(err, identity.ErrNotFound):
		return identity.User{}, ErrLinkGone
	case errors.As(err, &rejected):
		return identity.User{}, rejected
	case err != nil:
		return identity.User{}, identityUnavailable(err)
	}
	killpoint.Here("signup.login_confirmed")
	return account, nil
}

// setPassword sets the password of an account that an earlier, interrupted confirmation has created.
func (s *Service) setPassword(ctx context.Context, account identity.User, password secret.String) error {
	setter, ok := s.cfg.Identity.(identity.PasswordSetter)
	if !ok { // see validateAbilities
		return errors.New("this identity provider cannot change a password")
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.IdentityTimeout)
	defer cancel()
	return setter.SetPassword(ctx, account.ID, password)
}

// confirmationRules are the rules that applied when the sign-up began, without rules that became stricter since then.
func (s *Service) confirmationRules() Rules {
	fields := Fields{}
	for _, name := range identity.ProfileFields {
		fields[name] = Optional
	}
	return Rules{NoPassword: s.cfg.Rules.NoPassword, Fields: fields}
}

// remindersPerAddress is how often a person can ask for another link for one address.
var remindersPerAddress = catalog.Allowance{Count: 3, Window: time.Hour}

// RemindVerification sends the mail that confirms a sign-up's e-mail address again. If the address has an account by
// now, the mail says that instead. Both cases take the same time and write the same rows. It fails with
// [catalog.ErrNotFound], [ErrNotWaiting], and *[TooManyMails].
func (s *Service) RemindVerification(ctx context.Context, id uuid.UUID) error {
	if s.cfg.HideAccounts {
		defer waitForMultiple(time.Now(), uniformResponseTime)
	}
	row, user, err := s.waiting(ctx, id, catalog.AwaitingVerification)
	if err != nil {
		return err
	}
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, "reminder to "+s.emailHash(row.Email), remindersPerAddress)
	if err != nil {
		return s.unavailable(err)
	}
	if !grant.Allowed {
		return &TooManyMails{RetryAfter: grant.RetryAfter}
	}
	kind := catalog.SignupAwaitingVerification
	switch taken, err := s.emailTaken(ctx, row); {
	case err != nil:
		return err
	case taken:
		kind = catalog.SignupRepeated
	}
	return s.unavailable(s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		return s.cfg.Catalog.EmitTx(ctx, tx, catalog.NotifySignup(kind, row, user))
	}))
}
