package signup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// mailsPerAddress is how often one address is written to because somebody signs up with it, whoever that is.
var mailsPerAddress = catalog.Allowance{Count: 3, Window: time.Hour}

// uniformResponseTime is what an answer that hides whether an account exists takes, or a multiple of it: what one of the two cases takes longer
// than the other, half a millisecond on a slow disk, drowns in it.
const uniformResponseTime = 100 * time.Millisecond

// beginUnconfirmed signs a school up that waits until its e-mail is confirmed. Nothing of it is known to the identity provider
// before that, and its password is kept nowhere: anybody can type an address, so the login is made with the password that
// whoever holds the link in the mail chooses on its page ([Service.Activate]). Each sign-up has a link of its own.
//
// Where the service hides existing accounts, the answer is the same, in the same time, whether or not the e-mail has one. What its
// owner is to know, a mail tells them.
func (s *Service) beginUnconfirmed(ctx context.Context, req Request, plan plan) (Outcome, error) {
	if s.cfg.HideAccounts {
		defer waitForMultiple(time.Now(), uniformResponseTime)
	}
	limit := catalog.Limit{Key: "mail to " + s.emailHash(req.Email), Allowance: mailsPerAddress}
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, limit.Key, limit.Allowance)
	if err != nil {
		return Outcome{}, s.unavailable(err)
	}
	if !grant.Allowed && !s.cfg.HideAccounts {
		return s.repeatKnown(ctx, req, &TooManyMails{RetryAfter: grant.RetryAfter})
	}
	outcome, err := s.reserveUnconfirmed(ctx, req, plan, grant.Allowed)
	if outcome.Repeated && grant.Allowed { // a repetition sends no mail
		s.returnAllowances(ctx, []catalog.Limit{limit})
	}
	return outcome, err
}

// reserveUnconfirmed writes a sign-up that waits, and the event of its mail, if one may be sent.
func (s *Service) reserveUnconfirmed(ctx context.Context, req Request, plan plan, mail bool) (Outcome, error) {
	if req.Account != nil {
		if _, err := s.cfg.Catalog.UserByIdentity(ctx, req.Account.ID); err == nil {
			return s.repeatKnown(ctx, req, ErrHasSchool)
		}
	}
	for range reserveAttempts {
		reservation, log := s.reservation(req, plan)
		log.end("")
		log.begin(stepVerification, 1)
		reservation.Steps = log.json()
		held, err := s.cfg.Catalog.ReserveUnconfirmed(ctx, reservation, s.cfg.HideAccounts, mail, s.cfg.WaitTimeout)
		if err == nil {
			killpoint.Here("signup.unconfirmed")
			return Outcome{SignupID: held.Signup.ID, Status: catalog.AwaitingVerification}, nil
		}
		if !errors.Is(err, catalog.ErrKeyTaken) && !errors.Is(err, catalog.ErrEmailTaken) && !errors.Is(err, catalog.ErrIdentityTaken) {
			return Outcome{}, s.unavailable(err)
		}
		outcome, free, err := s.repeat(ctx, req)
		if !free {
			return outcome, err
		}
	}
	return Outcome{}, ErrInProgress
}

// waitForMultiple waits until the time since began is a multiple of a duration.
func waitForMultiple(began time.Time, of time.Duration) {
	time.Sleep(of - time.Since(began)%of)
}

// emailHash is a name for an e-mail address that tells nothing of it.
func (s *Service) emailHash(email string) string {
	mac := hmac.New(sha256.New, s.linkKey)
	mac.Write([]byte("address" + email))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
