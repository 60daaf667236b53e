package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	stock "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	dt "github.com/golang-migrate/migrate/v4/database/testing"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// engine makes golang-migrate with files and a driver.
func engine(t testing.TB, fsys fs.FS, driver database.Driver) *migrate.Migrate {
	t.Helper()
	files, err := iofs.New(fsys, ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithInstance("iofs", files, "postgres", driver)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// stockDriver is golang-migrate's own driver, opened as its command does.
func stockDriver(t testing.TB, url string) database.Driver {
	t.Helper()
	driver, err := (&stock.Postgres{}).Open(strings.Replace(url, "postgres://", "pgx5://", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	return driver
}

func TestGolangMigratesSuite(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dt.Test(t, migrations.NewDriver(ctx, newDatabase(t)), []byte("create table a (); create table b (); select 1"))
	dt.TestMigrate(t, engine(t, os.DirFS("tenant"), migrations.NewDriver(ctx, newDatabase(t))))
}

func TestUpDownUp(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"tenant", "catalog"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			m := engine(t, os.DirFS(folder), migrations.NewDriver(t.Context(), conn))
			must(t, m.Up())
			first := fingerprint(t, conn)
			// One step down at a time, so that each down file runs on the schema of its version.
			for {
				err := m.Steps(-1)
				if errors.Is(err, fs.ErrNotExist) {
					break
				}
				must(t, err)
			}
			wantTables(t, conn, "schema_migrations")
			if _, _, err := m.Version(); !errors.Is(err, migrate.ErrNilVersion) {
				t.Errorf("version after all steps down: %v", err)
			}
			must(t, m.Up())
			if again := fingerprint(t, conn); again != first {
				t.Errorf("schema differs:\n%s\n\n%s", first, again)
			}
		})
	}
}

// A down file that fails leaves the version that it would have left.
func TestFailureDown(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	files := folder("create table a ()", "create table b ()")
	files["000002_step.down.sql"] = &fstest.MapFile{Data: []byte("drop table b; drop table nowhere")}
	m := engine(t, files, migrations.NewDriver(t.Context(), conn))
	must(t, m.Up())
	if err := m.Steps(-1); err == nil {
		t.Fatal("went down")
	}
	wantTables(t, conn, "a b schema_migrations")
	if version, dirty, err := m.Version(); version != 2 || dirty || err != nil {
		t.Errorf("version = %d, dirty %t, %v", version, dirty, err)
	}
	must(t, m.Force(1))
	if version, dirty, err := m.Version(); version != 1 || dirty || err != nil {
		t.Errorf("forced version = %d, dirty %t, %v", version, dirty, err)
	}
}

func TestStockDriverContinuesOurs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := migrations.Tenant()
	if _, err := set.UpTo(t.Context(), conn, 2); err != nil {
		t.Fatal(err)
	}
	m := engine(t, os.DirFS("tenant"), stockDriver(t, url))
	if version, dirty, err := m.Version(); version != 2 || dirty || err != nil {
		t.Errorf("stock driver reads %d, dirty %t, %v", version, dirty, err)
	}
	must(t, m.Up())
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: set.Latest()})
	must(t, m.Down())
	wantTables(t, conn, "schema_migrations")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind})
	up(t, set, conn)
	if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
		t.Errorf("stock driver after ours: %v", err)
	}
}

func TestWeContinueTheStockDriver(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := migrations.Tenant()
	m := engine(t, os.DirFS("tenant"), stockDriver(t, url))
	must(t, m.Steps(2))
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 2})
	up(t, set, conn)

	ours := newDatabase(t)
	up(t, set, ours)
	if a, b := fingerprint(t, conn), fingerprint(t, ours); a != b {
		t.Errorf("schemas differ:\n%s\n\n%s", a, b)
	}
}

func TestStockDriverIsLockedOut(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	name := conn.Config().Database
	ours := migrations.NewDriver(t.Context(), conn)
	for _, hashed := range []string{name, "/" + name} {
		id, err := database.GenerateAdvisoryLockId(hashed, "public", "schema_migrations")
		must(t, err)
		other := connect(t, url)
		must(t, ours.Lock())
		if got := ask(t, other, "select pg_try_advisory_lock("+id+")::text"); got != "false" {
			t.Errorf("the lock of %q is free", hashed)
		}
		must(t, ours.Unlock())

		exec(t, other, "select pg_advisory_lock("+id+")")
		wire, tried := signal("advisory_lock", 3)
		waiting := migrations.NewDriver(t.Context(), connect(t, url, wire))
		done := make(chan error, 1)
		go func() { done <- waiting.Lock() }()
		await(t, tried)
		exec(t, other, "select pg_advisory_unlock_all()")
		must(t, await(t, done))
		must(t, waiting.Unlock())
	}
	if err := ours.Unlock(); !errors.Is(err, database.ErrNotLocked) {
		t.Errorf("unlock twice: %v", err)
	}
}

// The names of the locks are guessed before the first read. The right locks are taken also where the guess is wrong,
// and with names that SQL must quote.
func TestLocksOfUnusualNames(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	admin := connect(t, address)
	name := admin.Config().Database + ` o'd%s\"`
	exec(t, admin, "create database "+pgx.Identifier{name}.Sanitize())
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), address) // t's own context has ended
		must(t, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
		must(t, err)
	})
	odd, err := url.Parse(address)
	must(t, err)
	odd.Path = "/" + name
	for _, c := range []struct{ address, database, schema string }{
		{odd.String(), name, "public"},
		{address, admin.Config().Database, `s"1`},
	} {
		conn, other := connect(t, c.address), connect(t, c.address)
		exec(t, conn, versioned+"insert into schema_migrations values (9, true)")
		exec(t, conn, "create schema if not exists "+pgx.Identifier{c.schema}.Sanitize())
		exec(t, conn, "set search_path = "+pgx.Identifier{c.schema}.Sanitize()+", public")
		if c.schema == "public" {
			exec(t, conn, "delete from schema_migrations")
		}
		set := load(t, "create table a ()")
		wantStatus(t, set, conn, migrations.Status{State: migrations.Behind})
		driver := migrations.NewDriver(t.Context(), conn)
		must(t, driver.Lock())
		for _, hashed := range []string{c.database, "/" + c.database} {
			id, err := database.GenerateAdvisoryLockId(hashed, c.schema, "schema_migrations")
			must(t, err)
			if got := ask(t, other, "select pg_try_advisory_lock("+id+")::text"); got != "false" {
				t.Errorf("the lock of %q is free", hashed)
			}
		}
		must(t, driver.Unlock())
		if result := up(t, set, conn); result.To != 1 {
			t.Errorf("%s: %+v", c.schema, result)
		}
		wantNoLocks(t, other)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fingerprint returns the schema as text, with the version table.
func fingerprint(t testing.TB, conn *pgx.Conn) string {
	t.Helper()
	return ask(t, conn, `select string_agg(line, E'\n' order by line) from (
		select format('%s.%s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
			from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
			where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped
		union all select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			from pg_constraint where connamespace = 'public'::regnamespace
		union all select indexdef from pg_indexes where schemaname = 'public'
		union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
		union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal) as lines (line)`)
}
