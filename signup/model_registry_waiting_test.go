package signup_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// The sign-ups of the simulated catalog that wait for a person, and its invitations, of which it has none.

// Wait implements signup.Registry.
func (r registrySim) Wait(ctx context.Context, like catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, patience time.Duration) error {
	return r.change(ctx, "wait", like.ID, func(rows *rows) error { return rows.wait(like, identity, status, steps, patience) })
}

// Admit implements signup.Registry. The real one is a transaction, of which nobody sees a part.
func (r registrySim) Admit(ctx context.Context, like catalog.Signup, want catalog.Reservation) (catalog.Held, error) {
	return write(ctx, r, "admit", like.ID, "", func(rows *rows) (catalog.Held, error) {
		held, err := rows.admit(like, want)
		if err == nil {
			r.w.christen(held.Tenant.ID, "tenant ")
		}
		return held, err
	})
}

// ExpireTx implements signup.Registry.
func (r registrySim) ExpireTx(ctx context.Context, tx pgx.Tx, like catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return r.inTx(ctx, tx, "expire", like.ID, func(rows *rows) error { return rows.expire(like, steps, problem, delay) })
}

// EmitTx implements signup.Registry.
func (r registrySim) EmitTx(ctx context.Context, tx pgx.Tx, event catalog.OutboxEvent) error {
	return r.inTx(ctx, tx, "emit "+event.Type, uuid.Nil, func(*rows) error { return nil })
}

// ReserveQuietly implements signup.Registry.
func (r registrySim) ReserveQuietly(context.Context, catalog.Reservation, bool, time.Duration) (catalog.Held, bool, error) {
	panic("nothing is concealed in the simulated world")
}

// IdentityKnown implements signup.Registry.
func (r registrySim) IdentityKnown(context.Context, catalog.Signup, catalog.Identity) error {
	panic("nothing is concealed in the simulated world")
}

// TakeAllowance implements signup.Registry.
func (r registrySim) TakeAllowance(context.Context, string, catalog.Allowance, string) (catalog.Grant, error) {
	return catalog.Grant{Allowed: true}, nil
}

// InviteTx implements signup.Registry.
func (r registrySim) InviteTx(context.Context, pgx.Tx, catalog.NewInvitation) (catalog.Invitation, error) {
	panic("nobody is invited in the simulated world")
}

// Invitation implements signup.Registry.
func (r registrySim) Invitation(context.Context, uuid.UUID) (catalog.Invitation, error) {
	panic("nobody is invited in the simulated world")
}

// RevokeInvitationTx implements signup.Registry.
func (r registrySim) RevokeInvitationTx(context.Context, pgx.Tx, uuid.UUID) error {
	panic("nobody is invited in the simulated world")
}

// UserByIdentity implements signup.Registry.
func (r registrySim) UserByIdentity(ctx context.Context, id string) (catalog.User, error) {
	return read(ctx, r, "user by identity", uuid.Nil, id, func(rows *rows) (catalog.User, error) {
		for _, row := range rows.users {
			if row.IdentityID == id && row.state == "active" {
				return row.User, nil
			}
		}
		return catalog.User{}, catalog.ErrNotFound
	})
}

// wait lets a sign-up wait for a person.
func (r *rows) wait(like catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, patience time.Duration) error {
	row := r.held(like, catalog.Pending, catalog.AwaitingVerification)
	if row == nil {
		return catalog.ErrStateChanged
	}
	if r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	row.Status, row.Steps, row.CheckAt = status, steps, in(patience)
	row.LeaseEpoch++
	user := r.user(row.UserID)
	user.IdentityID, user.EmailVerified = identity.ID, identity.EmailVerified
	return nil
}

// admit gives a sign-up that has no tenant one.
func (r *rows) admit(like catalog.Signup, want catalog.Reservation) (catalog.Held, error) {
	row := r.held(like, catalog.Pending, catalog.AwaitingVerification, catalog.AwaitingApproval)
	if row == nil || row.TenantID != nil {
		return catalog.Held{}, catalog.ErrStateChanged
	}
	t, spare := r.place(want)
	if t == nil {
		return catalog.Held{}, catalog.ErrNoRoom
	}
	if r.slugTaken(want.Slug) {
		want.Slug = r.nextSlug(want.Slug)
	}
	r.settleIn(t, spare, want)
	user := r.user(row.UserID)
	user.TenantID = t.ID
	user.EmailVerified = user.EmailVerified || row.Status == catalog.AwaitingVerification
	row.Status, row.TenantID, row.CheckAt = catalog.Provisioning, &t.ID, in(want.Lease)
	row.LeaseEpoch++
	return catalog.Held{Signup: *row, Tenant: *t}, nil
}
