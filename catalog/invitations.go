package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Invitation allows a person to join a school, or to sign up one.
type Invitation struct {
	ID uuid.UUID
	// TenantID is the school to join; nil invites the person to sign up a school.
	TenantID *uuid.UUID
	Email    string
	Role     string
	// Locale is the person's language; empty means the service's default.
	Locale    string
	InvitedBy string
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt *time.Time
	// AcceptedAt is when the person has joined.
	AcceptedAt *time.Time
	// Expired is decided by the catalog's clock.
	Expired bool
}

// Open reports whether it can still be accepted.
func (i Invitation) Open() bool { return i.RevokedAt == nil && i.AcceptedAt == nil && !i.Expired }

const invitationColumns = `id, tenant_id, email, role, coalesce(locale, '') as locale, invited_by, created_at, expires_at,
	revoked_at, accepted_at, expires_at <= now() as expired`

// NewInvitation is an invitation to insert.
type NewInvitation struct {
	ID                             uuid.UUID
	TenantID                       *uuid.UUID
	Email, Role, Locale, InvitedBy string
	// Lasts is how long it can be accepted.
	Lasts time.Duration
}

// InviteTx inserts an invitation. An existing one of this address to the same school is renewed instead, with the new
// role and expiry. It keeps its id, so that the links in earlier mails stay valid.
func (s *Store) InviteTx(ctx context.Context, tx pgx.Tx, n NewInvitation) (Invitation, error) {
	invitation, err := one[Invitation](ctx, tx, `
		insert into invitations (id, tenant_id, email, role, locale, invited_by, expires_at)
		values ($1, $2, $3, $4, nullif($5, ''), $6, now() + $7::interval)
		on conflict (tenant_id, email) where revoked_at is null and accepted_at is null do update
		set role = excluded.role, locale = excluded.locale, invited_by = excluded.invited_by, expires_at = excluded.expires_at
		returning `+invitationColumns, n.ID, n.TenantID, n.Email, n.Role, n.Locale, n.InvitedBy, n.Lasts)
	if err != nil {
		return Invitation{}, fmt.Errorf("invite to tenant %v: %w", n.TenantID, known(err))
	}
	return invitation, nil
}

// Invitation finds an invitation, open or not.
func (s *Store) Invitation(ctx context.Context, id uuid.UUID) (Invitation, error) {
	invitation, err := one[Invitation](ctx, s.pool, `select `+invitationColumns+` from invitations where id = $1`, id)
	if err != nil {
		return Invitation{}, fmt.Errorf("find invitation %s: %w", id, known(err))
	}
	return invitation, nil
}

var invitationList = list[Invitation]{
	query: `select ` + invitationColumns + ` from invitations where tenant_id is not distinct from $1`,
	key:   "created_at, id", table: "invitations", newestFirst: true, id: func(i Invitation) uuid.UUID { return i.ID },
}

// Invitations lists the invitations to a school, or with nil those to sign up one, the newest first. It fails with
// [ErrBadCursor].
func (s *Store) Invitations(ctx context.Context, tenant *uuid.UUID, cursor string, limit int) (Page[Invitation], error) {
	invitations, err := invitationList.page(ctx, s.pool, cursor, limit, tenant)
	if err != nil {
		return Page[Invitation]{}, fmt.Errorf("list invitations: %w", err)
	}
	return invitations, nil
}

// RevokeInvitationTx revokes an invitation. It fails with [ErrStateChanged] if it was accepted, and does nothing if it
// was revoked before.
func (s *Store) RevokeInvitationTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return changeOne(ctx, tx, "revoke invitation", id, `
		update invitations set revoked_at = coalesce(revoked_at, now()) where id = $1 and accepted_at is null`, id)
}
