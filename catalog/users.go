package catalog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Person is what a person has entered about themselves. All of it is optional.
type Person struct {
	GivenName, FamilyName, Name string
	// Profile holds further fields, by the names that the service's settings have.
	Profile map[string]string
}

// User is a person who belongs to a school.
type User struct {
	ID uuid.UUID
	// TenantID is the zero UUID while the person's sign-up waits.
	TenantID uuid.UUID
	Email    string
	// IdentityID is the identity provider's id, such as "auth0|0199…"; empty until it is known.
	IdentityID    string
	EmailVerified bool
	Role          string
	Person
	// Locale is the person's language; empty means the service's default.
	Locale    string
	CreatedAt time.Time
}

const userColumns = `id, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') as tenant_id, email, coalesce(identity_id, '') as identity_id, email_verified, role,
	coalesce(given_name, '') as given_name, coalesce(family_name, '') as family_name, coalesce(name, '') as name,
	profile, coalesce(locale, '') as locale, created_at`

// UserByIdentity finds the active user with this identity.
func (s *Store) UserByIdentity(ctx context.Context, identityID string) (User, error) {
	user, err := one[User](ctx, s.pool, `
		select `+userColumns+`
		from users
		where identity_id = $1 and state = 'active'`, identityID)
	if err != nil {
		return User{}, fmt.Errorf("find user by identity: %w", known(err))
	}
	return user, nil
}

// UserByID finds a user, whatever its state.
func (s *Store) UserByID(ctx context.Context, id uuid.UUID) (User, error) {
	user, err := one[User](ctx, s.pool, `select `+userColumns+` from users where id = $1`, id)
	if err != nil {
		return User{}, fmt.Errorf("find user %s: %w", id, known(err))
	}
	return user, nil
}

// UserByEmail finds the live user with this normalised e-mail, including a pending one. A person whose sign-up waits
// for the e-mail's confirmation is not its user yet.
func (s *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	user, err := one[User](ctx, s.pool, `
		select `+userColumns+`
		from users
		where email = $1 and state in ('pending', 'active')`, email)
	if err != nil {
		return User{}, fmt.Errorf("find user by e-mail: %w", known(err))
	}
	return user, nil
}

// MarkEmailVerified records that a user has proved that their e-mail is theirs.
func (s *Store) MarkEmailVerified(ctx context.Context, id uuid.UUID) error {
	return changeOne(ctx, s.pool, "record the verified e-mail of user", id, `
		update users set email_verified = true, updated_at = now() where id = $1 and state = 'active'`, id)
}

// DisplayName returns the person's name for others: the name, or its known parts; never the e-mail. It may be empty.
func (u User) DisplayName() string {
	if u.Name != "" {
		return u.Name
	}
	return strings.TrimSpace(u.GivenName + " " + u.FamilyName)
}
