package identitytest

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/identity"
)

// role is one that the provider is set up with, the owner's if possible.
func (s *setup) role() string {
	if len(s.Memberships.Roles) == 0 || slices.Contains(s.Memberships.Roles, identity.RoleOwner) {
		return identity.RoleOwner
	}
	return s.Memberships.Roles[0]
}

// newEnrolment is of a new login in a new school.
func (s *setup) newEnrolment(role string) identity.Membership {
	s.Helper()
	user := s.newUser()
	login := s.create(user)
	s.remember(login, user)
	return identity.Membership{
		UserID: login.ID, OurID: user.ID,
		TenantID: uuid.MustParse(user.Metadata.TenantID), SignupID: uuid.MustParse(user.Metadata.SignupID),
		SchoolName: user.Metadata.SchoolName, Slug: "lincoln-" + user.Metadata.TenantID[:8], Role: role,
	}
}

// colleague is of a new login in the same school.
func (s *setup) colleague(of identity.Membership, role string) identity.Membership {
	s.Helper()
	other := s.newEnrolment(role)
	other.TenantID, other.SchoolName, other.Slug = of.TenantID, of.SchoolName, of.Slug
	return other
}

func (s *setup) remember(login identity.User, user identity.NewUser) {
	if s.logins == nil {
		s.logins = map[uuid.UUID]identity.NewUser{}
	}
	s.logins[login.OurID] = user
}

// enrol makes an enrolment that nothing stands in the way of.
func (s *setup) enrol(enroller identity.MembershipManager, enrolment identity.Membership) identity.Assignment {
	s.Helper()
	place, err := enroller.Assign(s.Context(), enrolment)
	s.quiet(err)
	if err != nil {
		s.Fatalf("enrol: %v", err)
	}
	if !s.Memberships.Organizations {
		if place != (identity.Assignment{}) {
			s.Errorf("the place is %+v, want none, as there are no organizations", place)
		}
		return place
	}
	if school := s.school(enrolment); school.ID != place.OrganizationID {
		s.Errorf("the place is in organization %q, and the school's is %q", place.OrganizationID, school.ID)
	}
	return place
}

// placed checks that the login has its place, once.
func (s *setup) placed(enrolment identity.Membership) {
	s.Helper()
	school := identity.Assignment{}
	if s.Memberships.Organizations {
		organization := s.school(enrolment)
		school.OrganizationID = organization.ID
		if n := count(organization.Members, enrolment.UserID); n != 1 {
			s.Errorf("the login is in the school's organization %d times, want once", n)
		}
	}
	if !slices.Contains(s.Memberships.Roles, enrolment.Role) {
		return
	}
	if n := count(s.Memberships.MembersWithRole(enrolment.Role, school.OrganizationID), enrolment.UserID); n != 1 {
		s.Errorf("the login has the role %s %d times, want once", enrolment.Role, n)
	}
}

// isPlaced tells whether anything of a place is there.
func (s *setup) isPlaced(enrolment identity.Membership) bool {
	schools := []Organization{{}}
	if s.Memberships.Organizations {
		schools = s.Memberships.ListOrganizations()
	}
	for _, school := range schools {
		if slices.Contains(school.Members, enrolment.UserID) {
			return true
		}
		for _, role := range s.Memberships.Roles {
			if slices.Contains(s.Memberships.MembersWithRole(role, school.ID), enrolment.UserID) {
				return true
			}
		}
	}
	return false
}

// displaced checks that nothing of a place is there, nor an organization of the school that nobody is in.
func (s *setup) displaced(enrolment identity.Membership) {
	s.Helper()
	if s.isPlaced(enrolment) {
		s.Error("the login has a place, or a part of one; want none")
	}
	if !s.Memberships.Organizations {
		return
	}
	for _, school := range s.Memberships.ListOrganizations() {
		if school.TenantID == enrolment.TenantID.String() && len(school.Members) == 0 {
			s.Errorf("organization %s of the school is left, and nobody is in it", school.ID)
		}
	}
}

// school is the one organization of the tenant.
func (s *setup) school(enrolment identity.Membership) Organization {
	s.Helper()
	var ours []Organization
	for _, school := range s.Memberships.ListOrganizations() {
		if strings.EqualFold(school.TenantID, enrolment.TenantID.String()) {
			ours = append(ours, school)
		}
	}
	if len(ours) != 1 {
		s.Fatalf("the school has %d organizations, want one", len(ours))
	}
	return ours[0]
}

func count(ids []string, id string) int {
	n := 0
	for _, one := range ids {
		if one == id {
			n++
		}
	}
	return n
}
