package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/secret"
)

// Passwordless is an optional ability of a [Provider]: people log in without a password that they chose in Homeroom.
// Create then ignores [NewUser.Password].
type Passwordless interface {
	// Passwordless reports whether the configured provider works without passwords.
	Passwordless() bool
}

// TakesPassword reports whether this provider creates accounts with a password.
func TakesPassword(p Provider) bool {
	without, ok := p.(Passwordless)
	return !ok || !without.Passwordless()
}

// MetadataUnsupported is an optional trait of a [Provider]: it stores no [Metadata], so the users that it returns have none.
// The id alone ([User.OurID]), which is new for each sign-up, then identifies the sign-up that created an account.
type MetadataUnsupported interface {
	// MetadataUnsupported reports whether the configured provider stores no metadata.
	MetadataUnsupported() bool
}

// SupportsMetadata reports whether the provider returns the metadata that an account was created with.
func SupportsMetadata(p Provider) bool {
	without, ok := p.(MetadataUnsupported)
	return !ok || !without.MetadataUnsupported()
}

// The roles of a person at a school. A provider maps them to its own roles, by configuration.
const (
	// RoleOwner is the role of the person who signed up the school.
	RoleOwner = "owner"
	// RoleAdmin is the role of people who may invite others.
	RoleAdmin = "admin"
	// RoleMember is the role of everybody else.
	RoleMember = "member"
)

// Roles are all roles.
var Roles = []string{RoleOwner, RoleAdmin, RoleMember}

// Membership is a role of an account at a school.
type Membership struct {
	// UserID is the provider's id of the account ([User.ID]).
	UserID string
	// OurID is our id, if the account was created with one ([User.OurID]).
	OurID uuid.UUID
	// TenantID is the id of the school. It is stored in the organization that is created for the school, and finds it again.
	TenantID uuid.UUID
	// SignupID is the sign-up that asks for the membership.
	SignupID uuid.UUID
	// SchoolName is for people, Slug for names. No two schools have the same slug.
	SchoolName, Slug string
	// Role is one of [RoleOwner], [RoleAdmin] and [RoleMember].
	Role string
}

// Assignment is the result of [MembershipManager.Assign].
type Assignment struct {
	// OrganizationID is the provider's id of the school's organization; empty where it has none.
	OrganizationID string
}

// MembershipManager is an optional ability of a [Provider]: to give accounts memberships in schools.
//
// Errors are those of Lookup: [ErrNotFound] when the account does not exist, *[Misconfigured] when something that an operator
// must create (a role, an application) does not exist, and otherwise one for which [Temporary] or [OutcomeUnknown] is true.
type MembershipManager interface {
	// ManagesMemberships reports whether the configured provider has roles or organizations to assign.
	ManagesMemberships() bool
	// Prepare looks up what Assign needs and does not create itself, so that a missing role is an error before anything is
	// written. It is cheap after the first call.
	Prepare(ctx context.Context) error
	// Assign creates what is missing of a membership: the organization, its connection, the member, the role. It may be
	// repeated, also after an unknown outcome, since it looks before it creates.
	Assign(ctx context.Context, membership Membership) (Assignment, error)
	// Unassign removes a membership: the member and the role, and the organization if it was created for this tenant and has
	// no other members. It succeeds if there is nothing to remove.
	Unassign(ctx context.Context, membership Membership) error
}

// MembershipManagerOf returns the provider as a [MembershipManager], if it is configured to manage memberships.
func MembershipManagerOf(p Provider) (MembershipManager, bool) {
	manager, ok := p.(MembershipManager)
	return manager, ok && manager.ManagesMemberships()
}

// AccountLinker is an optional ability of a [Provider]: to use an account that [Provider.Create] did not create, such as one
// that its owner created on the provider's own page. Accounts are identified by the provider's id.
type AccountLinker interface {
	// Find reads an account. It fails with [ErrNotFound] when there is none.
	Find(ctx context.Context, id string) (User, error)
	// LinkAccount writes our metadata on an account. It leaves metadata of others unchanged, and removes no value of ours:
	// empty values are not written. It may be repeated. It fails with [ErrNotFound] when there is no such account.
	LinkAccount(ctx context.Context, id string, metadata Metadata) (User, error)
	// UnlinkAccount removes our metadata from an account that still has this sign-up's id. It succeeds if the account has
	// another id, or does not exist.
	UnlinkAccount(ctx context.Context, id, signupID string) error
}

// Verifier is an optional ability of a [Provider]: to mark an e-mail address as verified.
type Verifier interface {
	// Verify marks the account's e-mail as verified. It may be repeated. It fails with [ErrNotFound] when there is no such
	// account. The id is the provider's.
	Verify(ctx context.Context, id string) error
}

// PasswordSetter is an optional ability of a [Provider] that [TakesPassword]: to replace the password of an account that we
// created.
type PasswordSetter interface {
	// SetPassword replaces the password; the old one is no longer valid. It may be repeated. It fails with a *[Rejected]
	// when the provider refuses the password, and with [ErrNotFound] when there is no such account. The id is the provider's.
	SetPassword(ctx context.Context, id string, password secret.String) error
}

// Session is the result of a login.
type Session struct {
	// Token is the access token for the service's own API.
	Token     secret.String
	ExpiresAt time.Time
}

// SessionOpener is an optional ability of a [Provider]: to log a person in with the password that they have just chosen.
type SessionOpener interface {
	// OpenSession logs in. client is the person's IP address, for the provider's own limits; it may be empty. It fails
	// with a *[Rejected] when the provider refuses the person, and otherwise as Lookup does.
	OpenSession(ctx context.Context, email string, password secret.String, client string) (Session, error)
}

// PasswordResetLinker is an optional ability of a [Provider]: to create a link to a page where a person chooses a password.
type PasswordResetLinker interface {
	// PasswordResetLink returns a link that works once, until ttl has passed. The page then redirects to returnTo. The
	// link is a secret. It fails with [ErrNotFound] when there is no such account. The id is the provider's.
	PasswordResetLink(ctx context.Context, id, returnTo string, ttl time.Duration) (secret.String, error)
}

// Organization is an organization that Assign created for a school.
type Organization struct {
	// ID and Name are the provider's.
	ID, Name string
	// TenantID and SignupID are of the membership that it was created for.
	TenantID, SignupID string
}

// OrganizationLister is an optional ability of a [MembershipManager] that creates organizations: to list them, so that an
// audit finds those without a tenant or without members.
type OrganizationLister interface {
	// ManagesOrganizations reports whether the configured provider creates organizations.
	ManagesOrganizations() bool
	// ListOrganizations calls each once for every organization that has a tenant's id, in no particular order; never if
	// no organizations are created. Everything else is as in [Lister.List].
	ListOrganizations(ctx context.Context, each func(Organization) error) error
	// OrganizationEmpty reports whether an organization has no members, or does not exist. Members of the last seconds may
	// be missed.
	OrganizationEmpty(ctx context.Context, id string) (bool, error)
	// RemoveEmptyOrganization removes an organization if it still is the listed tenant's and has no members. It reports
	// whether the organization no longer exists.
	RemoveEmptyOrganization(ctx context.Context, organization Organization) (bool, error)
}
