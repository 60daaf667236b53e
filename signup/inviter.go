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

// Inviter is the caller who wants to invite people.
type Inviter struct {
	// Subject is the identity provider's id of their account.
	Subject string
	// Operator reports whether they may change every tenant.
	Operator bool
}

// ManagedSchool finds a school whose people the inviter manages, and the inviter's name for the mail, which is empty
// for an operator. It fails with [ErrMayNotInvite], which does not say whether the school exists, and as [CheckUsable]
// does; for an operator with [catalog.ErrNotFound].
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

// emailProofAllowance limits how often the service asks the identity provider whether a caller has confirmed their
// e-mail.
var emailProofAllowance = catalog.Allowance{Count: 10, Window: time.Hour}

// requireConfirmedEmail refuses an inviter whose own e-mail is not confirmed: they could be anybody, and could make the
// service write to others.
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

// Anybody may sign up a school, so the number of mails that a school can send is limited. An operator's token may be
// used by a faulty program or by an attacker.
var (
	invitationsOfSchool   = catalog.Allowance{Count: 200, Window: 24 * time.Hour}
	invitationsOfOperator = catalog.Allowance{Count: 1000, Window: 24 * time.Hour}
	invitationsOfAddress  = catalog.Allowance{Count: 3, Window: time.Hour}
)

// InviteAs is [Service.Invite] for a caller of the API, who must have confirmed their own e-mail, within limits. A
// refused invitation costs nothing. It also fails with [ErrEmailUnconfirmed] and *[TooManyMails].
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

// invitationLimits are the limits of one sender, and of one sender for this address. An address in another spelling
// counts as the same one, and so does one with a suffix after a plus sign, which most providers deliver to the same
// person.
func invitationLimits(sender, email string, ofSender catalog.Allowance) []catalog.Limit {
	limits := []catalog.Limit{{Key: "invitations " + sender, Allowance: ofSender}}
	if normal, err := NormaliseEmail(email); err == nil {
		local, domain, _ := strings.Cut(normal, "@")
		local, _, _ = strings.Cut(local, "+")
		address := sha256.Sum256([]byte(local + "@" + domain)) // the limits store no address
		limits = append(limits, catalog.Limit{
			Key: fmt.Sprintf("invitation %s %x", sender, address), Allowance: invitationsOfAddress,
		})
	}
	return limits
}

// returnAllowances returns the allowances of a request that was refused later. After a failure the limits refill over
// time.
func (s *Service) returnAllowances(ctx context.Context, limits []catalog.Limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.cfg.Catalog.ReturnAllowances(ctx, limits); err != nil {
		s.cfg.Logger.WarnContext(ctx, "cannot return an allowance; it refills over time", "error", err)
	}
}
