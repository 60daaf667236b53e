package identitytest

import (
	"errors"
	"sync"

	"homeroom/identity"
)

// MembershipFixture is what the cases of [identity.MembershipManager] need besides. Its functions look at the server itself, and see
// what was done at once.
type MembershipFixture struct {
	// Organizations tells whether a school gets an organization.
	Organizations bool
	// Roles are those that the provider is set up with; at least one, unless there are organizations.
	Roles []string
	// Inject plays a fault on a write after skip writes have passed unharmed. A create is not one of these writes.
	Inject func(fault Fault, skip int)
	// Recover ends what a fault may leave behind: one that was not played, a rate limit that lasts. It also returns only
	// when lists that are behind have caught up.
	Recover func()
	// Writes counts the writes that have reached the server, whatever became of them; creates are not among them.
	Writes func() int
	// ListOrganizations returns the organizations of the server, strangers' too. It is nil without organizations.
	ListOrganizations func() []Organization
	// AddUnmanaged has a stranger's organization of this name be there. It is nil without organizations.
	AddUnmanaged func(name string)
	// Holders returns the provider's ids of the logins that have a role, one of Roles: in the organization with this id,
	// or, where there are no organizations, at large.
	MembersWithRole func(role, organizationID string) []string
	// WithMissingRole returns a provider over the same server that is set up with a role which does not exist there.
	WithMissingRole func() identity.Provider
}

// Organization is one as the server has it.
type Organization struct {
	ID string
	// TenantID is of the school that it was made for; empty for a stranger's.
	TenantID string
	// Members are the provider's ids of those who are in it.
	Members []string
}

// withMemberships makes a case of one for providers that enrol. Others pass it.
func withMemberships(run func(*setup, identity.MembershipManager)) func(*setup) {
	return func(s *setup) {
		manager, ok := identity.MembershipManagerOf(s.Provider)
		switch {
		case ok && s.Memberships == nil:
			s.Fatal("the provider enrols, and the fixture does not say how to test that")
		case ok:
			run(s, manager)
		case s.Memberships != nil:
			s.Fatal("the fixture tests enrolments, and the provider has none")
		}
	}
}

// withOrganizations is enrolling for those that make organizations.
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
		s.Errorf("the place is %+v the second time, and was %+v", second, first)
	}
	s.checkAssigned(membership)
}

func assignSeveral(s *setup, manager identity.MembershipManager) {
	owner := s.newMembership(s.role())
	first := s.assign(manager, owner)
	for _, role := range s.Memberships.Roles {
		other := s.newColleague(owner, role)
		if assignment := s.assign(manager, other); assignment != first {
			s.Errorf("the second login's place is %+v, the first one's %+v", assignment, first)
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
				s.Errorf("enrol: %v; want a success, or an error that passes", err)
			}
		})
	}
	wg.Wait()
	s.assign(manager, membership)
	s.checkAssigned(membership)
}

// assignBesideUnmanaged is why a name alone proves nothing.
func assignBesideUnmanaged(s *setup, manager identity.MembershipManager) {
	membership := s.newMembership(s.role())
	s.Memberships.AddUnmanaged(membership.Slug)
	first := s.assign(manager, membership)
	s.checkAssigned(membership)
	if second := s.assign(manager, membership); second != first {
		s.Errorf("the place is %+v the second time, and was %+v", second, first)
	}
	other := s.newColleague(membership, s.role())
	if assignment := s.assign(manager, other); assignment != first {
		s.Errorf("the second login's place is %+v, the first one's %+v", assignment, first)
	}
	for _, account := range []identity.Membership{membership, other} {
		s.checkAssigned(account)
		s.Memberships.Recover()
		if err := manager.Unassign(s.Context(), account); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		s.checkUnassigned(account)
	}
	unmanaged := s.Memberships.ListOrganizations()
	if len(unmanaged) != 1 || unmanaged[0].TenantID != "" || len(unmanaged[0].Members) != 0 {
		s.Errorf("the organizations are %+v, want the stranger's as it was", unmanaged)
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
		s.Fatal("a provider with a role that does not exist enrols nobody, and does not tell")
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
	for range 2 { // a place that never was is a success too
		if err := manager.Unassign(s.Context(), membership); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		s.checkUnassigned(membership)
		s.assign(manager, membership)
		s.checkAssigned(membership)
	}
	for range 2 {
		if err := manager.Unassign(s.Context(), membership); err != nil {
			s.Fatalf("withdraw: %v", err)
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
		s.Fatalf("withdraw a login that is gone: %v", err)
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
		s.Fatalf("withdraw: %v", err)
	}
	s.checkAssigned(other)
	if s.hasMembership(owner) {
		s.Error("who was withdrawn still has a place")
	}
	if err := manager.Unassign(s.Context(), other); err != nil {
		s.Fatalf("withdraw: %v", err)
	}
	s.checkUnassigned(other)
}

// membershipFails is the case of a fault at each write of an enrolment, and of its withdrawal, in turn.
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
			s.failAndRepeat(fault, skip, "enrol", func() error { return assign(membership) })
			s.checkAssigned(membership)
		}
		start = s.Memberships.Writes()
		if err := unassign(whole); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		writes = s.Memberships.Writes() - start
		if writes == 0 {
			s.Fatal("a withdrawal wrote nothing")
		}
		for skip := range writes {
			membership := s.newMembership(s.role())
			s.assign(manager, membership)
			s.failAndRepeat(fault, skip, "withdraw", func() error { return unassign(membership) })
			s.checkUnassigned(membership)
		}
	})
}

// failAndRepeat does something that a fault may break off, and that succeeds when it is repeated afterwards.
func (s *setup) failAndRepeat(fault Fault, skip int, what string, do func() error) {
	s.Helper()
	before := s.Memberships.Writes()
	s.Memberships.Inject(fault, skip)
	err := do()
	s.checkNoSecrets(err)
	if err != nil && !identity.Temporary(err) && !identity.OutcomeUnknown(err) {
		s.Errorf("%s, broken off at write %d: %v; want a success, or an error that passes", what, skip+1, err)
	}
	if s.Memberships.Writes()-before <= skip {
		s.Errorf("%s: it never came to write %d, where it was to break", what, skip+1)
	}
	s.Memberships.Recover()
	if err := do(); err != nil {
		s.Fatalf("%s again, after it was broken off at write %d: %v", what, skip+1, err)
	}
}
