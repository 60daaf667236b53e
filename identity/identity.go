// Package identity says what a sign-up needs of an identity provider.
//
// [Provider] is the extension point: the packages auth0, scim and beyondidentity implement it, and identitytest holds the
// cases that every implementation must pass, lost answers included. What a provider may be able to do besides is in small
// interfaces of their own: [Lister], [MembershipManager], [AccountLinker], [Verifier], [PasswordSetter], [SessionOpener], [PasswordResetLinker],
// [OrganizationLister].
package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/secret"
)

// Provider creates and finds the login of a person at an identity provider.
//
// Every identity is made with an id of ours ([NewUser.ID]). That makes an unknown outcome answerable: whoever does not
// know whether a Create arrived asks Lookup. Implementations never repeat a Create whose outcome is unknown; they
// report it with an error for which [OutcomeUnknown] is true.
//
// All methods honour ctx, and may be called from many goroutines.
type Provider interface {
	// Create makes the login. It fails with [ErrExists] when the e-mail (or the id) is taken, with a *[Rejected] when
	// the provider refuses a field, and with an error for which [Temporary] or [OutcomeUnknown] is true otherwise.
	Create(ctx context.Context, user NewUser) (User, error)
	// Lookup finds the login that was made with our id. It fails with [ErrNotFound] when there is none.
	Lookup(ctx context.Context, id uuid.UUID) (User, error)
	// LookupEmail finds the logins with this e-mail, which must be normalised; none is an empty slice.
	LookupEmail(ctx context.Context, email string) ([]User, error)
	// Delete removes the login that was made with our id. One that is already gone is a success.
	Delete(ctx context.Context, id uuid.UUID) error
}

// Lister is an optional ability of a [Provider]: to tell all the logins that we made. The sign-ups do without it; an
// auditor that compares the provider with the catalog needs it.
type Lister interface {
	// List calls each for every login that carries a sign-up's id in its metadata ([Metadata.SignupID]), once, in no
	// promised order. It stops at the first error of each and returns it as it is.
	//
	// Only nil means that the list came to its end; before any error, each may have been called for a part of it. The
	// errors are those of Lookup, except [ErrNotFound].
	//
	// The list may be behind: a login that was made, changed or removed in the last seconds (at worst, minutes) may be
	// missing, stale or still there, and one that changes meanwhile may be seen in either state. Whoever acts on what was
	// listed looks again with Lookup first.
	//
	// What it holds in memory does not grow with the number of logins, and each may take its time. Leave time for a
	// large list: it goes no faster than the provider's rate limit, and leaves room there for sign-ups.
	List(ctx context.Context, each func(User) error) error
}

// NewUser is a login to be made.
type NewUser struct {
	// ID is our id of the user. The provider's own id is derived from it.
	ID uuid.UUID
	// Email is normalised: lower case, no surrounding space.
	Email string
	// EmailVerified says that the person has shown that the e-mail is theirs. A provider that can be told so is.
	EmailVerified bool
	// Password is handed to the provider and kept nowhere. It is empty where [TakesPassword] is false.
	Password secret.String
	// GivenName, FamilyName and Name are optional.
	GivenName, FamilyName, Name string
	// Profile is what else the person told of themselves, by the names of [ProfileFields]. The provider keeps it where the
	// person may change it (Auth0: user_metadata).
	Profile map[string]string
	// Metadata is kept by the provider where only we can change it (Auth0: app_metadata).
	Metadata Metadata
}

// Metadata is what the provider remembers for us about a login. None of it is secret. TenantID and Database are empty
// until the login has a school.
type Metadata struct {
	TenantID   string `json:"tenant_id,omitempty"`
	Database   string `json:"database,omitempty"`
	SchoolName string `json:"school_name,omitempty"`
	// SignupID tells whose work this login is: only one that carries the id of our sign-up may be adopted or deleted.
	SignupID string `json:"signup_id,omitempty"`
}

// User is a login as the provider has it.
type User struct {
	// ID is the provider's id, such as "auth0|0199c1b0-…".
	ID string
	// OurID is the [NewUser.ID] that ID is derived from, by which Lookup finds this login. It is [uuid.Nil] for a login
	// whose id somebody else chose.
	OurID         uuid.UUID
	Email         string
	EmailVerified bool
	// Blocked: the provider lets nobody in with this login. It is false where the provider does not tell.
	Blocked bool
	// CreatedAt is the provider's time of creation; zero when it does not tell.
	CreatedAt time.Time
	Metadata  Metadata
}

// ProfileFields are the names of what a person may be asked for besides a name, as they stand in [NewUser.Profile].
var ProfileFields = []string{"company", "phone", "address", "region", "locality", "postalCode"}
