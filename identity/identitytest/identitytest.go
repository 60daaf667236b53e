// Package identitytest holds the cases that every [identity.Provider] must pass, lost answers and rate limits included.
//
// A provider's test calls [TestProvider] with a harness that starts the provider over a server which can be told to
// fail. The cases watch three things above all: a create is sent once, an outcome that cannot be known is reported as
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

// Fault is what befalls the next create, and only that one.
type Fault int

// The faults that a server under test must be able to play.
const (
	// LostAnswer does the work and closes the connection without a byte of an answer.
	LostAnswer Fault = iota
	// Truncated does the work and cuts the connection in the middle of the answer.
	Truncated
	// Hang does the work and answers nothing until the caller gives up.
	Hang
	// StatusAfter does the work and answers with a 5xx status all the same.
	StatusAfter
	// StatusBefore answers with a 5xx status and does nothing.
	StatusBefore
	// Reset resets the connection after it took the request, and does nothing.
	Reset
	// Throttled refuses by a rate limit, and does nothing.
	Throttled
	// Unauthorized refuses our credentials (the access token, not what it was got with), and does nothing.
	Unauthorized
)

// Flaky is the fault for a server that stands on the package flaky, and wants only its Method, Path and Skip.
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

// Fixture is a provider over a server of its own, with no users.
type Fixture struct {
	Provider identity.Provider
	// Inject plays a fault on the next create that reaches the server.
	Inject func(Fault)
	// Creates counts the creates that have reached the server, whatever became of them.
	Creates func() int
	// Password is one that the provider takes. It must be odd enough to be found in an error. A provider that takes none
	// needs none here.
	Password secret.String
	// WeakPassword is one that the provider refuses, just as odd.
	WeakPassword secret.String
	// AcceptsPassword reports whether a password opens the login of an e-mail. It is for a provider that is an
	// [identity.PasswordSetter], where the server can be asked; nil otherwise.
	AcceptsPassword func(email string, password secret.String) bool
	// ProviderChoosesIDs is true for a provider that chooses [identity.User.ID] by itself and keeps ours beside it.
	ProviderChoosesIDs bool
	// AllowsDuplicateIDs is true for a provider that takes an id of ours a second time with another e-mail, as SCIM's externalId is.
	// Ours are then unique because a sign-up has one e-mail.
	AllowsDuplicateIDs bool
	// List is for a provider that is an [identity.Lister], and nil for others.
	List *ListFixture
	// Memberships is for a provider that is a [identity.MembershipManager] with something to do, and nil for others.
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
	{"a login is made, found and removed", roundTrip},
	{"a login without names is made", withoutNames},
	{"what is not there is not found", notFound},
	{"removing twice is a success", deleteTwice},
	{"an e-mail is free again after its login was removed", emailFreed},
	{"an e-mail is taken in any letter case", emailTaken},
	{"an id is taken", idTaken},
	{"of many creates of one e-mail exactly one wins", oneWinner},
	{"many different logins are made at once", manyAtOnce},
	{"a weak password is refused by field, where there are passwords", weakPassword},
	{"a password is replaced, where that can be done", withPasswordSetter(replacePassword)},
	{"a weak password does not replace another", withPasswordSetter(weakReplacement)},
	{"a login that is gone gets no password", withPasswordSetter(replaceForDeletedAccount)},
	{"an e-mail that is confirmed already is made as such, where the provider can be told", createVerified},
	{"a cancelled context sends nothing", cancelled},
	{"a refused token is renewed, unseen", unauthorized},
	{"a rate limit is temporary and says how long", throttled},
	{"a lost answer leaves the outcome unknown, and done", unknown(LostAnswer, true)},
	{"a truncated answer leaves the outcome unknown, and done", unknown(Truncated, true)},
	{"a failure after the work leaves the outcome unknown, and done", unknown(StatusAfter, true)},
	{"a deadline after the work leaves the outcome unknown, and done", unknown(Hang, true)},
	{"a failure before the work leaves the outcome unknown, and undone", unknown(StatusBefore, false)},
	{"a reset leaves the outcome unknown, and undone", unknown(Reset, false)},
	{"a list has our logins, and no others", withLister(listManaged)},
	{"a list may be empty", withLister(listEmpty)},
	{"a list has each login once, over many pages", withLister(listPages)},
	{"a list has no removed login", withLister(listAfterDelete)},
	{"a list misses nobody while logins are removed", withLister(listWhileDeleting)},
	{"a list ends with its reader's error", withLister(listStopsOnCallbackError)},
	{"a list ends with its context", withLister(listCancelled)},
	{"a rate limit does not shorten a list unseen", listFails(Throttled)},
	{"a truncated answer does not shorten a list unseen", listFails(Truncated)},
	{"a lost answer does not shorten a list unseen", listFails(LostAnswer)},
	{"a reset does not shorten a list unseen", listFails(Reset)},
	{"a failure does not shorten a list unseen", listFails(StatusBefore)},
	{"a request that hangs does not shorten a list unseen", listFails(Hang)},
	{"a refused token does not shorten a list unseen", listFails(Unauthorized)},
	{"an enrolment gives the whole place", withMemberships(assignComplete)},
	{"an enrolment may be repeated", withMemberships(assignTwice)},
	{"several have their places in one school", withMemberships(assignSeveral)},
	{"of many enrolments at once comes one place", withMemberships(assignConcurrently)},
	{"an enrolment steps over a stranger's organization", withOrganizations(assignBesideUnmanaged)},
	{"an enrolment of a login that is gone makes nothing", withMemberships(assignDeletedAccount)},
	{"an enrolment without its role is an operator's matter", withMemberships(assignMissingRole)},
	{"a withdrawal takes the place away, and may be repeated", withMemberships(unassign)},
	{"a withdrawal of a login that is gone is a success", withMemberships(unassignDeletedAccount)},
	{"a withdrawal leaves the others their places", withMemberships(unassignOneOfSeveral)},
	{"a lost answer leaves an enrolment to be repeated", membershipFails(LostAnswer)},
	{"a truncated answer leaves an enrolment to be repeated", membershipFails(Truncated)},
	{"a failure after the work leaves an enrolment to be repeated", membershipFails(StatusAfter)},
	{"a failure before the work leaves an enrolment to be repeated", membershipFails(StatusBefore)},
	{"a reset leaves an enrolment to be repeated", membershipFails(Reset)},
	{"a rate limit leaves an enrolment to be repeated", membershipFails(Throttled)},
	{"a refused token leaves an enrolment to be repeated", membershipFails(Unauthorized)},
}

// setup is what a case has at hand.
type setup struct {
	*testing.T
	Fixture
	// accounts are those that were enrolled, as they were asked for.
	accounts map[uuid.UUID]identity.NewUser
}

// newUser returns somebody new.
func (s *setup) newUser() identity.NewUser {
	id, password := uuid.New(), s.Password
	if !identity.TakesPassword(s.Provider) {
		password = ""
	}
	return identity.NewUser{
		ID: id, Email: "ada." + id.String() + "@lincoln.example", Password: password,
		GivenName: "Ada", FamilyName: "Lovelace", Name: "Ada Lovelace",
		Metadata: identity.Metadata{
			TenantID: uuid.NewString(), Database: "t_" + strings.Repeat("a", 26),
			SchoolName: "Łódź “Lincoln” High", SignupID: uuid.NewString(),
		},
	}
}

// create makes a login that nothing stands in the way of.
func (s *setup) create(user identity.NewUser) identity.User {
	s.Helper()
	made, err := s.Provider.Create(s.Context(), user)
	s.checkNoSecrets(err)
	if err != nil {
		s.Fatalf("create: %v", err)
	}
	return made
}

// find reads a login that must be there, and be the one that was asked for.
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

// checkAbsent checks that there is no login with this id.
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
		s.Errorf("our id is told as %s, want %s", got.OurID, want.ID)
	}
	if got.Email != want.Email {
		s.Errorf("e-mail is %q, want %q", got.Email, want.Email)
	}
	if got.EmailVerified {
		s.Error("a new e-mail is said to be verified")
	}
	if stored := s.storedMetadata(want.Metadata); got.Metadata != stored {
		s.Errorf("metadata is %+v, want %+v", got.Metadata, stored)
	}
}

// storedMetadata is what a provider remembers of metadata: all of it, or nothing.
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
