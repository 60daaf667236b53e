package identitytest

import (
	"errors"
	"sync"

	"homeroom/identity"
)

// MembershipFixture is what the cases of [identity.MembershipManager] need besides. Its functions read the server
// directly, without the delay of stale lists.
type MembershipFixture struct {
	// Organizations is true if a school gets an organization.
	Organizations bool
	// Roles are the configured roles; at least one, unless there are organizations.
	Roles []string
	// Inject makes a write fail after skip successful writes. A create is not one of these writes.
	Inject func(fault Fault, skip int)
	// Recover removes faults that were not used and ends rate limits. It returns only
	// when stale lists are up to date.
	Recover func()
	// Writes counts the writes that have reached the server, with any result; creates are not among them.
	Writes func() int
	// ListOrganizations returns all organizations of the server, managed and unmanaged. It is nil without organizations.
	ListOrganizations func() []Organization
	// AddUnmanaged creates an organization of this name that is not ours. It is nil without organizations.
	AddUnmanaged func(name string)
	// MembersWithRole returns the provider's ids of the accounts that have a role, one of Roles: in the organization
	// with this id, or, without organizations, on the whole server.
	MembersWithRole func(role, organizationID string) []string
	// WithMissingRole returns a provider for the same server, configured with a role that does not exist there.
	WithMissingRole func() identity.Provider
}

// Organization is an organization as the server has it.
type Organization struct {
	ID string
	// TenantID is the id of its school; empty for an unmanaged one.
	TenantID string
	// Members are the provider's ids of its members.
	Members []string
}

// withMemberships runs a case only for providers that manage memberships.
func withMemberships(run func(*setup, identity.MembershipManager)) func(*setup) {
	return func(s *setup) {
		manager, ok := identity.MembershipManagerOf(s.Provider)
		switch {
		case ok && s.Memberships == nil:
			s.Fatal("the provider manages memberships, and the fixture has no Memberships")
		case ok:
			run(s, manager)
		case s.Memberships != nil:
			s.Fatal("the fixture has Memberships, and the provider manages none")
		}
	}
}

// withOrganizations runs a case only for providers that create organizations.
func withOrganizations(run func(*setup, identity.MembershipManager)) func(*setup) {
	return withMemberships(func(s *setup, manager identity.MembershipManager) {
		if s.Memberships.Organizations {
			run(s, manager)
		}
	})
}

func assignComplete(s *setup, manager identity.MembershipManager) {
	if err := manager.Prepare(s.Context()); err != nil {
		s.Fatalf("prepare: %v", err)
	}
	if n := s.Memberships.Writes(); n != 0 {
		s.Errorf("prepare wrote %d times, want never", n)
	}
	membership := s.newMembership(s.role())
	s.assign(manager, membership)
	s.checkAssigned(membership)
}

func assignTwice(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	first := s.assign(manager, membership)
	if second := s.assign(manager, membership); second != first {
		s.Errorf("the second assignment is %+v, want %+v as the first", second, first)
	}
	s.checkAssigned(membership)
}

func assignSeveral(s *setup, manager identity.MembershipManager) {
	owner := s.newMembership(s.role())
	first := s.assign(manager, owner)
	for _, role := range s.Memberships.Roles {
		other := s.newColleague(owner, role)
		if assignment := s.assign(manager, other); assignment != first {
			s.Errorf("the second account's assignment is %+v, the first one's %+v", assignment, first)
		}
		s.checkAssigned(other)
	}
	s.checkAssigned(owner)
	otherSchool := s.newMembership(s.role())
	if assignment := s.assign(manager, otherSchool); s.Memberships.Organizations && assignment == first {
		s.Error("two schools have one organization")
	}
}

func assignConcurrently(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			_, err := manager.Assign(s.Context(), membership)
			s.checkNoSecrets(err)
			if err != nil && !identity.Temporary(err) && !identity.OutcomeUnknown(err) {
				s.Errorf("assign: %v; want success or a retryable error", err)
			}
		})
	}
	wg.Wait()
	s.assign(manager, membership)
	s.checkAssigned(membership)
}

// assignBesideUnmanaged checks that the name alone does not identify an organization.
func assignBesideUnmanaged(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	s.Memberships.AddUnmanaged(membership.Slug)
	first := s.assign(manager, membership)
	s.checkAssigned(membership)
	if second := s.assign(manager, membership); second != first {
		s.Errorf("the second assignment is %+v, want %+v as the first", second, first)
	}
	other := s.newColleague(membership, s.role())
	if assignment := s.assign(manager, other); assignment != first {
		s.Errorf("the second account's assignment is %+v, the first one's %+v", assignment, first)
	}
	for _, account := range []identity.Membership{membership, other} {
		s.checkAssigned(account)
		s.Memberships.Recover()
		if err := manager.Unassign(s.Context(), account); err != nil {
			s.Fatalf("unassign: %v", err)
		}
		s.checkUnassigned(account)
	}
	unmanaged := s.Memberships.ListOrganizations()
	if len(unmanaged) != 1 || unmanaged[0].TenantID != "" || len(unmanaged[0].Members) != 0 {
		s.Errorf("the organizations are %+v, want the unmanaged one unchanged", unmanaged)
	}
}

func assignDeletedAccount(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	if err := s.Provider.Delete(s.Context(), membership.OurID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	_, err := manager.Assign(s.Context(), membership)
	s.checkError(err, identity.ErrNotFound)
	s.checkUnassigned(membership)
}

func assignMissingRole(s *setup, _ identity.MembershipManager) {
	if len(s.Memberships.Roles) == 0 {
		return
	}
	membership := s.newMembership(s.role())
	manager, ok := identity.MembershipManagerOf(s.Memberships.WithMissingRole())
	if !ok {
		s.Fatal("a provider with a role that does not exist manages no memberships")
	}
	_, errAssign := manager.Assign(s.Context(), membership)
	for _, err := range []error{manager.Prepare(s.Context()), errAssign} {
		s.checkNoSecrets(err)
		var misconfigured *identity.Misconfigured
		if !errors.As(err, &misconfigured) || misconfigured.Hint == "" {
			s.Errorf("without the role: %v; want a *identity.Misconfigured with a hint", err)
		}
	}
	if n := s.Memberships.Writes(); n != 0 {
		s.Errorf("%d writes without the role, want none", n)
	}
}

func unassign(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	for range 2 { // a membership that never existed is a success too
		if err := manager.Unassign(s.Context(), membership); err != nil {
			s.Fatalf("unassign: %v", err)
		}
		s.checkUnassigned(membership)
		s.assign(manager, membership)
		s.checkAssigned(membership)
	}
	for range 2 {
		if err := manager.Unassign(s.Context(), membership); err != nil {
			s.Fatalf("unassign: %v", err)
		}
		s.checkUnassigned(membership)
	}
	s.find(identity.NewUser{
		ID: membership.OurID, Email: s.accounts[membership.OurID].Email, Metadata: s.accounts[membership.OurID].Metadata,
	})
}

func unassignDeletedAccount(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	s.assign(manager, membership)
	if err := s.Provider.Delete(s.Context(), membership.OurID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	if err := manager.Unassign(s.Context(), membership); err != nil {
		s.Fatalf("unassign a deleted account: %v", err)
	}
	s.checkUnassigned(membership)
}

func unassignOneOfSeveral(s *setup, manager identity.MembershipManager) {
	owner := s.newMembership(s.role())
	other := s.newColleague(owner, s.role())
	s.assign(manager, owner)
	s.assign(manager, other)
	s.Memberships.Recover()
	if err := manager.Unassign(s.Context(), owner); err != nil {
		s.Fatalf("unassign: %v", err)
	}
	s.checkAssigned(other)
	if s.hasMembership(owner) {
		s.Error("the unassigned account still has a membership")
	}
	if err := manager.Unassign(s.Context(), other); err != nil {
		s.Fatalf("unassign: %v", err)
	}
	s.checkUnassigned(other)
}

// membershipFails is the case of a fault at each write of Assign and of Unassign, one after the other.
func membershipFails(fault Fault) func(*setup) {
	return withMemberships(func(s *setup, manager identity.MembershipManager) {
		assign := func(e identity.Membership) error {
			_, err := manager.Assign(s.Context(), e)
			return err
		}
		unassign := func(e identity.Membership) error { return manager.Unassign(s.Context(), e) }

		whole := s.newMembership(s.role())
		start := s.Memberships.Writes()
		s.assign(manager, whole)
		writes := s.Memberships.Writes() - start
		for skip := range writes {
			membership := s.newMembership(s.role())
			s.failAndRepeat(fault, skip, "assign", func() error { return assign(membership) })
			s.checkAssigned(membership)
		}
		start = s.Memberships.Writes()
		if err := unassign(whole); err != nil {
			s.Fatalf("unassign: %v", err)
		}
		writes = s.Memberships.Writes() - start
		if writes == 0 {
			s.Fatal("unassign wrote nothing")
		}
		for skip := range writes {
			membership := s.newMembership(s.role())
			s.assign(manager, membership)
			s.failAndRepeat(fault, skip, "unassign", func() error { return unassign(membership) })
			s.checkUnassigned(membership)
		}
	})
}

// failAndRepeat runs do with a fault, and again without it; the second run must succeed.
func (s *setup) failAndRepeat(fault Fault, skip int, what string, do func() error) {
	s.Helper()
	before := s.Memberships.Writes()
	s.Memberships.Inject(fault, skip)
	err := do()
	s.checkNoSecrets(err)
	if err != nil && !identity.Temporary(err) && !identity.OutcomeUnknown(err) {
		s.Errorf("%s with a fault at write %d: %v; want success or a retryable error", what, skip+1, err)
	}
	if s.Memberships.Writes()-before <= skip {
		s.Errorf("%s did not reach write %d, which has the fault", what, skip+1)
	}
	s.Memberships.Recover()
	if err := do(); err != nil {
		s.Fatalf("%s again, after a fault at write %d: %v", what, skip+1, err)
	}
}
