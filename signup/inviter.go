package signup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"homeroom/catalog"
	"homeroom/identity"
)

// Inviter is somebody who wants to invite people.
type Inviter struct {
	// Subject is the identity provider's id of their login.
	Subject string
	// Operator: they may change every tenant.
	Operator bool
}

// Managed finds a school whose people the inviter manages, and what the invited are told of the inviter; empty for an
// operator. It fails with [ErrMayNotInvite], which does not say whether there is such a school, and as [Usable] does; for an operator
// with [catalog.ErrNotFound].
func (s *Service) Managed(ctx context.Context, who Inviter, idOrSlug string) (school catalog.Tenant, name string, err error) {
	school, err = s.cfg.Catalog.Tenant(ctx, idOrSlug)
	if who.Operator || err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return school, "", err
	}
	user, look := s.cfg.Catalog.UserByIdentity(ctx, who.Subject)
	if look != nil && !errors.Is(look, catalog.ErrNotFound) {
		return catalog.Tenant{}, "", look
	}
	if err != nil || look != nil || user.TenantID != school.ID || user.Role == identity.RoleMember {
		return catalog.Tenant{}, "", ErrMayNotInvite
	}
	return school, user.DisplayName(), Usable(school)
}

// emailProofs is how often it is looked up at the identity provider whether somebody has confirmed their e-mail.
var emailProofs = catalog.Allowance{Count: 10, Window: time.Hour}

// confirmed refuses somebody whose own e-mail nobody has confirmed: they could be anybody, and have us write to others.
func (s *Service) confirmed(ctx context.Context, who Inviter) error {
	user, err := s.cfg.Catalog.UserByIdentity(ctx, who.Subject)
	if err != nil || user.EmailVerified {
		return err
	}
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, "proof of "+user.ID.String(), emailProofs)
	if err != nil {
		return err
	}
	proven := false
	if grant.Allowed {
		proven, err = s.EmailProven(ctx, user)
	}
	if err == nil && !proven {
		err = ErrUnconfirmed
	}
	return err
}

// Anybody may sign a school up, so a school may not have us write to anybody as often as it likes. An operator's token may be
// in a program with a fault, or in other hands.
var (
	invitationsOfSchool   = catalog.Allowance{Count: 200, Window: 24 * time.Hour}
	invitationsOfOperator = catalog.Allowance{Count: 1000, Window: 24 * time.Hour}
	invitationsOfAddress  = catalog.Allowance{Count: 3, Window: time.Hour}
)

// InviteAs is [Service.Invite] for somebody who asks for it from outside: who has confirmed their own e-mail, and only so often. An
// invitation that is refused costs nothing. It fails with [ErrUnconfirmed] and *[TooManyMails] besides.
func (s *Service) InviteAs(ctx context.Context, who Inviter, invite Invite) (catalog.Invitation, error) {
	subject := sha256.Sum256([]byte(who.Subject))
	sender, ofSender := fmt.Sprintf("operator %x", subject[:16]), invitationsOfOperator
	if invite.Tenant != nil {
		sender, ofSender = invite.Tenant.String(), invitationsOfSchool
		if !who.Operator {
			if err := s.confirmed(ctx, who); err != nil {
				return catalog.Invitation{}, err
			}
		}
	}
	limits := invitationLimits(sender, invite.Email, ofSender)
	grants, err := s.cfg.Catalog.TakeAllowances(ctx, limits)
	if err != nil {
		return catalog.Invitation{}, err
	}
	for _, grant := range grants {
		if !grant.Allowed {
			return catalog.Invitation{}, &TooManyMails{RetryAfter: grant.RetryAfter}
		}
	}
	made, err := s.Invite(ctx, invite)
	if err != nil {
		s.returnAllowances(ctx, limits)
	}
	return made, err
}

// invitationLimits are what one sender may send, and what it may send to this address. An address in another spelling is the
// same, and so is one with something behind a plus sign, which most providers deliver to the same person.
func invitationLimits(sender, email string, ofSender catalog.Allowance) []catalog.Limit {
	limits := []catalog.Limit{{Key: "invitations " + sender, Allowance: ofSender}}
	if normal, err := NormaliseEmail(email); err == nil {
		local, domain, _ := strings.Cut(normal, "@")
		local, _, _ = strings.Cut(local, "+")
		address := sha256.Sum256([]byte(local + "@" + domain)) // the limits hold nobody's address
		limits = append(limits, catalog.Limit{
			Key: fmt.Sprintf("invitation %s %x", sender, address), Allowance: invitationsOfAddress,
		})
	}
	return limits
}

// returnAllowances returns what was taken for something that was then refused. Where that fails, the limits refill by themselves.
func (s *Service) returnAllowances(ctx context.Context, limits []catalog.Limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.cfg.Catalog.ReturnAllowances(ctx, limits); err != nil {
		s.cfg.Logger.WarnContext(ctx, "cannot return an allowance; it refills by itself", "error", err)
	}
}
