// Package identity declares what a sign-up needs of an identity provider.
//
// [Provider] is the extension point: the packages auth0, scim and beyondidentity implement it, and identitytest
// contains the cases that every implementation must pass, lost answers included. Optional abilities are small
// interfaces of their own: [Lister], [MembershipManager], [AccountLinker], [Verifier], [PasswordSetter],
// [SessionOpener], [PasswordResetLinker], [OrganizationLister].
package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/secret"
)

// Provider creates and finds accounts of people at an identity provider.
//
// Every account is created with an id of ours ([NewUser.ID]), so that an unknown outcome can be resolved: a caller that
// does not know whether a Create arrived calls Lookup. Implementations never repeat a Create whose outcome is unknown;
// they report it with an error for which [OutcomeUnknown] is true.
//
// All methods honour ctx, and are safe for use by many goroutines.
type Provider interface {
	// Create creates the account. It fails with [ErrExists] when the e-mail (or the id) is taken, with a *[Rejected] when
	// the provider refuses a field, and with an error for which [Temporary] or [OutcomeUnknown] is true otherwise.
	Create(ctx context.Context, user NewUser) (User, error)
	// Lookup finds the account that was created with our id. It fails with [ErrNotFound] when there is none.
	Lookup(ctx context.Context, id uuid.UUID) (User, error)
	// LookupEmail finds the accounts with this e-mail, which must be normalised; the slice is empty if there are none.
	LookupEmail(ctx context.Context, email string) ([]User, error)
	// Delete removes the account that was created with our id. It succeeds if there is none.
	Delete(ctx context.Context, id uuid.UUID) error
}

// Lister is an optional ability of a [Provider]: to list all the accounts that we created. Sign-ups do not need it; an
// audit that compares the provider with the catalog does.
type Lister interface {
	// List calls each once for every account that has a sign-up's id in its metadata ([Metadata.SignupID]), in no particular
	// order. It stops at the first error of each and returns that error unchanged.
	//
	// Only nil means that the list is complete; before an error, each may have been called for a part of it. The
	// errors are those of Lookup, except [ErrNotFound].
	//
	// The list may be stale: an account that was created, changed or removed in the last seconds (at worst, minutes) may be
	// missing, outdated or still listed, and one that changes during the call may be listed in either state. Call Lookup
	// before acting on a listed account.
	//
	// The memory that List needs does not grow with the number of accounts, and each may be slow. Allow time for a
	// large list: it is no faster than the provider's rate limit, and leaves part of that limit to sign-ups.
	List(ctx context.Context, each func(User) error) error
}

// Person is what a person has entered about themselves. All of it is optional.
type Person struct {
	GivenName, FamilyName, Name string
	// Profile has further values, by the names of [ProfileFields]. The provider stores them where the person may change
	// them (Auth0: user_metadata).
	Profile map[string]string
}

// NewUser is an account to create.
type NewUser struct {
	// ID is our id of the user. The provider's own id is derived from it.
	ID uuid.UUID
	// Email is normalised: lower case, without surrounding spaces.
	Email string
	// EmailVerified is true if the person has proved that the e-mail is theirs. It is passed on if the provider
	// supports it.
	EmailVerified bool
	// Password is sent to the provider and stored nowhere else. It is empty if [TakesPassword] is false.
	Password secret.String
	Person
	// Metadata is stored by the provider where only Homeroom can change it (Auth0: app_metadata).
	Metadata Metadata
}

// Metadata is what the provider stores for Homeroom about an account. None of it is secret. TenantID and Database are empty
// until the account has a school.
type Metadata struct {
	TenantID   string `json:"tenant_id,omitempty"`
	Database   string `json:"database,omitempty"`
	SchoolName string `json:"school_name,omitempty"`
	// SignupID is the sign-up that created or linked the account: only that sign-up may delete or unlink it.
	SignupID string `json:"signup_id,omitempty"`
}

// User is an account as the provider has it.
type User struct {
	// ID is the provider's id, such as "auth0|0199c1b0-…".
	ID string
	// OurID is the [NewUser.ID] from which ID is derived, by which Lookup finds this account. It is [uuid.Nil] for an
	// account whose id somebody else chose.
	OurID         uuid.UUID
	Email         string
	EmailVerified bool
	// Blocked is true if the provider refuses logins to this account. It is false if the provider does not report it.
	Blocked bool
	// CreatedAt is the provider's time of creation; zero if it is not reported.
	CreatedAt time.Time
	Metadata  Metadata
}

// ProfileFields are the names of the values that a sign-up may ask for besides a name, as used in [NewUser.Profile].
var ProfileFields = []string{"company", "phone", "address", "region", "locality", "postalCode"}
