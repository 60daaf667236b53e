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

// ManagedSchool finds a school whose people the inviter manages, and what the invited are told of the inviter; empty for an
// operator. It fails with [ErrMayNotInvite], which does not say whether there is such a school, and as [CheckUsable] does; for an operator
// with [catalog.ErrNotFound].
func (s *Service) ManagedSchool(ctx context.Context, inviter Inviter, idOrSlug string) (school catalog.Tenant, name string, err error) {
	school, err = s.cfg.Catalog.Tenant(ctx, idOrSlug)
	if inviter.Operator || err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return school, "", err
	}
	user, lookupErr := s.cfg.Catalog.UserByIdentity(ctx, inviter.Subject)
	if lookupErr != nil && !errors.Is(lookupErr, catalog.ErrNotFound) {
		return catalog.Tenant{}, "", lookupErr
	}
	if err != nil || lookupErr != nil || user.TenantID != school.ID || user.Role == identity.RoleMember {
		return catalog.Tenant{}, "", ErrMayNotInvite
	}
	return school, user.DisplayName(), CheckUsable(school)
}

// emailProofAllowance is how often it is looked up at the identity provider whether somebody has confirmed their e-mail.
var emailProofAllowance = catalog.Allowance{Count: 10, Window: time.Hour}

// confirmed refuses somebody whose own e-mail nobody has confirmed: they could be anybody, and have us write to others.
func (s *Service) requireConfirmedEmail(ctx context.Context, inviter Inviter) error {
	user, err := s.cfg.Catalog.UserByIdentity(ctx, inviter.Subject)
	if err != nil || user.EmailVerified {
		return err
	}
	grant, err := s.cfg.Catalog.TakeAllowance(ctx, "proof of "+user.ID.String(), emailProofAllowance)
	if err != nil {
		return err
	}
	proven := false
	if grant.Allowed {
		proven, err = s.emailVerified(ctx, user)
	}
	if err == nil && !proven {
		err = ErrEmailUnconfirmed
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
// invitation that is refused costs nothing. It fails with [ErrEmailUnconfirmed] and *[TooManyMails] besides.
func (s *Service) InviteAs(ctx context.Context, inviter Inviter, invite InviteRequest) (catalog.Invitation, error) {
	subject := sha256.Sum256([]byte(inviter.Subject))
	sender, ofSender := fmt.Sprintf("operator %x", subject[:16]), invitationsOfOperator
	if invite.Tenant != nil {
		sender, ofSender = invite.Tenant.String(), invitationsOfSchool
		if !inviter.Operator {
			if err := s.requireConfirmedEmail(ctx, inviter); err != nil {
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
