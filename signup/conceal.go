package signup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

// mailsPerAddress is how often one address is written to because somebody signs up with it, whoever that is.
var mailsPerAddress = catalog.Allowance{Count: 3, Window: time.Hour}

// concealedTime is what an answer that conceals something takes, or a multiple of it: what one of the two cases takes longer
// than the other, half a millisecond on a slow disk, drowns in it.
const concealedTime = 100 * time.Millisecond

// beginConcealed signs a school up without telling whether its e-mail has an account: the answer is there, the same in
// either case, before the identity provider is asked. What the e-mail's owner is to know, a mail tells them.
//
// The login is made after the answer, because only the request has the password. Where that comes to nothing, whether the
// process died or the provider refused the password, the page behind the mail's link asks for one again.
func (s *Service) beginConcealed(ctx context.Context, req Request, plan plan) (Outcome, error) {
	defer waitForMultiple(time.Now(), concealedTime)
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, "mail to "+s.nameless(req.Email), mailsPerAddress, req.IdempotencyKey)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	wish, log := s.reservation(req, plan)
	log.end("")
	log.begin(stepVerification, 1)
	wish.Steps = log.json()
	held, isNew, err := s.cfg.Catalog.ReserveQuietly(ctx, wish, grant.Allowed, s.cfg.Patience)
	if errors.Is(err, catalog.ErrKeyTaken) {
		outcome, again, err := s.repeatKeyed(ctx, req)
		if again {
			err = ErrInProgress
		}
		return outcome, err
	}
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	killpoint.Here("signup.concealed")
	if isNew {
		s.later.Go(func() { s.makeQuietly(context.WithoutCancel(ctx), req, held) })
	}
	return Outcome{SignupID: held.Signup.ID, Status: catalog.AwaitingVerification}, nil
}

// waitForMultiple waits until the time since began is a multiple of a duration.
func waitForMultiple(began time.Time, of time.Duration) {
	time.Sleep(of - time.Since(began)%of)
}

// makeQuietly makes the login of a sign-up that waits already.
func (s *Service) makeQuietly(ctx context.Context, req Request, held catalog.Held) {
	j := newJob(held, req, identity.RoleOwner, nil)
	login, err := s.ensureIdentity(ctx, req, j, false)
	if err != nil {
		s.cfg.Logger.Info("the login of a concealed sign-up is left to its confirmation", "signup", held.Signup.ID, "cause", err)
		return
	}
	killpoint.Here("signup.made_quietly")
	err = s.cfg.Catalog.IdentityKnown(ctx, held.Signup, catalog.Identity{ID: login.ID})
	s.warn("record the login of a sign-up", held.Signup, err)
}

// WaitConcealed waits until the logins have been made that were left for after the answer.
func (s *Service) WaitConcealed() { s.later.Wait() }

// nameless is a name for an e-mail address that tells nothing of it.
func (s *Service) nameless(email string) string {
	mac := hmac.New(sha256.New, s.linkKey)
	mac.Write([]byte("address" + email))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// NeedsPassword tells whether the page behind a confirmation's link must ask for a password, because the sign-up has no login
// yet.
func (s *Service) NeedsPassword(ctx context.Context, row catalog.Signup) (bool, error) {
	if !s.cfg.Conceal || s.cfg.Rules.NoPassword || row.Status != catalog.AwaitingVerification {
		return false, nil
	}
	_, err := s.lookupOwn(ctx, row)
	if errors.Is(err, identity.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, identityUnavailable(err)
	}
	return false, nil
}

// makeNow makes the login of a concealed sign-up whose owner confirms its e-mail.
func (s *Service) makeNow(ctx context.Context, row catalog.Signup, req Request) (identity.User, error) {
	user, err := s.cfg.Catalog.UserByID(ctx, row.UserID)
	if errors.Is(err, catalog.ErrNotFound) {
		return identity.User{}, ErrLinkGone // it has just expired
	}
	if err != nil {
		return identity.User{}, s.unavailable(err)
	}
	req.Email, req.SchoolName, req.GivenName, req.FamilyName, req.Name = user.Email, row.SchoolName, user.GivenName, user.FamilyName, user.Name
	req.Profile = user.Profile
	if req, err = req.Normalise(s.confirmationRules()); err != nil {
		return identity.User{}, err
	}
	j := newJob(catalog.Held{Signup: row}, req, identity.RoleOwner, nil)
	login, err := s.ensureIdentity(ctx, req, j, true)
	var rejected *identity.Rejected
	switch {
	case errors.Is(err, identity.ErrExists):
		return identity.User{}, ErrEmailExists
	case errors.As(err, &rejected):
		return identity.User{}, rejected
	case err != nil:
		return identity.User{}, identityUnavailable(err)
	}
	killpoint.Here("signup.made_at_last")
	return login, nil
}

// confirmationRules are those by which the sign-up was judged when it began, and not stricter ones of today.
func (s *Service) confirmationRules() Rules {
	fields := Fields{}
	for _, name := range identity.ProfileFields {
		fields[name] = Optional
	}
	return Rules{NoPassword: s.cfg.Rules.NoPassword, Fields: fields}
}
