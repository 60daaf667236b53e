package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/fleet"
	"homeroom/internal/modeltest"
	"homeroom/migrations"
	"homeroom/tenant"
)

// serverNames are the simulated servers.
var serverNames = []string{"server1", "server2"}

// serversSim is a process's way to the simulated servers.
type serversSim struct {
	w    *world
	proc *process
}

var _ fleet.Servers = serversSim{}

// Names implements fleet.Servers.
func (s serversSim) Names() []string { return serverNames }

// Migrations implements fleet.Servers.
func (s serversSim) Migrations() *migrations.Set { return s.proc.set }

// Get implements fleet.Servers.
func (s serversSim) Get(name string) (fleet.Server, error) { return serverSim{s, name}, nil }

// serverSim is a process's way to one of them.
type serverSim struct {
	serversSim
	name string
}

func (s serverSim) call(what, about string) *modeltest.Call {
	return &modeltest.Call{Process: s.proc.Process, System: s.name, What: what, About: about}
}

// Ping implements fleet.Server.
func (s serverSim) Ping(ctx context.Context) error {
	return modeltest.Do(ctx, s.w.World, s.call("ping", ""), func() error { return nil })
}

// Reference implements fleet.Server.
func (s serverSim) Reference(ctx context.Context) (tenant.Schema, error) {
	return schemaAt(s.proc.set.Latest()), modeltest.Do(ctx, s.w.World, s.call("reference", ""), func() error { return nil })
}

// Basis implements fleet.Server. It is one for all.
func (s serverSim) Basis(context.Context) (postgres int, grants string, err error) {
	return 15, "", nil
}

func schemaAt(version uint) tenant.Schema { return tenant.Schema{fmt.Sprintf("version %d", version)} }

// Look implements fleet.Server.
func (s serverSim) Snapshot(ctx context.Context, id tenant.ID) (tenant.Schema, uint, error) {
	t := s.w.rows.tenant(id.UUID())
	version, err := modeltest.Ask(ctx, s.w.World, s.call("look", t.Slug), func() (uint, error) { return t.db.version, nil })
	return schemaAt(version), version, err
}

// Status implements fleet.Server.
func (s serverSim) Status(context.Context, tenant.ID) (migrations.Status, error) {
	return migrations.Status{}, nil
}

// MigrateTo implements fleet.Server.
func (s serverSim) MigrateTo(ctx context.Context, id tenant.ID, version uint) (migrations.Result, error) {
	return s.migrate(ctx, id, version, false)
}

// MigrateDownTo implements fleet.Server.
func (s serverSim) MigrateDownTo(ctx context.Context, id tenant.ID, version uint) (migrations.Result, error) {
	return s.migrate(ctx, id, version, true)
}

// migrate runs files under the tenant's lock, as [tenant.Server] does, each in one transaction.
func (s serverSim) migrate(ctx context.Context, id tenant.ID, version uint, down bool) (result migrations.Result, err error) {
	t := s.w.rows.tenant(id.UUID())
	held, by := &modeltest.Session{}, workerOf(ctx)
	defer held.Close()
	c := s.call("lock", t.Slug)
	c.Arrived = func() { s.w.begins(t, by) }
	c.Blocked = func() bool { return s.w.LockedByOther(t.Slug, held) }
	result.To, err = modeltest.Ask(ctx, s.w.World, c, func() (uint, error) { s.w.Locks[t.Slug] = held; return t.db.version, nil })
	switch {
	case err != nil && time.Since(c.Sent) >= modeltest.LongestHang:
		return migrations.Result{}, tenant.ErrBusy
	case err != nil:
		return migrations.Result{}, err
	}
	result.From = result.To
	if down && result.To > s.proc.set.Latest() {
		return result, &migrations.StateError{Status: migrations.Status{State: migrations.Ahead, Version: result.To}, Advice: "use the newer program"}
	}
	files := s.proc.set.Files()
	for !down && result.To < version || down && result.To > version {
		file := result.To // counted from 0
		if down {
			file--
		}
		c := s.call("migrate", fmt.Sprintf("%s with file %d", t.Slug, file+1))
		c.Told = func(_ any, err error) { by.hears(err) }
		err := modeltest.Do(ctx, s.w.World, c, func() error { return s.w.apply(t, files[file].Version, down, by, held) })
		if err != nil {
			return result, fmt.Errorf("migrate: %w", err)
		}
		if result.To++; down {
			result.To -= 2
		}
		result.Applied = append(result.Applied, files[file])
	}
	return result, nil
}

// apply runs one file.
func (w *world) apply(t *row, file uint, down bool, by *worker, held *modeltest.Session) error {
	switch {
	case w.LockedByOther(t.Slug, held):
		w.Failf("two processes migrate %s at the same time", t.Slug)
	case time.Now().Before(t.db.held):
		return &pgconn.PgError{Code: "55P03", Message: "canceling statement due to lock timeout"}
	case t.db.poison == file:
		return &migrations.Error{Version: file, File: "step.sql", Err: errors.New("what is in it does not fit")}
	}
	before := t.db.version
	t.db.version = file
	if down {
		t.db.version--
	}
	w.migrated(t, before, by)
	return nil
}
