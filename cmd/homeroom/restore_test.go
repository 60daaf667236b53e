package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

// restored is a service whose catalog is on a Postgres of its own, and is restored to an earlier state.
type restored struct {
	*world
	catalog *devpg.Server
	// copyOf is the path of the backup.
	copyOf string
	// owners are the schools that each database was given to first. Some databases contain a row.
	owners map[string]string
	number int
}

// restoration is a way to restore the catalog to the moment of backup.
type restoration struct {
	name            string
	backup, restore func(t *testing.T, r *restored)
	// running: the service runs meanwhile.
	running bool
}

var logicalRestorations = []restoration{
	{name: "a dump into a new database of the name", backup: dump("-Fc"), restore: func(t *testing.T, r *restored) {
		r.postgres(t, `drop database catalog with (force)`, `create database catalog`)
		r.tool(t, "pg_restore", "-d", r.catalogURL, r.copyOf)
	}},
	{name: "a dump as SQL, in one transaction", backup: dump("-Fp"), restore: func(t *testing.T, r *restored) {
		r.postgres(t, `drop database catalog with (force)`, `create database catalog`)
		r.tool(t, "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", r.copyOf, r.catalogURL)
	}},
	{name: "a dump beside it, and renamed", backup: dump("-Fc"), restore: func(t *testing.T, r *restored) {
		r.postgres(t, `create database beside`)
		r.tool(t, "pg_restore", "-d", r.catalog.URL("beside"), r.copyOf)
		r.postgres(t, `drop database catalog with (force)`, `alter database beside rename to catalog`)
	}},
	{name: "a dump in place, with everything dropped first", backup: dump("-Fc"), restore: func(t *testing.T, r *restored) {
		r.tool(t, "pg_restore", "--clean", "--if-exists", "-1", "-d", r.catalogURL, r.copyOf)
	}},
	{name: "a dump of the data in place", backup: dump("-Fc"), running: true, restore: func(t *testing.T, r *restored) {
		r.sql(t, `truncate tenants, servers, users, signups, audit_events, outbox_events, river.river_job cascade`)
		r.tool(t, "pg_restore", "--data-only", "--disable-triggers", "-1", "-d", r.catalogURL,
			"-t", "tenants", "-t", "servers", "-t", "users", "-t", "signups", r.copyOf)
	}},
	{name: "a copy of the database's files", backup: func(t *testing.T, r *restored) {
		r.postgres(t, `drop database if exists earlier`, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = 'catalog'`,
			`create database earlier template catalog`)
	}, restore: func(t *testing.T, r *restored) {
		r.postgres(t, `drop database catalog with (force)`, `alter database earlier rename to catalog`)
	}},
	{name: "rows of three tables", backup: func(t *testing.T, r *restored) {
		r.sql(t, `drop schema if exists backup cascade`, `create schema backup`, `create table backup.tenants as table tenants`,
			`create table backup.users as table users`, `create table backup.signups as table signups`)
	}, running: true, restore: func(t *testing.T, r *restored) {
		r.sql(t, `begin; delete from signups; delete from users; delete from tenants;
			insert into tenants table backup.tenants; insert into users table backup.users; insert into signups table backup.signups; commit`)
	}},
	{name: "one column by hand", backup: nothingYet, running: true, restore: func(t *testing.T, r *restored) {
		r.sql(t, `update tenants set state = 'spare', name = null, slug = null where state = 'ready'`)
	}},
	{name: "a row that was half built", backup: nothingYet, running: true, restore: func(t *testing.T, r *restored) {
		r.sql(t, `update tenants set state = 'building', name = null, slug = null where state = 'ready'`)
	}},
	{name: "a sign-up that held a spare", backup: func(t *testing.T, r *restored) {
		victim := r.start(t, "HOMEROOM_KILL_AT=signup.reserved")
		r.number++
		posts(t, r.world, victim, newSchool(r.number))
		victim.waitDead(t)
		dump("-Fc")(t, r)
		survivor := r.start(t) // returns the spare
		eventually(t, "the end of the sign-up", func() (bool, error) {
			n, err := r.world.number(t.Context(), `select count(*) from signups where status = 'expired' and check_at is null`)
			return n > 0, err
		})
		survivor.kill()
	}, restore: func(t *testing.T, r *restored) {
		r.postgres(t, `drop database catalog with (force)`, `create database catalog`)
		r.tool(t, "pg_restore", "-d", r.catalogURL, r.copyOf)
		r.sql(t, `update signups set check_at = now() where status = 'pending'`)
	}},
}

var physicalRestorations = []restoration{
	{name: "the files of a Postgres that was stopped", backup: files(true), restore: swap()},
	{name: "a snapshot of the disk", backup: files(false), restore: swap()},
	{name: "point-in-time recovery", backup: files(false), restore: swap("recovery.signal")},
	{name: "a standby that was behind", backup: files(false), restore: swap("standby.signal")},
	{name: "no restore, but a crash", backup: nothingYet, restore: func(t *testing.T, r *restored) {
		if err := r.catalog.Restart(t.Context(), devpg.Immediate); err != nil {
			t.Fatal(err)
		}
	}},
}

// TestRestoredCatalogs restores the catalog in every way, after more schools have signed up, and starts the service
// without running the doctor first. No school may get the database of another, and none may lose its rows.
func TestRestoredCatalogs(t *testing.T) {
	t.Parallel()
	for name, all := range map[string][]restoration{"logical": logicalRestorations, "physical": physicalRestorations} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestored(t)
			for _, way := range all {
				t.Run(way.name, func(t *testing.T) { r.run(t, way) })
			}
		})
	}
}

func newRestored(t *testing.T) *restored {
	t.Helper()
	own := pgtest.Private(t, nil)
	tenants := pgtest.Private(t, nil)
	return &restored{
		world: newWorld(t, own.URL("catalog"), tenants.URL("postgres"), 2), catalog: own,
		owners: map[string]string{},
	}
}

func (r *restored) run(t *testing.T, way restoration) {
	t.Helper()
	p := r.start(t)
	r.waitForSpares(t)
	if !way.running {
		p.kill()
	}
	r.copyOf = filepath.Join(open(t, t.TempDir()), "backup") // the backup of another way may be a folder
	way.backup(t, r)
	if !way.running {
		p = r.start(t)
		r.waitForSpares(t)
	}
	for range 3 {
		r.school(t, p)
	}
	if !way.running {
		p.kill()
	}
	way.restore(t, r)
	if !way.running {
		p = r.start(t)
	}
	for range 4 {
		r.school(t, p)
	}
	r.waitForSpares(t)
	for range 3 {
		r.school(t, p)
	}
	p.kill()
	r.checkRestored(t)
}

// waitForSpares waits until all spares exist and can be claimed.
func (r *restored) waitForSpares(t *testing.T) {
	t.Helper()
	eventually(t, "all spares", func() (bool, error) {
		n, err := r.world.number(t.Context(), "select count(*) from tenants where state = 'spare' and "+claimable)
		return n >= r.spares, err
	})
}

// school signs a school up, and checks that no other school has its database. Every second one writes a row.
func (r *restored) school(t *testing.T, p *process) {
	t.Helper()
	r.number++
	s := newSchool(r.number)
	var made struct{ School struct{ Database string } }
	if err := json.Unmarshal([]byte(s.mustSucceed(t, p.url)), &made); err != nil {
		t.Fatal(err)
	}
	database := made.School.Database
	if owner, taken := r.owners[database]; taken {
		t.Errorf("%s was given database %s of %s", s.Email, database, owner)
		return
	}
	r.owners[database] = s.Email
	if r.number%2 == 0 {
		conn := pgtest.Connect(t, strings.Replace(r.serverURL, "/postgres?", "/"+database+"?", 1))
		if _, err := conn.Exec(t.Context(), "insert into lunch_weeks (starts_on) values ('2026-11-30')"); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
		r.owners[database] = "" // holds a row
	}
}

// checkRestored checks the rows that were written.
func (r *restored) checkRestored(t *testing.T) {
	t.Helper()
	for database, owner := range r.owners {
		if owner != "" {
			continue
		}
		conn := pgtest.Connect(t, strings.Replace(r.serverURL, "/postgres?", "/"+database+"?", 1))
		var n int
		if err := conn.QueryRow(t.Context(), "select count(*) from lunch_weeks").Scan(&n); err != nil || n != 1 {
			t.Errorf("database %s has %d rows, %v", database, n, err)
		}
		_ = conn.Close(t.Context())
	}
}

func nothingYet(*testing.T, *restored) {}

// dump backs the catalog up with pg_dump.
func dump(format string) func(t *testing.T, r *restored) {
	return func(t *testing.T, r *restored) {
		t.Helper()
		r.tool(t, "pg_dump", format, "-f", r.copyOf, r.catalogURL)
	}
}

// files copies the data directory of the catalog's cluster. ordered stops the cluster first.
func files(ordered bool) func(t *testing.T, r *restored) {
	return func(t *testing.T, r *restored) {
		t.Helper()
		if ordered {
			if err := r.catalog.Restart(t.Context(), devpg.Fast); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.catalog.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(r.copyOf)
		r.command(t, "cp", "-a", r.catalog.DataDir(), r.copyOf)
		if err := r.catalog.Restart(t.Context(), devpg.Immediate); err != nil {
			t.Fatal(err)
		}
	}
}

// swap replaces the cluster by the copy. With a signal file it ends on another timeline.
func swap(signals ...string) func(t *testing.T, r *restored) {
	return func(t *testing.T, r *restored) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		if err := r.catalog.Crash(ctx); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(r.catalog.DataDir()); err != nil {
			t.Fatal(err)
		}
		r.command(t, "cp", "-a", r.copyOf, r.catalog.DataDir())
		_ = os.Remove(filepath.Join(r.catalog.DataDir(), "postmaster.pid"))
		for _, signal := range signals {
			r.command(t, "cp", "-a", filepath.Join(r.catalog.DataDir(), "PG_VERSION"), filepath.Join(r.catalog.DataDir(), signal))
			r.command(t, "sh", "-c", `printf "restore_command = 'false'\n" >> "$0"`, filepath.Join(r.catalog.DataDir(), "postgresql.auto.conf"))
		}
		if err := r.catalog.Restart(ctx, devpg.Immediate); err != nil {
			t.Fatal(err)
		}
		r.postgres(t, `select pg_promote(true, 30) where pg_is_in_recovery()`)
		eventually(t, "the end of the recovery", func() (bool, error) {
			n, err := r.world.number(ctx, `select pg_is_in_recovery()::int`)
			return err == nil && n == 0, err
		})
	}
}

// postgres runs statements in the maintenance database of the catalog's cluster, sql in the catalog itself.
func (r *restored) postgres(t *testing.T, statements ...string) {
	t.Helper()
	r.statements(t, r.catalog.URL("postgres"), statements)
}

func (r *restored) sql(t *testing.T, statements ...string) {
	t.Helper()
	r.statements(t, r.catalogURL, statements)
}

func (r *restored) statements(t *testing.T, url string, statements []string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// tool runs one of Postgres's client programs.
func (r *restored) tool(t *testing.T, name string, args ...string) {
	t.Helper()
	path := filepath.Join(r.catalog.BinDir(), name)
	if _, err := os.Stat(path); err != nil {
		path = name
	}
	r.command(t, path, args...)
}

func (r *restored) command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out))
	}
}
