package tenant_test

import (
	"context"
	"testing"
	"time"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// TestAMigrationStopsWaitingForATableBeforeItsReadersDo: a reader that came after the migration waits behind it, and
// gets its answer while the first reader still works.
func TestAMigrationStopsWaitingForATableBeforeItsReadersDo(t *testing.T) {
	t.Parallel()
	files := [][2]string{{"create table waits as select current_setting('lock_timeout') as timeout", ""}, {"alter table waits add column more int", ""}}
	id := ensure(t, open(t, func(c *tenant.Config) { c.Migrations = load(t, files[:1]...) }))
	server := open(t, func(c *tenant.Config) {
		c.Migrations, c.LockTimeout, c.MigrateLockTimeout = load(t, files...), time.Hour, 300*time.Millisecond
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, second, root := pgtest.Connect(t, server.URL(id, 0).Reveal()), pgtest.Connect(t, server.URL(id, 0).Reveal()), pgtest.Connect(t, rootURL(t, id.Database()))
	exec(t, first, "begin")
	if timeout := value[string](t, first, "select timeout from waits"); timeout != "2s" {
		t.Errorf("a migration waits %s for a lock by default, want 2s", timeout)
	}
	migrated, read := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := server.Migrate(ctx, id)
		migrated <- err
	}()
	waiting := "select count(*) from pg_locks where not granted and relation = 'waits'::regclass"
	for value[int](t, root, waiting) < 1 && len(migrated) == 0 {
		continue
	}
	go func() {
		_, err := second.Exec(ctx, "select from waits")
		read <- err
	}()
	refused(t, "migrate", <-migrated, "55P03")
	if err := <-read; err != nil {
		t.Errorf("the second reader: %v", err)
	}
	exec(t, first, "commit") // not before
	if status, err := server.Status(ctx, id); err != nil || status.Version != 1 || status.Dirty {
		t.Errorf("after the migration that timed out: %+v, %v", status, err)
	}
	if result, err := server.Migrate(ctx, id); err != nil || result.To != 2 {
		t.Errorf("again: %+v, %v", result, err)
	}
}

// TestFilesShareNoSessionState: the template, which runs all files at once, and tenants that run them one by one get
// the same schema, whatever the files do to their sessions; and what is created afterwards belongs to the owner.
func TestFilesShareNoSessionState(t *testing.T) {
	t.Parallel()
	const leave = "; create temp table ids_to_move as select 1; prepare q as select 1; select pg_advisory_lock(42); " +
		"set session characteristics as transaction read only; set role none; select set_config('search_path', '', false)"
	files := [][2]string{
		{"create table a (id int)" + leave, ""}, {"create table b (id int)" + leave, ""}, {"create table c (id int)" + leave, ""},
	}
	server := func(n int) *tenant.Server {
		return open(t, func(c *tenant.Config) { c.Migrations = load(t, files[:n]...) })
	}
	migrated := ensure(t, server(1))
	repaired := ensure(t, server(1))
	for n := 2; n <= 3; n++ {
		if _, err := server(n).Migrate(t.Context(), migrated); err != nil {
			t.Fatal(err)
		}
		if _, err := server(n).Ensure(t.Context(), repaired, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	now := server(3)
	cloned := schemaOf(t, now, ensure(t, now))
	same(t, "migrated one by one", cloned, schemaOf(t, now, migrated))
	same(t, "repaired one by one", cloned, schemaOf(t, now, repaired))
	owners := "select string_agg(distinct relowner::regrole::text, ' ') from pg_class where relnamespace = 'public'::regnamespace"
	for _, id := range []tenant.ID{migrated, repaired} {
		if got := value[string](t, pgtest.Connect(t, rootURL(t, id.Database())), owners); got != "homeroom_owner" {
			t.Errorf("owners of what the files created: %s", got)
		}
	}
}

// TestSettingsOfTheDatabaseArePartOfTheSchema: whether a database was cloned or migrated, it has the settings of the
// files, and a database without them has another fingerprint.
func TestSettingsOfTheDatabaseArePartOfTheSchema(t *testing.T) {
	t.Parallel()
	const set = `do $$ begin
		execute format('alter database %I set timezone to ''Pacific/Auckland''', current_database());
		execute format('alter database %I set search_path to "$user", public, "a, b"', current_database());
		execute format('alter database %I set application_name to ''it''''s = fine''', current_database());
	end $$`
	files := [][2]string{{"create table a (id int)", ""}, {set, ""}, {"create table zone as select current_setting('timezone') as zone", ""}}
	server := func(n int) *tenant.Server {
		return open(t, func(c *tenant.Config) { c.Migrations = load(t, files[:n]...) })
	}
	migrated := ensure(t, server(1))
	now := server(3)
	if _, err := now.Migrate(t.Context(), migrated); err != nil {
		t.Fatal(err)
	}
	cloned := ensure(t, now)
	reference := referenceOf(t, now)
	for name, id := range map[string]tenant.ID{"cloned": cloned, "migrated": migrated} {
		same(t, name, reference, schemaOf(t, now, id))
		conn := pgtest.Connect(t, now.URL(id, 0).Reveal())
		for query, want := range map[string]string{
			"select current_setting('timezone')":         "Pacific/Auckland",
			"select current_setting('application_name')": "it's = fine",
			"select zone from zone":                      "Pacific/Auckland", // a later file's session has it already
		} {
			if got := value[string](t, conn, query); got != want {
				t.Errorf("%s, %s: %q, want %q", name, query, got, want)
			}
		}
	}
	exec(t, pgtest.Connect(t, rootURL(t, "postgres")), "alter database "+cloned.Database()+" reset timezone")
	if differences := reference.Diff(schemaOf(t, now, cloned)); len(differences) != 1 || differences[0].String() != `missing setting TimeZone` {
		t.Errorf("differences: %v", differences)
	}
}
