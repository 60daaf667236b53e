package signup_test

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// The sign-ups of the simulated catalog that wait for a person, and its invitations.

// Wait implements signup.Store.
func (r storeSim) Wait(ctx context.Context, like catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, waitTimeout time.Duration) error {
	return r.change(ctx, "wait", like.ID, func(rows *rows) error {
		err := rows.wait(like, identity, status, steps, waitTimeout)
		if err == nil {
			r.w.waiting[like.ID] = time.Now()
		}
		return err
	})
}

// Admit implements signup.Store. The real one is a transaction, so nobody sees a part of it.
func (r storeSim) Admit(ctx context.Context, like catalog.Signup, want catalog.ReserveParams) (catalog.Reservation, error) {
	return write(ctx, r, "admit", like.ID, "", func(rows *rows) (catalog.Reservation, error) {
		held, err := rows.admit(like, want)
		if err == nil {
			r.w.setName(held.Tenant.ID, "tenant ")
		}
		return held, err
	})
}

// ExpireTx implements signup.Store.
func (r storeSim) ExpireTx(ctx context.Context, tx pgx.Tx, like catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return r.inTx(ctx, tx, "expire", like.ID, func(rows *rows) error {
		return r.recordFreedEmail(like, rows.expire(like, steps, problem, delay))
	})
}

// ResumeTx implements signup.Store.
func (r storeSim) ResumeTx(ctx context.Context, tx pgx.Tx, like catalog.Signup, lease time.Duration) (resumed catalog.Signup, err error) {
	err = r.inTx(ctx, tx, "resume", like.ID, func(rows *rows) (err error) {
		resumed, err = rows.resume(like, lease)
		return err
	})
	return resumed, err
}

// EmitTx implements signup.Store.
func (r storeSim) EmitTx(ctx context.Context, tx pgx.Tx, event catalog.OutboxEvent) error {
	return r.inTx(ctx, tx, "emit "+event.Type, uuid.Nil, func(rows *rows) error {
		var notice catalog.Notification
		if err := json.Unmarshal(event.Data, &notice); err != nil {
			return err
		}
		about := event.SignupID
		if notice.InvitationID != nil {
			about = notice.InvitationID
		}
		rows.addMail(event.Type, *about, notice.Email)
		return nil
	})
}

// ReserveUnconfirmed implements signup.Store.
func (r storeSim) ReserveUnconfirmed(ctx context.Context, want catalog.ReserveParams, hideAccounts, notify bool, waitTimeout time.Duration) (catalog.Reservation, error) {
	return write(ctx, r, "reserve unconfirmed", uuid.Nil, want.Email+" "+want.IdempotencyKey, func(rows *rows) (catalog.Reservation, error) {
		held, err := rows.reserveUnconfirmed(want, hideAccounts, notify, waitTimeout)
		if err == nil {
			r.w.setName(want.SignupID, "sign-up ")
			r.w.names.Store(want.UserID, "user of "+r.w.name(want.SignupID))
			r.w.waiting[want.SignupID] = time.Now()
		}
		return held, err
	})
}

// SignupByIdentity implements signup.Store.
func (r storeSim) SignupByIdentity(ctx context.Context, id string) (catalog.Signup, error) {
	about, detail := nameOf(id)
	return read(ctx, r, "sign-up by login", about, detail, func(rows *rows) (catalog.Signup, error) { return rows.signupByIdentity(id) })
}

// MarkEmailVerified implements signup.Store. The model does not use it.
func (r storeSim) MarkEmailVerified(ctx context.Context, id uuid.UUID) error {
	return r.change(ctx, "e-mail proven", id, func(*rows) error { return nil })
}

// TakeAllowance implements signup.Store. Limits are never reached in the model.
func (r storeSim) TakeAllowance(ctx context.Context, _ string, _ catalog.Allowance) (catalog.Grant, error) {
	return write(ctx, r, "take allowance", uuid.Nil, "", func(*rows) (catalog.Grant, error) {
		return catalog.Grant{Allowed: true}, nil
	})
}

// TakeAllowances implements signup.Store.
func (r storeSim) TakeAllowances(ctx context.Context, limits []catalog.Limit) ([]catalog.Grant, error) {
	return write(ctx, r, "take allowances", uuid.Nil, "", func(*rows) ([]catalog.Grant, error) {
		return slices.Repeat([]catalog.Grant{{Allowed: true}}, len(limits)), nil
	})
}

// ReturnAllowances implements signup.Store.
func (r storeSim) ReturnAllowances(ctx context.Context, _ []catalog.Limit) error {
	return r.change(ctx, "return allowances", uuid.Nil, func(*rows) error { return nil })
}

// InviteTx implements signup.Store.
func (r storeSim) InviteTx(ctx context.Context, tx pgx.Tx, n catalog.NewInvitation) (made catalog.Invitation, err error) {
	err = r.inTx(ctx, tx, "invite", uuid.Nil, func(rows *rows) error {
		made = rows.invite(n)
		r.w.setName(made.ID, "invitation ")
		return nil
	})
	return made, err
}

// Invitation implements signup.Store.
func (r storeSim) Invitation(ctx context.Context, id uuid.UUID) (catalog.Invitation, error) {
	return read(ctx, r, "invitation", id, "", func(rows *rows) (catalog.Invitation, error) { return rows.invitation(id) })
}

// RevokeInvitationTx implements signup.Store.
func (r storeSim) RevokeInvitationTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return r.inTx(ctx, tx, "revoke invitation", id, func(rows *rows) error { return rows.revokeInvitation(id) })
}

// UserByIdentity implements signup.Store.
func (r storeSim) UserByIdentity(ctx context.Context, id string) (catalog.User, error) {
	about, detail := nameOf(id)
	return read(ctx, r, "user by identity", about, detail, func(rows *rows) (catalog.User, error) {
		for _, row := range rows.users {
			if row.IdentityID == id && row.state == "active" {
				return row.User, nil
			}
		}
		return catalog.User{}, catalog.ErrNotFound
	})
}
