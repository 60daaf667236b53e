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

// mailsPerAddress is how many mails one address gets because somebody signs up with it.
var mailsPerAddress = catalog.Allowance{Count: 3, Window: time.Hour}

// uniformResponseTime is the time, or a multiple of it, that an answer takes that hides whether an account exists. The
// difference between the two cases, half a millisecond on a slow disk, is not visible in it.
const uniformResponseTime = 100 * time.Millisecond

// beginUnconfirmed begins the sign-up of a school that waits until its e-mail is confirmed. The identity provider does
// not know it before that, and its password is stored nowhere: anybody can type an address, so the account gets the
// password that the receiver of the mail chooses on the page of the link ([Service.Activate]). Each sign-up has its own
// link.
//
// If the service hides existing accounts, the answer and its time are the same whether or not the e-mail has an
// account. A mail informs the owner.
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

// reserveUnconfirmed writes a sign-up that waits, and the event of its mail, if a mail is allowed.
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

// emailHash returns a name for an e-mail address from which the address cannot be derived.
func (s *Service) emailHash(email string) string {
	mac := hmac.New(sha256.New, s.linkKey)
	mac.Write([]byte("address" + email))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
