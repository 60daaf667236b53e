// Package lifecycle does operations on a tenant that change both the catalog and the tenant's server: it gives its
// role a new password.
package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/tenant"
)

// ErrNotProvisioned says that the tenant is being built, or deleted.
var ErrNotProvisioned = errors.New("the tenant has no database that is in use")

// Rotation is a request for a new password of a tenant's role.
type Rotation struct {
	// Tenant is its id, slug or database.
	Tenant string
	// EndSessions also ends the sessions of the role, as after a theft of the password. Without it they go on, and no
	// query fails of a process that reads the rotation in the catalog.
	EndSessions bool
	// By is the person who requests it, for the audit log.
	By catalog.Actor
}

// Queue enqueues work in the transaction that makes it necessary.
type Queue interface {
	// ReprovisionTx enqueues a run of all provisioning steps of the tenant.
	ReprovisionTx(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, kept string) error
}

// Rotate increases the tenant's rotation in the catalog, and gives its role the password of that rotation. After it
// has returned, the former password is not valid.
//
// When the process dies in between, or the server cannot be reached, the catalog has the new rotation and the role
// the former password. A job that is enqueued in the same transaction then completes it, but ends no sessions. A
// tenant that is not ready, or that has another set of migrations, gets no such job: another rotation, a
// re-provisioning or `doctor --fix` completes it. Rotate fails with [catalog.ErrNotFound], [ErrNotProvisioned], or as
// [tenant.Server.Rotate] does.
func Rotate(ctx context.Context, store *catalog.Store, servers tenant.Servers, queue Queue, request Rotation) (catalog.Tenant, error) {
	t, err := store.Tenant(ctx, request.Tenant)
	if err != nil {
		return t, err
	}
	server, err := servers.Get(t.Server)
	if err != nil {
		return t, err
	}
	err = store.InTx(ctx, func(tx pgx.Tx) (err error) {
		if t, err = store.RaiseRotationTx(ctx, tx, t.ID); err != nil {
			return err
		}
		if t.State == catalog.Ready && t.Lineage == server.Migrations().Lineage() {
			if err := queue.ReprovisionTx(ctx, tx, t.ID, ""); err != nil {
				return err
			}
		}
		return recordTx(ctx, tx, store, request, t)
	})
	if errors.Is(err, catalog.ErrStateChanged) {
		return t, fmt.Errorf("tenant %s is %s: %w", t.ID, t.State, ErrNotProvisioned)
	}
	if err != nil {
		return t, err
	}
	killpoint.Here("rotate.recorded")
	present := func(ctx context.Context) (int, error) {
		row, err := store.TenantByID(ctx, t.ID)
		return row.PasswordRotation, err
	}
	return t, server.Rotate(ctx, tenant.ID(t.ID), present, request.EndSessions)
}

// recordTx writes the audit event of a rotation.
func recordTx(ctx context.Context, tx pgx.Tx, store *catalog.Store, request Rotation, t catalog.Tenant) error {
	return store.RecordTx(ctx, tx, catalog.NewEvent(request.By, "tenant.rotate").About(&t.ID, nil).With(
		map[string]any{"rotation": t.PasswordRotation, "endSessions": request.EndSessions}))
}
