package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/fleet"
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

func (s serverSim) call(what, about string) *call {
	return &call{proc: s.proc, system: s.name, what: what, about: about}
}

func (s serverSim) exec(ctx context.Context, c *call, f func() error) error {
	_, err := ask(ctx, s.w, c, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// Ping implements fleet.Server.
func (s serverSim) Ping(ctx context.Context) error {
	return s.exec(ctx, s.call("ping", ""), func() error { return nil })
}

// Reference implements fleet.Server.
func (s serverSim) Reference(ctx context.Context) (tenant.Schema, error) {
	return schemaAt(s.proc.set.Latest()), s.exec(ctx, s.call("reference", ""), func() error { return nil })
}

// Basis implements fleet.Server. It is one for all.
func (s serverSim) Basis(context.Context) (postgres int, grants string, err error) {
	return 15, "", nil
}

func schemaAt(version uint) tenant.Schema { return tenant.Schema{fmt.Sprintf("version %d", version)} }

// Look implements fleet.Server.
func (s serverSim) Snapshot(ctx context.Context, id tenant.ID) (tenant.Schema, uint, error) {
	t := s.w.rows.tenant(id.UUID())
	version, err := ask(ctx, s.w, s.call("look", t.Slug), func() (uint, error) { return t.db.version, nil })
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
	held := &session{}
	defer held.close()
	c := s.call("lock", t.Slug)
	c.blocked = func() bool { return s.w.heldByOther(t.Slug, held) }
	result.To, err = ask(ctx, s.w, c, func() (uint, error) { s.w.locks[t.Slug] = held; return t.db.version, nil })
	switch {
	case err != nil && time.Since(c.sent) >= longestHang:
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
		c.told = func(_ any, err error) { c.holder.hears(err) }
		err := s.exec(ctx, c, func() error { return s.w.apply(t, files[file].Version, down, c, held) })
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
func (w *world) apply(t *row, file uint, down bool, c *call, held *session) error {
	switch {
	case w.heldByOther(t.Slug, held):
		w.fail("two processes migrate %s at the same time", t.Slug)
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
	w.migrated(t, before, c)
	return nil
}
