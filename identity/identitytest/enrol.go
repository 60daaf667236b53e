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

// enrolling makes a case of one for providers that enrol. Others pass it.
func enrolling(run func(*setup, identity.MembershipManager)) func(*setup) {
	return func(s *setup) {
		enroller, ok := identity.MembershipManagerOf(s.Provider)
		switch {
		case ok && s.Memberships == nil:
			s.Fatal("the provider enrols, and the fixture does not say how to test that")
		case ok:
			run(s, enroller)
		case s.Memberships != nil:
			s.Fatal("the fixture tests enrolments, and the provider has none")
		}
	}
}

// organizing is enrolling for those that make organizations.
func organizing(run func(*setup, identity.MembershipManager)) func(*setup) {
	return enrolling(func(s *setup, enroller identity.MembershipManager) {
		if s.Memberships.Organizations {
			run(s, enroller)
		}
	})
}

func enrolsWhole(s *setup, enroller identity.MembershipManager) {
	if err := enroller.Prepare(s.Context()); err != nil {
		s.Fatalf("prepare: %v", err)
	}
	if n := s.Memberships.Writes(); n != 0 {
		s.Errorf("prepare wrote %d times, want never", n)
	}
	enrolment := s.newEnrolment(s.role())
	s.enrol(enroller, enrolment)
	s.placed(enrolment)
}

func enrolsTwice(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	first := s.enrol(enroller, enrolment)
	if second := s.enrol(enroller, enrolment); second != first {
		s.Errorf("the place is %+v the second time, and was %+v", second, first)
	}
	s.placed(enrolment)
}

func enrolsSeveral(s *setup, enroller identity.MembershipManager) {
	owner := s.newEnrolment(s.role())
	first := s.enrol(enroller, owner)
	for _, role := range s.Memberships.Roles {
		other := s.colleague(owner, role)
		if place := s.enrol(enroller, other); place != first {
			s.Errorf("the second login's place is %+v, the first one's %+v", place, first)
		}
		s.placed(other)
	}
	s.placed(owner)
	elsewhere := s.newEnrolment(s.role())
	if place := s.enrol(enroller, elsewhere); s.Memberships.Organizations && place == first {
		s.Error("two schools have one organization")
	}
}

func enrolsAtOnce(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			_, err := enroller.Assign(s.Context(), enrolment)
			s.quiet(err)
			if err != nil && !identity.Temporary(err) && !identity.OutcomeUnknown(err) {
				s.Errorf("enrol: %v; want a success, or an error that passes", err)
			}
		})
	}
	wg.Wait()
	s.enrol(enroller, enrolment)
	s.placed(enrolment)
}

// enrolsBesideStrangers is why a name alone proves nothing.
func enrolsBesideStrangers(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	s.Memberships.AddUnmanaged(enrolment.Slug)
	first := s.enrol(enroller, enrolment)
	s.placed(enrolment)
	if second := s.enrol(enroller, enrolment); second != first {
		s.Errorf("the place is %+v the second time, and was %+v", second, first)
	}
	other := s.colleague(enrolment, s.role())
	if place := s.enrol(enroller, other); place != first {
		s.Errorf("the second login's place is %+v, the first one's %+v", place, first)
	}
	for _, login := range []identity.Membership{enrolment, other} {
		s.placed(login)
		s.Memberships.Recover()
		if err := enroller.Unassign(s.Context(), login); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		s.displaced(login)
	}
	strangers := s.Memberships.ListOrganizations()
	if len(strangers) != 1 || strangers[0].TenantID != "" || len(strangers[0].Members) != 0 {
		s.Errorf("the organizations are %+v, want the stranger's as it was", strangers)
	}
}

func enrolsNobody(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	if err := s.Provider.Delete(s.Context(), enrolment.OurID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	_, err := enroller.Assign(s.Context(), enrolment)
	s.is(err, identity.ErrNotFound)
	s.displaced(enrolment)
}

func enrolsWithoutRole(s *setup, _ identity.MembershipManager) {
	if len(s.Memberships.Roles) == 0 {
		return
	}
	enrolment := s.newEnrolment(s.role())
	enroller, ok := identity.MembershipManagerOf(s.Memberships.WithMissingRole())
	if !ok {
		s.Fatal("a provider with a role that does not exist enrols nobody, and does not tell")
	}
	_, errEnrol := enroller.Assign(s.Context(), enrolment)
	for _, err := range []error{enroller.Prepare(s.Context()), errEnrol} {
		s.quiet(err)
		var misconfigured *identity.Misconfigured
		if !errors.As(err, &misconfigured) || misconfigured.Hint == "" {
			s.Errorf("without the role: %v; want a *identity.Misconfigured with a hint", err)
		}
	}
	if n := s.Memberships.Writes(); n != 0 {
		s.Errorf("%d writes without the role, want none", n)
	}
}

func withdraws(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	for range 2 { // a place that never was is a success too
		if err := enroller.Unassign(s.Context(), enrolment); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		s.displaced(enrolment)
		s.enrol(enroller, enrolment)
		s.placed(enrolment)
	}
	for range 2 {
		if err := enroller.Unassign(s.Context(), enrolment); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		s.displaced(enrolment)
	}
	s.find(identity.NewUser{
		ID: enrolment.OurID, Email: s.logins[enrolment.OurID].Email, Metadata: s.logins[enrolment.OurID].Metadata,
	})
}

func withdrawsTheDead(s *setup, enroller identity.MembershipManager) {
	enrolment := s.newEnrolment(s.role())
	s.enrol(enroller, enrolment)
	if err := s.Provider.Delete(s.Context(), enrolment.OurID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	if err := enroller.Unassign(s.Context(), enrolment); err != nil {
		s.Fatalf("withdraw a login that is gone: %v", err)
	}
	s.displaced(enrolment)
}

func withdrawsOneOfSeveral(s *setup, enroller identity.MembershipManager) {
	owner := s.newEnrolment(s.role())
	other := s.colleague(owner, s.role())
	s.enrol(enroller, owner)
	s.enrol(enroller, other)
	s.Memberships.Recover()
	if err := enroller.Unassign(s.Context(), owner); err != nil {
		s.Fatalf("withdraw: %v", err)
	}
	s.placed(other)
	if s.isPlaced(owner) {
		s.Error("who was withdrawn still has a place")
	}
	if err := enroller.Unassign(s.Context(), other); err != nil {
		s.Fatalf("withdraw: %v", err)
	}
	s.displaced(other)
}

// enrolFails is the case of a fault at each write of an enrolment, and of its withdrawal, in turn.
func enrolFails(fault Fault) func(*setup) {
	return enrolling(func(s *setup, enroller identity.MembershipManager) {
		enrol := func(e identity.Membership) error {
			_, err := enroller.Assign(s.Context(), e)
			return err
		}
		withdraw := func(e identity.Membership) error { return enroller.Unassign(s.Context(), e) }

		whole := s.newEnrolment(s.role())
		start := s.Memberships.Writes()
		s.enrol(enroller, whole)
		writes := s.Memberships.Writes() - start
		for skip := range writes {
			enrolment := s.newEnrolment(s.role())
			s.breaks(fault, skip, "enrol", func() error { return enrol(enrolment) })
			s.placed(enrolment)
		}
		start = s.Memberships.Writes()
		if err := withdraw(whole); err != nil {
			s.Fatalf("withdraw: %v", err)
		}
		writes = s.Memberships.Writes() - start
		if writes == 0 {
			s.Fatal("a withdrawal wrote nothing")
		}
		for skip := range writes {
			enrolment := s.newEnrolment(s.role())
			s.enrol(enroller, enrolment)
			s.breaks(fault, skip, "withdraw", func() error { return withdraw(enrolment) })
			s.displaced(enrolment)
		}
	})
}

// breaks does something that a fault may break off, and that succeeds when it is repeated afterwards.
func (s *setup) breaks(fault Fault, skip int, what string, do func() error) {
	s.Helper()
	before := s.Memberships.Writes()
	s.Memberships.Inject(fault, skip)
	err := do()
	s.quiet(err)
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
