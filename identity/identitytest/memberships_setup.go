package identitytest

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/identity"
)

// role is a configured role, the owner's if possible.
func (s *setup) role() string {
	if len(s.Memberships.Roles) == 0 || slices.Contains(s.Memberships.Roles, identity.RoleOwner) {
		return identity.RoleOwner
	}
	return s.Memberships.Roles[0]
}

// newMembership is a membership of a new account in a new school.
func (s *setup) newMembership(role string) identity.Membership {
	s.Helper()
	user := s.newUser()
	account := s.create(user)
	s.remember(account, user)
	return identity.Membership{
		UserID: account.ID, OurID: user.ID,
		TenantID: uuid.MustParse(user.Metadata.TenantID), SignupID: uuid.MustParse(user.Metadata.SignupID),
		SchoolName: user.Metadata.SchoolName, Slug: "lincoln-" + user.Metadata.TenantID[:8], Role: role,
	}
}

// newColleague is a membership of a new account in the same school.
func (s *setup) newColleague(of identity.Membership, role string) identity.Membership {
	s.Helper()
	other := s.newMembership(role)
	other.TenantID, other.SchoolName, other.Slug = of.TenantID, of.SchoolName, of.Slug
	return other
}

func (s *setup) remember(account identity.User, user identity.NewUser) {
	if s.accounts == nil {
		s.accounts = map[uuid.UUID]identity.NewUser{}
	}
	s.accounts[account.OurID] = user
}

// assign assigns a membership without a fault.
func (s *setup) assign(manager identity.MembershipManager, membership identity.Membership) identity.Assignment {
	s.Helper()
	assignment, err := manager.Assign(s.Context(), membership)
	s.checkNoSecrets(err)
	if err != nil {
		s.Fatalf("assign: %v", err)
	}
	if !s.Memberships.Organizations {
		if assignment != (identity.Assignment{}) {
			s.Errorf("the assignment is %+v, want an empty one, as there are no organizations", assignment)
		}
		return assignment
	}
	if organization := s.organization(membership); organization.ID != assignment.OrganizationID {
		s.Errorf("the assignment has organization %q, and the school has %q", assignment.OrganizationID, organization.ID)
	}
	return assignment
}

// checkAssigned checks that the account has its membership, once.
func (s *setup) checkAssigned(membership identity.Membership) {
	s.Helper()
	organizationID := ""
	if s.Memberships.Organizations {
		organization := s.organization(membership)
		organizationID = organization.ID
		if n := count(organization.Members, membership.UserID); n != 1 {
			s.Errorf("the account is in the school's organization %d times, want once", n)
		}
	}
	if !slices.Contains(s.Memberships.Roles, membership.Role) {
		return
	}
	if n := count(s.Memberships.MembersWithRole(membership.Role, organizationID), membership.UserID); n != 1 {
		s.Errorf("the account has the role %s %d times, want once", membership.Role, n)
	}
}

// hasMembership reports whether any part of a membership exists.
func (s *setup) hasMembership(membership identity.Membership) bool {
	organizations := []Organization{{}}
	if s.Memberships.Organizations {
		organizations = s.Memberships.ListOrganizations()
	}
	for _, organization := range organizations {
		if slices.Contains(organization.Members, membership.UserID) {
			return true
		}
		for _, role := range s.Memberships.Roles {
			if slices.Contains(s.Memberships.MembersWithRole(role, organization.ID), membership.UserID) {
				return true
			}
		}
	}
	return false
}

// checkUnassigned checks that no part of a membership exists, nor an empty organization of the school.
func (s *setup) checkUnassigned(membership identity.Membership) {
	s.Helper()
	if s.hasMembership(membership) {
		s.Error("the account has a membership, or a part of one; want none")
	}
	if !s.Memberships.Organizations {
		return
	}
	for _, organization := range s.Memberships.ListOrganizations() {
		if organization.TenantID == membership.TenantID.String() && len(organization.Members) == 0 {
			s.Errorf("organization %s of the school is left without members", organization.ID)
		}
	}
}

// organization is the one organization of the tenant.
func (s *setup) organization(membership identity.Membership) Organization {
	s.Helper()
	var ours []Organization
	for _, organization := range s.Memberships.ListOrganizations() {
		if strings.EqualFold(organization.TenantID, membership.TenantID.String()) {
			ours = append(ours, organization)
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
