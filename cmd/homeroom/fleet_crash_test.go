package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// fleetCrash is a kill point during a run of the fleet.
type fleetCrash struct {
	point string
	// alone makes the new version a file that runs outside a transaction.
	alone bool
	// files: the template's migration also reaches the point, once for every file; the process must die at a tenant.
	files bool
	// prepare runs before the victim starts.
	prepare func(t *testing.T, w *fleetWorld)
}

// nth is the tenant at which the process dies: in the middle of a wave.
const nth = 5

var fleetCrashes = []fleetCrash{
	{point: "fleet.started"},
	{point: "fleet.tenant_chosen:5"},
	{point: "migrations.before_file", files: true},
	{point: "migrations.file_committed", files: true},
	{point: "tenant.migrated:5"},
	{point: "fleet.tenant_tried:5"},
	{point: "fleet.tenants_migrated"},
	{point: "fleet.tenants_migrated:2"},
	{point: "fleet.outcomes_recorded"},
	{point: "fleet.wave_done"},
	{point: "fleet.before_finish"},
	{point: "fleet.finished"},
	{point: "migrations.marked_dirty", alone: true, files: true},
	{point: "migrations.statement_done", alone: true, files: true},
	{point: "migrations.marked_clean", alone: true, files: true},
	{point: "migrations.invalid_dropped", alone: true, prepare: interruptedIndex},
	{point: "fleet.cleared", prepare: otherFiles},
}

// migrationPoints are the points of the table above.
func migrationPoints() (points []string) {
	for _, c := range fleetCrashes {
		points = append(points, c.point)
	}
	return points
}

// fleetWorld is a world to whose tenants' migrations tests add files.
type fleetWorld struct {
	*world
	dir     string
	tenants []tenant.ID
	version int
	// plain and alone count the files, in a transaction and outside one.
	plain, alone int
}

// TestKilledAtEveryStepOfAFleetRun kills a process at every step of a run over twelve tenants. The next process
// migrates all of them to the new version, and ends the run with an outcome for each.
func TestKilledAtEveryStepOfAFleetRun(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newFleetWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 12)
	for _, c := range fleetCrashes {
		t.Run(c.point, func(t *testing.T) {
			w.grow(t, c.alone)
			if c.prepare != nil {
				c.prepare(t, w)
			}
			w.crashAt(t, c)
			survivor := w.start(t)
			w.migrated(t)
			survivor.kill()
		})
	}
	w.checkTenants(t)
}

func newFleetWorld(t *testing.T, catalogURL, serverURL string, tenants int) *fleetWorld {
	t.Helper()
	w := &fleetWorld{dir: t.TempDir()}
	w.write(t, "create table pupils (name text);")
	w.plain = 1
	w.tenants = makeTenants(t, catalogURL, serverURL, w.dir, tenants)
	w.world = newWorld(t, catalogURL, serverURL, 0)
	w.env = append(w.env, "HOMEROOM_TENANT_MIGRATIONS="+w.dir)
	w.args = []string{"--migrate"}
	return w
}

// write adds a version.
func (w *fleetWorld) write(t *testing.T, sql string) {
	t.Helper()
	w.version++
	if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprintf("%06d_step.up.sql", w.version)), []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
}

// grow adds a version, in a transaction or alone.
func (w *fleetWorld) grow(t *testing.T, alone bool) {
	t.Helper()
	if alone {
		w.alone++
		w.write(t, fmt.Sprintf("-- no-transaction\ncreate index concurrently by_name_%d on pupils (name)", w.version+1))
		return
	}
	w.plain++
	w.write(t, fmt.Sprintf("alter table pupils add column note_%d text;", w.version+1))
}

// crashAt runs a process that dies there.
func (w *fleetWorld) crashAt(t *testing.T, c fleetCrash) {
	t.Helper()
	point := c.point
	if c.files {
		files := w.plain
		if c.alone {
			files = w.alone
		}
		point = fmt.Sprintf("%s:%d", point, files+nth)
	}
	w.start(t, "HOMEROOM_KILL_AT="+point).waitDead(t)
}

// migrated waits until all tenants are at the newest version, and the run that migrated them is done.
func (w *fleetWorld) migrated(t *testing.T) {
	t.Helper()
	eventually(t, "the end of the run", func() (bool, error) { return w.done(t) })
}

func (w *fleetWorld) done(t *testing.T) (bool, error) {
	var behind, open, outcomes int
	err := w.pool.QueryRow(t.Context(), `
		select (select count(*) from tenants where state <> 'spare' or schema_version <> $1),
			(select count(*) from migration_runs where state in ('running', 'paused')),
			(select count(distinct tenant_id)
				from migration_outcomes outcome
				join migration_runs run on run.id = run_id
				where run.to_version = $1 and run.state = 'done' and outcome.state = 'done')`, w.version).
		Scan(&behind, &open, &outcomes)
	return err == nil && behind == 0 && open == 0 && outcomes == len(w.tenants),
		errors.Join(err, fmt.Errorf("%d tenants are behind, %d runs open, %d outcomes recorded", behind, open, outcomes))
}

// checkTenants checks every tenant: the version is clean, every file has run once, every index is valid.
func (w *fleetWorld) checkTenants(t *testing.T) {
	t.Helper()
	for _, id := range w.tenants {
		conn := pgtest.Connect(t, strings.Replace(w.serverURL, "/postgres?", "/"+id.Database()+"?", 1))
		var version, columns, indexes int
		var dirty bool
		err := conn.QueryRow(t.Context(), `
			select version, dirty,
				(select count(*) from pg_attribute where attrelid = 'pupils'::regclass and attname like 'note\_%'),
				(select count(*) from pg_index where indrelid = 'pupils'::regclass and indisvalid)
			from schema_migrations`).Scan(&version, &dirty, &columns, &indexes)
		if err != nil || version != w.version || dirty || columns != w.plain-1 || indexes != w.alone {
			t.Errorf("%s: version %d, dirty %v, %d columns, %d indexes, %v", id, version, dirty, columns, indexes, err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	}
}

// interruptedIndex leaves the last file half done in a tenant, as a crash of Postgres does.
func interruptedIndex(t *testing.T, w *fleetWorld) {
	conn := pgtest.Connect(t, strings.Replace(w.serverURL, "/postgres?", "/"+w.tenants[3].Database()+"?", 1))
	for _, sql := range []string{
		fmt.Sprintf("create index by_name_%d on pupils (name)", w.version),
		fmt.Sprintf("alter index by_name_%d owner to homeroom_owner", w.version),
		fmt.Sprintf("update pg_index set indisvalid = false where indexrelid = 'by_name_%d'::regclass", w.version),
		fmt.Sprintf("update schema_migrations set version = %d, dirty = true", w.version),
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// otherFiles leaves a run open that was started by a process with other files.
func otherFiles(t *testing.T, w *fleetWorld) {
	w.crashAt(t, fleetCrash{point: "fleet.tenants_migrated:2"})
	w.grow(t, false)
}
