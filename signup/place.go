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

// metadata is what the provider is to remember of a sign-up. Of one that waits it does not name a tenant yet.
func (j *job) metadata() identity.Metadata {
	m := identity.Metadata{SchoolName: j.signup.SchoolName, SignupID: j.signup.ID.String()}
	if j.tenant.ID != uuid.Nil {
		m.TenantID, m.Database = j.tenant.ID.String(), j.tenant.Database
	}
	return m
}

// needsPlace tells whether the login must still be told its school, or be given its role there.
func (s *Service) needsPlace(j *job, login identity.User) bool {
	_, enrols := identity.MembershipManagerOf(s.cfg.Identity)
	return enrols || s.needsMetadata(j, login)
}

func (s *Service) needsMetadata(j *job, login identity.User) bool {
	return identity.SupportsMetadata(s.cfg.Identity) && login.Metadata != j.metadata()
}

// ensurePlace tells the provider which school the login belongs to, and gives it its role there. All of it may be done
// twice.
func (s *Service) ensurePlace(ctx context.Context, j *job, login identity.User) (identity.Assignment, error) {
	if s.needsMetadata(j, login) {
		adopter, ok := s.cfg.Identity.(identity.AccountLinker)
		if !ok {
			return identity.Assignment{}, ErrCannotAdopt
		}
		if _, err := adopter.LinkAccount(ctx, login.ID, j.metadata()); err != nil {
			return identity.Assignment{}, err
		}
		killpoint.Here("signup.login_told")
	}
	enroller, ok := identity.MembershipManagerOf(s.cfg.Identity)
	if !ok {
		return identity.Assignment{}, nil
	}
	place, err := enroller.Assign(ctx, j.enrolment(login))
	if err == nil {
		killpoint.Here("signup.enrolled")
	}
	return place, err
}

// enrolment is the place that a sign-up's login is to have.
func (j *job) enrolment(login identity.User) identity.Membership {
	return identity.Membership{
		UserID: login.ID, OurID: login.OurID, TenantID: j.tenant.ID, SignupID: j.signup.ID,
		SchoolName: j.tenant.Name, Slug: j.tenant.Slug, Role: j.role,
	}
}

// withdraw takes back the place of a login that somebody has removed at the provider, so that no organization stays
// without its owner. A sign-up of which it fails is not left to an operator yet:
// nobody would come back to it.
func (s *Service) withdraw(ctx context.Context, j *job, login identity.User) error {
	enroller, ok := identity.MembershipManagerOf(s.cfg.Identity)
	if !ok || j.signup.Kind != catalog.School {
		return nil
	}
	if err := enroller.Unassign(ctx, j.enrolment(login)); err != nil {
		return fmt.Errorf("take back the place of a login that is gone: %w", err)
	}
	killpoint.Here("signup.withdrawn")
	return nil
}

// adoptIdentity takes on the login that the person has shown to be theirs. It may be done twice, and needs nothing that
// only the request had.
func (s *Service) adoptIdentity(ctx context.Context, j *job) (identity.User, error) {
	adopter, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return identity.User{}, ErrCannotAdopt
	}
	killpoint.Here("signup.adoption_wanted")
	login, err := adopter.LinkAccount(ctx, *j.signup.IdentityID, j.metadata())
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return identity.User{}, unknown(fmt.Errorf("adopt the login of sign-up %s: %w", j.signup.ID, err))
	}
	return login, err
}

// removeIdentity undoes the identity step of a sign-up that has ended without a school: the login that it made goes away,
// one that it took on is only released.
func (s *Service) removeIdentity(ctx context.Context, row catalog.Signup) error {
	if row.IdentityID == nil {
		return s.cfg.Identity.Delete(ctx, row.UserID)
	}
	adopter, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return ErrCannotAdopt
	}
	return adopter.UnlinkAccount(ctx, *row.IdentityID, row.ID.String())
}

// EmailProven reports whether a user has shown that their e-mail is theirs: to us, or, by now, to the identity provider, which
// is then recorded. It fails with an *[Unavailable].
func (s *Service) EmailProven(ctx context.Context, user catalog.User) (bool, error) {
	if user.EmailVerified {
		return true, nil
	}
	login, err := s.cfg.Identity.Lookup(ctx, user.ID)
	made := err == nil && login.ID == user.IdentityID
	if adopter, ok := s.cfg.Identity.(identity.AccountLinker); ok && errors.Is(err, identity.ErrNotFound) {
		login, err = adopter.Find(ctx, user.IdentityID)
	}
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return false, nil
	case err != nil:
		return false, identityUnavailable(err)
	}
	// Where people choose no password with us, a login that we made is used only by who has read the mail to its address.
	if !(login.EmailVerified && login.Email == user.Email) && !(made && s.cfg.Rules.NoPassword) {
		return false, nil
	}
	return true, s.unavailable(s.cfg.Catalog.EmailProven(ctx, user.ID))
}

// Login finds the login that an access token is of. It fails with [ErrNoPerson] when that is no person's, with
// [ErrCannotAdopt], and with an *[Unavailable].
func (s *Service) Login(ctx context.Context, id string) (identity.User, error) {
	adopter, ok := s.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return identity.User{}, ErrCannotAdopt
	}
	if strings.HasSuffix(id, "@clients") { // an application's own token, at Auth0
		return identity.User{}, ErrNoPerson
	}
	login, err := adopter.Find(ctx, id)
	switch {
	case errors.Is(err, identity.ErrNotFound), err == nil && login.Email == "":
		return identity.User{}, ErrNoPerson
	case err != nil:
		return identity.User{}, identityUnavailable(err)
	}
	return login, nil
}
