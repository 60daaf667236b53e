// Package identitytest holds the cases that every [identity.Provider] must pass, lost answers and rate limits included.
//
// A provider's test calls [TestProvider] with a harness that starts the provider with a server that can be made to
// fail. The cases check above all that a create is sent once, an unknown outcome is reported as
// such, and no error shows a password.
package identitytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/internal/secret"
)

// Fault is a failure of the next create, and only of that one.
type Fault int

// The faults that a server under test must support.
const (
	// LostAnswer does the work and closes the connection without a byte of an answer.
	LostAnswer Fault = iota
	// Truncated does the work and cuts the connection in the middle of the answer.
	Truncated
	// Hang does the work and sends no answer until the caller cancels.
	Hang
	// StatusAfter does the work and then answers with a 5xx status.
	StatusAfter
	// StatusBefore answers with a 5xx status and does nothing.
	StatusBefore
	// Reset resets the connection after it took the request, and does nothing.
	Reset
	// Throttled refuses by a rate limit, and does nothing.
	Throttled
	// Unauthorized refuses the access token (not the client's credentials), and does nothing.
	Unauthorized
)

// Flaky is the fault for a server of the package flaky, without Method, Path and Skip.
func (f Fault) Flaky() flaky.Fault {
	return map[Fault]flaky.Fault{
		LostAnswer:   {Kind: flaky.LostAnswer},
		Truncated:    {Kind: flaky.Truncated},
		Hang:         {Kind: flaky.Hang, WorkFirst: true},
		StatusAfter:  {Kind: flaky.StatusAfter},
		StatusBefore: {Kind: flaky.StatusBefore},
		Reset:        {Kind: flaky.Reset},
		Throttled:    {Kind: flaky.RateLimited},
		Unauthorized: {Kind: flaky.Unauthorized},
	}[f]
}

// Fixture is a provider with a server of its own, without users.
type Fixture struct {
	Provider identity.Provider
	// Inject makes the next create that reaches the server fail.
	Inject func(Fault)
	// Creates counts the creates that have reached the server, with any result.
	Creates func() int
	// Password is one that the provider accepts. It must be unusual enough to be found in an error. A provider without
	// passwords needs none here.
	Password secret.String
	// WeakPassword is one that the provider refuses, just as unusual.
	WeakPassword secret.String
	// AcceptsPassword reports whether the account of an e-mail has this password. It is for a provider that is an
	// [identity.PasswordSetter], if the server can be asked; nil otherwise.
	AcceptsPassword func(email string, password secret.String) bool
	// ProviderChoosesIDs is true for a provider that chooses [identity.User.ID] itself and stores ours besides.
	ProviderChoosesIDs bool
	// AllowsDuplicateIDs is true for a provider that accepts an id of ours again with another e-mail, as SCIM does.
	// Ours are then unique because a sign-up has one e-mail.
	AllowsDuplicateIDs bool
	// List is for a provider that is an [identity.Lister], and nil for others.
	List *ListFixture
	// Memberships is for a provider that is a [identity.MembershipManager], and nil for others.
	Memberships *MembershipFixture
}

// Harness starts a fixture, and ends it with the test. It is called by parallel tests.
type Harness func(t *testing.T) Fixture

// TestProvider runs all cases.
func TestProvider(t *testing.T, harness Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&setup{T: t, Fixture: harness(t)})
		})
	}
}

var cases = []struct {
	name string
	run  func(*setup)
}{
	{"an account is created, found and removed", roundTrip},
	{"an account without names is created", withoutNames},
	{"an unknown account is not found", notFound},
	{"removing twice is a success", deleteTwice},
	{"an e-mail is free again after its account was removed", emailFreed},
	{"an e-mail is taken in any letter case", emailTaken},
	{"an id is taken", idTaken},
	{"of many creates of one e-mail exactly one succeeds", oneWinner},
	{"many accounts are created at once", manyAtOnce},
	{"a weak password is refused by field, where there are passwords", weakPassword},
	{"a password is replaced, where that can be done", withPasswordSetter(replacePassword)},
	{"a weak password does not replace another", withPasswordSetter(weakReplacement)},
	{"a deleted account gets no password", withPasswordSetter(replaceForDeletedAccount)},
	{"a verified e-mail is created as verified, where the provider supports it", createVerified},
	{"a cancelled context sends nothing", cancelled},
	{"a refused token is renewed without an error", unauthorized},
	{"a rate limit is temporary and has a time to wait", throttled},
	{"a lost answer leaves the outcome unknown, and done", unknown(LostAnswer, true)},
	{"a truncated answer leaves the outcome unknown, and done", unknown(Truncated, true)},
	{"a failure after the work leaves the outcome unknown, and done", unknown(StatusAfter, true)},
	{"a deadline after the work leaves the outcome unknown, and done", unknown(Hang, true)},
	{"a failure before the work leaves the outcome unknown, and undone", unknown(StatusBefore, false)},
	{"a reset leaves the outcome unknown, and undone", unknown(Reset, false)},
	{"a list has managed accounts, and no others", withLister(listManaged)},
	{"a list may be empty", withLister(listEmpty)},
	{"a list has each account once, over many pages", withLister(listPages)},
	{"a list has no removed account", withLister(listAfterDelete)},
	{"a list misses nobody while accounts are removed", withLister(listWhileDeleting)},
	{"a list ends with the callback's error", withLister(listStopsOnCallbackError)},
	{"a list ends with its context", withLister(listCancelled)},
	{"a rate limit does not shorten a list without an error", listFails(Throttled)},
	{"a truncated answer does not shorten a list without an error", listFails(Truncated)},
	{"a lost answer does not shorten a list without an error", listFails(LostAnswer)},
	{"a reset does not shorten a list without an error", listFails(Reset)},
	{"a failure does not shorten a list without an error", listFails(StatusBefore)},
	{"a request that hangs does not shorten a list without an error", listFails(Hang)},
	{"a refused token does not shorten a list without an error", listFails(Unauthorized)},
	{"assign creates the whole membership", withMemberships(assignComplete)},
	{"assign may be repeated", withMemberships(assignTwice)},
	{"several accounts have memberships in one school", withMemberships(assignSeveral)},
	{"concurrent assigns create one membership", withMemberships(assignConcurrently)},
	{"assign skips an unmanaged organization", withOrganizations(assignBesideUnmanaged)},
	{"assign of a deleted account creates nothing", withMemberships(assignDeletedAccount)},
	{"assign without its role is a misconfiguration", withMemberships(assignMissingRole)},
	{"unassign removes the membership, and may be repeated", withMemberships(unassign)},
	{"unassign of a deleted account is a success", withMemberships(unassignDeletedAccount)},
	{"unassign leaves other memberships unchanged", withMemberships(unassignOneOfSeveral)},
	{"a lost answer leaves an assignment that can be repeated", membershipFails(LostAnswer)},
	{"a truncated answer leaves an assignment that can be repeated", membershipFails(Truncated)},
	{"a failure after the work leaves an assignment that can be repeated", membershipFails(StatusAfter)},
	{"a failure before the work leaves an assignment that can be repeated", membershipFails(StatusBefore)},
	{"a reset leaves an assignment that can be repeated", membershipFails(Reset)},
	{"a rate limit leaves an assignment that can be repeated", membershipFails(Throttled)},
	{"a refused token leaves an assignment that can be repeated", membershipFails(Unauthorized)},
}

// setup is the state of a case.
type setup struct {
	*testing.T
	Fixture
	// accounts are the accounts with a membership, as requested.
	accounts map[uuid.UUID]identity.NewUser
}

// newUser returns a new person.
func (s *setup) newUser() identity.NewUser {
	id, password := uuid.New(), s.Password
	if !identity.TakesPassword(s.Provider) {
		password = ""
	}
	return identity.NewUser{
		ID: id, Email: "ada." + id.String() + "@lincoln.example", Password: password,
		Person: identity.Person{GivenName: "Ada", FamilyName: "Lovelace", Name: "Ada Lovelace"},
		Metadata: identity.Metadata{
			TenantID: uuid.NewString(), Database: "t_" + strings.Repeat("a", 26),
			SchoolName: "Łódź “Lincoln” High", SignupID: uuid.NewString(),
		},
	}
}

// create creates an account without a fault.
func (s *setup) create(user identity.NewUser) identity.User {
	s.Helper()
	made, err := s.Provider.Create(s.Context(), user)
	s.checkNoSecrets(err)
	if err != nil {
		s.Fatalf("create: %v", err)
	}
	return made
}

// find reads an account that must exist, and checks it.
func (s *setup) find(want identity.NewUser) identity.User {
	s.Helper()
	found, err := s.Provider.Lookup(s.Context(), want.ID)
	s.checkNoSecrets(err)
	if err != nil {
		s.Fatalf("look up: %v", err)
	}
	s.checkSame(found, want)
	return found
}

// checkAbsent checks that there is no account with this id.
func (s *setup) checkAbsent(id uuid.UUID) {
	s.Helper()
	_, err := s.Provider.Lookup(s.Context(), id)
	s.checkError(err, identity.ErrNotFound)
}

func (s *setup) checkSame(got identity.User, want identity.NewUser) {
	s.Helper()
	if got.ID == "" || !s.ProviderChoosesIDs && !strings.Contains(got.ID, want.ID.String()) {
		s.Errorf("the id %q is not derived from ours, %s", got.ID, want.ID)
	}
	if got.OurID != want.ID {
		s.Errorf("our id is %s, want %s", got.OurID, want.ID)
	}
	if got.Email != want.Email {
		s.Errorf("e-mail is %q, want %q", got.Email, want.Email)
	}
	if got.EmailVerified {
		s.Error("a new e-mail is verified")
	}
	if stored := s.storedMetadata(want.Metadata); got.Metadata != stored {
		s.Errorf("metadata is %+v, want %+v", got.Metadata, stored)
	}
}

// storedMetadata is what a provider stores of metadata: all of it, or nothing.
func (s *setup) storedMetadata(metadata identity.Metadata) identity.Metadata {
	if identity.SupportsMetadata(s.Provider) {
		return metadata
	}
	return identity.Metadata{}
}

// checkNoSecrets checks that an error shows no password, however it is printed.
func (s *setup) checkNoSecrets(err error) {
	s.Helper()
	if err == nil {
		return
	}
	printed := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
	for _, password := range []secret.String{s.Password, s.WeakPassword} {
		if password != "" && strings.Contains(printed, password.Reveal()) {
			s.Errorf("an error of type %T shows a password", err)
		}
	}
}
