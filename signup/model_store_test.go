package signup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/modeltest"
	"homeroom/signup"
)

// storeSim is a process's connection to the simulated catalog.
type storeSim struct {
	w    *world
	proc *process
}

var _ signup.Store = storeSim{}

// rowsLock is held by an open transaction, and blocks all other writes. The real catalog blocks fewer.
const rowsLock = "the rows"

// call returns a statement. Writes wait for an open transaction.
func (r storeSim) call(what string, about uuid.UUID, detail string, write bool) *modeltest.Call {
	c := &modeltest.Call{
		Process: r.proc.Process, System: "catalog", What: what, About: r.w.describe(about, detail),
		Lost: func() error { return fmt.Errorf("%s: %w", what, io.ErrUnexpectedEOF) },
	}
	if write {
		c.Blocked = func() bool { return r.w.LockedByOther(rowsLock, c.Session) }
	}
	return c
}

// read and write execute a statement.
func read[T any](ctx context.Context, r storeSim, what string, about uuid.UUID, detail string, f func(*rows) (T, error)) (T, error) {
	return modeltest.Ask(ctx, r.w.World, r.call(what, about, detail, false), func() (T, error) { return f(&r.w.catalog) })
}

func write[T any](ctx context.Context, r storeSim, what string, about uuid.UUID, detail string, f func(*rows) (T, error)) (T, error) {
	return modeltest.Ask(ctx, r.w.World, r.call(what, about, detail, true), func() (T, error) { return f(&r.w.catalog) })
}

// change executes a write without an answer.
func (r storeSim) change(ctx context.Context, what string, about uuid.UUID, f func(*rows) error) error {
	return modeltest.Do(ctx, r.w.World, r.call(what, about, "", true), func() error { return f(&r.w.catalog) })
}

// txSim is a transaction. rows are the rows as it sees them, from its first statement on.
type txSim struct {
	pgx.Tx
	session modeltest.Session
	rows    *rows
}

// InTx implements signup.Store.
func (r storeSim) InTx(ctx context.Context, f func(pgx.Tx) error) error {
	tx := &txSim{}
	defer tx.session.Close() // the death of a process rolls back too
	if err := f(tx); err != nil {
		return err
	}
	return r.inTx(ctx, tx, "commit", uuid.Nil, func(rows *rows) error {
		r.w.catalog = *rows
		delete(r.w.Locks, rowsLock)
		return nil
	})
}

// inTx executes a statement of a transaction. The first one begins it.
func (r storeSim) inTx(ctx context.Context, tx pgx.Tx, what string, about uuid.UUID, f func(*rows) error) error {
	sim := tx.(*txSim)
	c := r.call(what, about, "in a transaction", true)
	c.Session, c.NeverLate = &sim.session, sim.rows != nil
	return modeltest.Do(ctx, r.w.World, c, func() error {
		if sim.session.Closed() && what != "commit" {
			return io.ErrClosedPipe // it will never be committed
		}
		if sim.rows == nil {
			sim.rows = r.w.catalog.clone()
			r.w.Locks[rowsLock] = &sim.session
		}
		return f(sim.rows)
	})
}

// Reserve implements signup.Store.
func (r storeSim) Reserve(ctx context.Context, want catalog.ReserveParams) (catalog.Reservation, error) {
	return write(ctx, r, "reserve", uuid.Nil, want.Email+" "+want.IdempotencyKey, func(rows *rows) (catalog.Reservation, error) {
		held, err := rows.reserve(want)
		if err == nil {
			r.w.setName(want.SignupID, "sign-up ")
			if !want.Waits {
				r.w.setName(held.Tenant.ID, "tenant ")
			}
			r.w.names.Store(want.UserID, "user of "+r.w.name(want.SignupID))
		}
		return held, err
	})
}

// Signup implements signup.Store.
func (r storeSim) Signup(ctx context.Context, id uuid.UUID) (catalog.Signup, error) {
	return r.findSignup(ctx, "sign-up", id, "", func(s catalog.Signup) bool { return s.ID == id })
}

// SignupByKey implements signup.Store.
func (r storeSim) SignupByKey(ctx context.Context, key string) (catalog.Signup, error) {
	return r.findSignup(ctx, "sign-up by key", uuid.Nil, key, func(s catalog.Signup) bool {
		return s.IdempotencyKey != nil && *s.IdempotencyKey == key
	})
}

// SignupByUser implements signup.Store.
func (r storeSim) SignupByUser(ctx context.Context, user uuid.UUID) (catalog.Signup, error) {
	return r.findSignup(ctx, "sign-up by user", user, "", func(s catalog.Signup) bool { return s.UserID == user })
}

func (r storeSim) findSignup(ctx context.Context, what string, about uuid.UUID, detail string, match func(catalog.Signup) bool) (catalog.Signup, error) {
	return read(ctx, r, what, about, detail, func(rows *rows) (catalog.Signup, error) {
		for _, row := range rows.signups {
			if match(row) {
				return row, nil
			}
		}
		return catalog.Signup{}, catalog.ErrNotFound
	})
}

// UserByID implements signup.Store.
func (r storeSim) UserByID(ctx context.Context, id uuid.UUID) (catalog.User, error) {
	return read(ctx, r, "user", id, "", func(rows *rows) (catalog.User, error) {
		if row := rows.user(id); row != nil {
			return row.User, nil
		}
		return catalog.User{}, catalog.ErrNotFound
	})
}

// UserByEmail implements signup.Store.
func (r storeSim) UserByEmail(ctx context.Context, email string) (catalog.User, error) {
	return read(ctx, r, "user by e-mail", uuid.Nil, email, func(rows *rows) (catalog.User, error) { return rows.findUser(email) })
}

// TakeOver implements signup.Store.
func (r storeSim) TakeOver(ctx context.Context, id uuid.UUID, lease time.Duration) (catalog.Signup, error) {
	return write(ctx, r, "take over", id, "", func(rows *rows) (catalog.Signup, error) { return rows.takeOver(id, lease) })
}

// Due implements signup.Store.
func (r storeSim) Due(ctx context.Context, lease time.Duration, limit int) ([]catalog.Signup, error) {
	return write(ctx, r, "due", uuid.Nil, "", func(rows *rows) ([]catalog.Signup, error) { return rows.due(lease, limit), nil })
}

// Renew implements signup.Store.
func (r storeSim) Renew(ctx context.Context, s catalog.Signup, lease time.Duration) error {
	return r.change(ctx, "renew", s.ID, func(rows *rows) error { return rows.retryLater(s, nil, lease) })
}

// RetryLater implements signup.Store.
func (r storeSim) RetryLater(ctx context.Context, s catalog.Signup, steps json.RawMessage, delay time.Duration) error {
	return r.change(ctx, "retry later", s.ID, func(rows *rows) error { return rows.retryLater(s, steps, delay) })
}

// RecordIdentity implements signup.Store.
func (r storeSim) RecordIdentity(ctx context.Context, s catalog.Signup, identity catalog.Identity, steps json.RawMessage, lease time.Duration) error {
	return r.change(ctx, "identity made", s.ID, func(rows *rows) error { return rows.recordIdentity(s, identity, steps, lease) })
}

// Finish implements signup.Store.
func (r storeSim) Finish(ctx context.Context, s catalog.Signup, identity catalog.Identity, health catalog.Health, steps, result json.RawMessage) error {
	return r.change(ctx, "finish", s.ID, func(rows *rows) error { return rows.finish(s, identity, health, steps, result) })
}

// Undo implements signup.Store.
func (r storeSim) Undo(ctx context.Context, s catalog.Signup, steps, problem json.RawMessage) error {
	return r.changeReturningSpare(ctx, "undo", s, func(rows *rows) error { return r.recordFreedEmail(s, rows.undo(s, steps, problem)) })
}

// Expire implements signup.Store.
func (r storeSim) Expire(ctx context.Context, s catalog.Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return r.change(ctx, "expire", s.ID, func(rows *rows) error {
		err := r.recordFreedEmail(s, rows.expire(s, steps, problem, delay))
		if since, waits := r.w.waiting[s.ID]; err == nil && waits && time.Since(since) < waitTimeout {
			r.w.Failf("%s expired after %s", r.w.name(s.ID), time.Since(since))
		}
		return err
	})
}

// recordFreedEmail records that an e-mail is free again, unless the change failed.
func (r storeSim) recordFreedEmail(s catalog.Signup, err error) error {
	if err == nil {
		r.w.freed[s.Email] = time.Now()
	}
	return err
}

// RecheckDone implements signup.Store.
func (r storeSim) RecheckDone(ctx context.Context, s catalog.Signup) error {
	return r.changeReturningSpare(ctx, "looked again", s, func(rows *rows) error { return rows.recheckDone(s) })
}

// changeReturningSpare executes a change that may return a spare to the stock, which then has more spares than
// configured.
func (r storeSim) changeReturningSpare(ctx context.Context, what string, s catalog.Signup, f func(*rows) error) error {
	return r.change(ctx, what, s.ID, func(rows *rows) error {
		err := f(rows)
		if err == nil && s.Kind == catalog.School && s.TenantID != nil && rows.tenant(*s.TenantID) != nil {
			r.w.sparesReturned++
		}
		return err
	})
}

// NeedsOperator implements signup.Store.
func (r storeSim) NeedsOperator(ctx context.Context, s catalog.Signup, steps, problem json.RawMessage) error {
	return r.change(ctx, "needs operator", s.ID, func(rows *rows) error { return rows.needsOperator(s, steps, problem) })
}

// SlugFree implements signup.Store.
func (r storeSim) SlugFree(context.Context, string) (bool, error) {
	return false, errors.ErrUnsupported // not a part of the saga
}
