package signup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
)

// metadata returns what the provider stores about a sign-up. It names no tenant while the sign-up waits.
func (j *job) metadata() identity.Metadata {
	m := identity.Metadata{SchoolName: j.signup.SchoolName, SignupID: j.signup.ID.String()}
	if j.tenant.ID != uuid.Nil {
		m.TenantID, m.Database = j.tenant.ID.String(), j.tenant.Database
	}
	return m
}

// needsMembership reports whether the account does not have its school's metadata or its role there yet.
func (s *Service) needsMembership(j *job, account identity.User) bool {
	_, manages := identity.MembershipManagerOf(s.cfg.Identity)
	return manages || s.needsMetadata(j, account)
}

func (s *Service) needsMetadata(j *job, account identity.User) bool {
	return identity.SupportsMetadata(s.cfg.Identity) && account.Metadata != j.metadata()
}

// ensureMembership writes the school into the account's metadata, and gives the account its role there. All of it may
// be done twice.
func (s *Service) ensureMembership(ctx context.Context, j *job, account identity.User) (identity.Assignment, error) {
	if s.needsMetadata(j, account) {
		linker, ok := s.cfg.Identity.(identity.AccountLinker)
		if !ok {
			return identity.Assignment{}, ErrCannotLink
		}
		if _, err := linker.LinkAccount(ctx, account.ID, j.metadata()); err != nil {
			return identity.Assignment{}, err
		}
		killpoint.Here("signup.login_told")
	}
	memberships, ok := identity.MembershipManagerOf(s.cfg.Identity)
	if !ok {
		return identity.Assignment{}, nil
	}
	assignment, err := memberships.Assign(ctx, j.membership(account))
	if err == nil {
		killpoint.Here("signup.enrolled")
	}
	return assignment, err
}

// membership returns the membership that the sign-up's account shall have.
func (j *job) membership(account identity.User) identity.Membership {
	return identity.Membership{
		UserID: account.ID, OurID: account.OurID, TenantID: j.tenant.ID, SignupID: j.signup.ID,
		SchoolName: j.tenant.Name, Slug: j.tenant.Slug, Role: j.role,
	}
}

// removeMembership removes the membership of an account that somebody has removed at the provider, so that no
// organization stays without its owner. If it fails, the sign-up is not left to an operator yet: nothing would retry
// it.
func (s *Service) removeMembership(ctx context.Context, j *job, account identity.User) error {
	memberships, ok := identity.MembershipManagerOf(s.cfg.Identity)
	if !ok || j.signup.Kind != catalog.School {
		return nil
	}
	if err := memberships.Unassign(ctx, j.membership(account)); err != nil {
		return fmt.Errorf("remove the membership of an account that is gone: %w", err)
	}
	killpoint.Here("signup.withdrawn")
	return nil
}

// linkIdentity links the account that the person has proven to own. It may be done twice, and needs nothing that only
// the request had.
func (s *Service) linkIdentity(ctx context.Context, j *job) (identity.User, error) {
	linker, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return identity.User{}, ErrCannotLink
	}
	killpoint.Here("signup.adoption_wanted")
	account, err := linker.LinkAccount(ctx, *j.signup.IdentityID, j.metadata())
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return identity.User{}, asOutcomeUnknown(fmt.Errorf("link the account of sign-up %s: %w", j.signup.ID, err))
	}
	return account, err
}

// removeIdentity undoes the identity step of a sign-up that has ended without a school: it deletes an account that the
// sign-up created, and unlinks one that it linked.
func (s *Service) removeIdentity(ctx context.Context, row catalog.Signup) error {
	if row.IdentityID == nil {
		return s.cfg.Identity.Delete(ctx, row.UserID)
	}
	linker, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return ErrCannotLink
	}
	return linker.UnlinkAccount(ctx, *row.IdentityID, row.ID.String())
}

// emailVerified reports whether a user has verified their e-mail, with us or, by now, with the identity provider, which
// is then recorded. It fails with an *[Unavailable].
func (s *Service) emailVerified(ctx context.Context, user catalog.User) (bool, error) {
	if user.EmailVerified {
		return true, nil
	}
	account, err := s.cfg.Identity.Lookup(ctx, user.ID)
	made := err == nil && account.ID == user.IdentityID
	if linker, ok := s.cfg.Identity.(identity.AccountLinker); ok && errors.Is(err, identity.ErrNotFound) {
		account, err = linker.Find(ctx, user.IdentityID)
	}
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return false, nil
	case err != nil:
		return false, identityUnavailable(err)
	}
	// Where people choose no password with us, only a person who has read the mail can use an account that we created.
	verified := account.EmailVerified && account.Email == user.Email
	if !verified && (!made || !s.cfg.Rules.NoPassword) {
		return false, nil
	}
	return true, s.unavailable(s.cfg.Catalog.MarkEmailVerified(ctx, user.ID))
}

// Account finds the account of an access token. It fails with [ErrNotAPerson] when the token is not a person's, with
// [ErrCannotLink], and with an *[Unavailable].
func (s *Service) Account(ctx context.Context, id string) (identity.User, error) {
	linker, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return identity.User{}, ErrCannotLink
	}
	if strings.HasSuffix(id, "@clients") { // a token of an application, at Auth0
		return identity.User{}, ErrNotAPerson
	}
	account, err := linker.Find(ctx, id)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && account.Email == "":
		return identity.User{}, ErrNotAPerson
	case err != nil:
		return identity.User{}, identityUnavailable(err)
	}
	return account, nil
}
