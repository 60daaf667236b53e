package signup_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/modeltest"
	"homeroom/signup"
)

// The tenants of the simulated catalog, and its queue.

// Tenant implements signup.Store.
func (r storeSim) Tenant(ctx context.Context, idSlugOrDatabase string) (catalog.Tenant, error) {
	return read(ctx, r, "tenant", uuid.Nil, "", func(rows *rows) (catalog.Tenant, error) { return rows.findTenant(idSlugOrDatabase) })
}

// TenantByID implements signup.Store.
func (r storeSim) TenantByID(ctx context.Context, id uuid.UUID) (catalog.Tenant, error) {
	return read(ctx, r, "tenant", id, "", func(rows *rows) (catalog.Tenant, error) {
		if row := rows.tenant(id); row != nil {
			return *row, nil
		}
		return catalog.Tenant{}, catalog.ErrNotFound
	})
}

// SetSteps implements signup.Store.
func (r storeSim) SetSteps(ctx context.Context, id uuid.UUID, steps json.RawMessage) error {
	return r.change(ctx, "set steps", id, func(rows *rows) error { return rows.setSteps(id, steps) })
}

// SetStepsTx implements signup.Store.
func (r storeSim) SetStepsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, steps json.RawMessage) error {
	return r.inTx(ctx, tx, "set steps", id, func(rows *rows) error { return rows.setSteps(id, steps) })
}

// MarkHealthy implements signup.Store.
func (r storeSim) MarkHealthy(ctx context.Context, id uuid.UUID, health catalog.Health) error {
	return r.change(ctx, "healthy", id, func(rows *rows) error { return rows.markHealthy(id, health) })
}

// Quarantine implements signup.Store.
func (r storeSim) Quarantine(ctx context.Context, id uuid.UUID, kind catalog.QuarantineKind, cause string) error {
	return r.change(ctx, "quarantine", id, func(rows *rows) error { return rows.quarantine(id, kind, cause) })
}

// QuarantineTx implements signup.Store.
func (r storeSim) QuarantineTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, kind catalog.QuarantineKind, cause string) error {
	return r.inTx(ctx, tx, "quarantine", id, func(rows *rows) error { return rows.quarantine(id, kind, cause) })
}

// RecordTx implements signup.Store.
func (r storeSim) RecordTx(ctx context.Context, tx pgx.Tx, event catalog.Event) error {
	about := uuid.Nil
	if event.TenantID != nil {
		about = *event.TenantID
	}
	return r.inTx(ctx, tx, "record", about, func(*rows) error { return nil })
}

// Exclusive implements signup.Store.
func (r storeSim) Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (bool, error) {
	c, session := r.call("lock", uuid.Nil, name, false), &modeltest.Session{}
	c.Session = session
	defer session.Close()
	ran, err := modeltest.Ask(ctx, r.w.World, c, func() (bool, error) {
		if r.w.LockedByOther(name, session) {
			return false, nil
		}
		r.w.Locks[name] = session
		return true, nil
	})
	if err != nil || !ran {
		return false, err
	}
	return true, f(ctx)
}

// DiscardableSpares implements signup.Store.
func (r storeSim) DiscardableSpares(ctx context.Context, server, lineage string) ([]catalog.Tenant, error) {
	return read(ctx, r, "discardable spares", uuid.Nil, server, func(rows *rows) ([]catalog.Tenant, error) {
		return rows.discardable(server, lineage), nil
	})
}

// DeleteSpare implements signup.Store.
func (r storeSim) DeleteSpare(ctx context.Context, id uuid.UUID) error {
	return r.change(ctx, "delete spare", id, func(rows *rows) error { return rows.deleteSpare(id) })
}

// ReplaceTenant implements signup.Store. The real one is a transaction, so nobody sees a part of it.
func (r storeSim) ReplaceTenant(ctx context.Context, like catalog.Signup, want catalog.ReserveParams) (catalog.Tenant, error) {
	return write(ctx, r, "replace tenant", like.ID, "", func(rows *rows) (catalog.Tenant, error) {
		t, err := rows.replaceTenant(like, want)
		if err == nil {
			r.w.setName(t.ID, "tenant ")
		}
		return t, err
	})
}

// UnmarkedTenants implements signup.Store. The tests of a restored catalog cover the marks; the model does not.
func (storeSim) UnmarkedTenants(context.Context, string, int) ([]catalog.UnmarkedTenant, error) {
	return nil, nil
}

// TenantsMarked implements signup.Store.
func (storeSim) TenantsMarked(context.Context, []uuid.UUID) error { return nil }

// Stock implements signup.Store.
func (r storeSim) Stock(ctx context.Context, server, lineage string, version uint) (catalog.Stock, error) {
	return read(ctx, r, "stock", uuid.Nil, server, func(rows *rows) (catalog.Stock, error) {
		return rows.count(server, lineage, version), nil
	})
}

// FreeCapacity implements signup.Store.
func (r storeSim) FreeCapacity(ctx context.Context, server string, limit int) (int, error) {
	return read(ctx, r, "room", uuid.Nil, server, func(rows *rows) (int, error) { return rows.room(server, limit) })
}

// InsertSpare implements signup.Store.
func (r storeSim) InsertSpare(ctx context.Context, spare catalog.NewSpare) error {
	c := r.call("insert spare", uuid.Nil, "", true)
	return modeltest.Do(ctx, r.w.World, c, func() error {
		if err := r.w.catalog.insertSpare(spare); err != nil {
			return err
		}
		r.w.setName(spare.ID, "tenant ")
		if c.About = r.w.name(spare.ID); c.Orphan {
			r.w.sparesReturned++ // the present holder of the lock may have counted before
		}
		return nil
	})
}

// MarkSpareBuilt implements signup.Store.
func (r storeSim) MarkSpareBuilt(ctx context.Context, id uuid.UUID, health catalog.Health, steps json.RawMessage) error {
	return r.change(ctx, "spare built", id, func(rows *rows) error { return rows.markSpareBuilt(id, health, steps) })
}

// CloseServer implements signup.Store. The simulated disks are never low.
func (storeSim) CloseServer(context.Context, string, string) (bool, error) { return false, nil }

// OpenServer implements signup.Store.
func (storeSim) OpenServer(context.Context, string) (bool, error) { return false, nil }

// queueSim is a process's connection to the simulated queue, which is in the catalog.
type queueSim struct{ store storeSim }

var _ signup.Queue = queueSim{}

// ReprovisionTx implements signup.Queue.
func (q queueSim) ReprovisionTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, archive string) error {
	return q.store.inTx(ctx, tx, "queue job", id, func(rows *rows) error {
		q.store.w.jobs++
		rows.jobs = append(rows.jobs, job{number: q.store.w.jobs, tenant: id, archive: archive, due: time.Now()})
		return nil
	})
}
