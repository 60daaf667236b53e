package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/secret"
)

// Passwordless is an optional ability of a [Provider]: its people log in without a password that they chose with us.
// Create ignores [NewUser.Password] there.
type Passwordless interface {
	// Passwordless tells whether that is so as the provider is set up.
	Passwordless() bool
}

// TakesPassword tells whether a login at this provider is made with a password.
func TakesPassword(p Provider) bool {
	without, ok := p.(Passwordless)
	return !ok || !without.Passwordless()
}

// MetadataUnsupported is an optional trait of a [Provider]: it keeps no [Metadata] for us, so the metadata of the users that it
// returns is empty. Who made a login is told there by its id alone ([User.OurID]), which each sign-up chooses anew.
type MetadataUnsupported interface {
	// MetadataUnsupported tells whether that is so as the provider is set up.
	MetadataUnsupported() bool
}

// SupportsMetadata tells whether the provider returns the metadata that a login was made with.
func SupportsMetadata(p Provider) bool {
	without, ok := p.(MetadataUnsupported)
	return !ok || !without.MetadataUnsupported()
}

// The roles that a person has at a school. A provider maps them to roles of its own, by configuration.
const (
	// RoleOwner is who signed the school up.
	RoleOwner = "owner"
	// RoleAdmin may invite others.
	RoleAdmin = "admin"
	// RoleMember is everybody else.
	RoleMember = "member"
)

// Membership is the place that a login is to have: a role at a school.
type Membership struct {
	// UserID is the provider's id of the login ([User.ID]).
	UserID string
	// OurID is ours, if the login was made with one ([User.OurID]).
	OurID uuid.UUID
	// TenantID is the school's. An organization that is made for it carries it, and is found by it again.
	TenantID uuid.UUID
	// SignupID is the sign-up on whose behalf this is done.
	SignupID uuid.UUID
	// SchoolName is for people, Slug for names. No two schools have the same slug.
	SchoolName, Slug string
	// Role is one of [RoleOwner], [RoleAdmin] and [RoleMember].
	Role string
}

// Assignment is what an enrolment came to.
type Assignment struct {
	// OrganizationID is the provider's id of the school's organization; empty where it has none.
	OrganizationID string
}

// MembershipManager is an optional ability of a [Provider]: to give a login its place in a school.
//
// Errors are those of Lookup: [ErrNotFound] when the login is gone, *[Misconfigured] when what an operator must have made
// (a role, an application) is not there, and otherwise one for which [Temporary] or [OutcomeUnknown] is true.
type MembershipManager interface {
	// ManagesMemberships tells whether there is anything to do as the provider is set up.
	ManagesMemberships() bool
	// Prepare looks up what Enrol needs and has not made itself, so that what is missing is known before anything is
	// written. It is cheap after the first time.
	Prepare(ctx context.Context) error
	// Assign makes sure of the whole place: the organization, its connection, the membership, the role. It does what is
	// missing, may be called any number of times, and may be repeated after an unknown outcome: it looks before it makes.
	Assign(ctx context.Context, membership Membership) (Assignment, error)
	// Unassign takes the place away again: the membership and the role, and the organization where it was made for this
	// tenant and nobody else is in it. What is gone already is a success.
	Unassign(ctx context.Context, membership Membership) error
}

// MembershipManagerOf finds the ability where there is anything to do.
func MembershipManagerOf(p Provider) (MembershipManager, bool) {
	manager, ok := p.(MembershipManager)
	return manager, ok && manager.ManagesMemberships()
}

// AccountLinker is an optional ability of a [Provider]: to take on a login that was not made by [Provider.Create], such as one
// that its owner made on the provider's own page. Logins are named by the provider's id.
type AccountLinker interface {
	// Find reads a login. It fails with [ErrNotFound] when there is none.
	Find(ctx context.Context, id string) (User, error)
	// LinkAccount writes our metadata on a login, and leaves what others wrote, and what is empty in ours: only Release takes
	// anything away. It may be repeated. It fails with [ErrNotFound] when there is no such login.
	LinkAccount(ctx context.Context, id string, metadata Metadata) (User, error)
	// UnlinkAccount takes our metadata off a login again if it still carries this sign-up's id; one that does not, or is gone,
	// is a success.
	UnlinkAccount(ctx context.Context, id, signupID string) error
}

// Verifier is an optional ability of a [Provider]: to be told that an e-mail address belongs to the login's owner.
type Verifier interface {
	// Verify marks the login's e-mail as verified. It may be repeated. It fails with [ErrNotFound] when there is no such
	// login. The id is the provider's.
	Verify(ctx context.Context, id string) error
}

// PasswordSetter is an optional ability of a [Provider] that [TakesPassword]: to give a login that we made another password.
type PasswordSetter interface {
	// SetPassword replaces the password; the old one opens nothing any more. It may be repeated. It fails with a *[Rejected]
	// when the provider refuses the password, and with [ErrNotFound] when there is no such login. The id is the provider's.
	SetPassword(ctx context.Context, id string, password secret.String) error
}

// Session is a login that has just been used.
type Session struct {
	// Token is the access token for the service's own API.
	Token     secret.String
	ExpiresAt time.Time
}

// SessionOpener is an optional ability of a [Provider]: to log a person in with the password that they chose a moment ago.
type SessionOpener interface {
	// OpenSession logs in. client is the address of the person, for the provider's own limits; it may be empty. It fails
	// with a *[Rejected] when the provider does not let this person in, and otherwise as Lookup does.
	OpenSession(ctx context.Context, email string, password secret.String, client string) (Session, error)
}

// PasswordResetLinker is an optional ability of a [Provider]: to make a link with which a person chooses a password.
type PasswordResetLinker interface {
	// PasswordResetLink returns a link that works once, until ttl has passed; afterwards the person goes on to returnTo. The
	// link is a secret. It fails with [ErrNotFound] when there is no such login. The id is the provider's.
	PasswordResetLink(ctx context.Context, id, returnTo string, ttl time.Duration) (secret.String, error)
}

// Organization is one that an enrolment made for a school.
type Organization struct {
	// ID and Name are the provider's.
	ID, Name string
	// TenantID and SignupID are of the enrolment that made it.
	TenantID, SignupID string
}

// OrganizationLister is an optional ability of a [MembershipManager] that makes organizations: to tell all that it made, for an
// auditor who looks for those without a tenant, or without anybody in them.
type OrganizationLister interface {
	// ManagesOrganizations tells whether organizations are made as the provider is set up.
	ManagesOrganizations() bool
	// ListOrganizations calls each for every organization that carries a tenant's id, once, in no promised order; there
	// are none where none are made. All else is as [Lister.List] has it.
	ListOrganizations(ctx context.Context, each func(Organization) error) error
	// OrganizationEmpty tells whether nobody is in an organization, or it is gone. Whoever came in the last seconds may be
	// overlooked.
	OrganizationEmpty(ctx context.Context, id string) (bool, error)
	// RemoveEmptyOrganization removes an organization if it still is the listed tenant's and deserted, and tells whether it is gone.
	RemoveEmptyOrganization(ctx context.Context, organization Organization) (bool, error)
}
