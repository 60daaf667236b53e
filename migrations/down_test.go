package migrations_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// both makes a set of pairs of an up and a down file, numbered from 1. An empty down file is left out.
func both(t testing.TB, pairs ...[2]string) *migrations.Set {
	t.Helper()
	files := fstest.MapFS{}
	for i, pair := range pairs {
		name := "00000" + string(rune('1'+i)) + "_step."
		files[name+"up.sql"] = &fstest.MapFile{Data: []byte(pair[0])}
		if pair[1] != "" {
			files[name+"down.sql"] = &fstest.MapFile{Data: []byte(pair[1])}
		}
	}
	set, err := migrations.Load(files)
	must(t, err)
	return set
}

func TestDownTo(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := both(t,
		[2]string{"create table a (n int)", "drop table a"},
		[2]string{"-- no-transaction\ncreate index concurrently a_n on a (n)", "-- no-transaction\ndrop index concurrently a_n"},
		[2]string{"create table b ()", "set search_path = ''; drop table public.b"},
	)
	if result, err := set.DownTo(t.Context(), conn, 0); err != nil || result.To != 0 || result.Applied != nil {
		t.Errorf("down from nothing: %+v, %v", result, err)
	}
	up(t, set, conn)
	first := fingerprint(t, conn)
	for _, to := range []uint{3, 1, 2, 0} {
		result, err := set.DownTo(t.Context(), conn, to)
		want := map[uint]migrations.Result{
			3: {From: 3, To: 3}, 1: {From: 3, To: 1, Applied: []migrations.File{set.Files()[2], set.Files()[1]}},
			2: {From: 1, To: 1}, 0: {From: 1, To: 0, Applied: set.Files()[:1]},
		}[to]
		if err != nil || result.From != want.From || result.To != want.To || len(result.Applied) != len(want.Applied) {
			t.Fatalf("down to %d: %+v, %v", to, result, err)
		}
		for i, file := range result.Applied {
			if file.Name != want.Applied[i].Name {
				t.Errorf("down to %d undid %s, want %s", to, file.Name, want.Applied[i].Name)
			}
		}
		wantNoLocks(t, conn)
	}
	wantTables(t, conn, "schema_migrations")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind})
	up(t, set, conn)
	if again := fingerprint(t, conn); again != first {
		t.Errorf("schema differs:\n%s\n\n%s", first, again)
	}
}

func TestDownToRefuses(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := both(t, [2]string{"create table a ()", "drop table a"}, [2]string{"create table b ()", ""}, [2]string{"create table c ()", "drop table c"})
	up(t, set, conn)
	if _, err := set.DownTo(t.Context(), conn, 0); err == nil || !strings.Contains(err.Error(), "000002_step.down.sql") {
		t.Errorf("down without a down file: %v", err)
	}
	if _, err := set.DownTo(t.Context(), conn, 7); err == nil {
		t.Error("went down to a version that is not there")
	}
	older := both(t, [2]string{"create table a ()", "drop table a"})
	for want, before := range map[migrations.State]string{
		migrations.Ahead:   "update schema_migrations set version = 3",
		migrations.Dirty:   "update schema_migrations set version = 1, dirty = true",
		migrations.Unknown: "drop table schema_migrations",
	} {
		state := newDatabase(t)
		up(t, set, state)
		exec(t, state, before)
		_, err := older.DownTo(t.Context(), state, 0)
		var pgErr *migrations.StateError
		if !errors.As(err, &pgErr) || pgErr.Status.State != want {
			t.Errorf("down from %s: %v", want, err)
		}
	}
	wantTables(t, conn, "a b c schema_migrations")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 3})
}

func TestFailureOfADownFile(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := both(t, [2]string{"create table a ()", "drop table a;\n\ndrop table nowhere"}, [2]string{"create table b ()", "drop table b"})
	up(t, set, conn)
	result, err := set.DownTo(t.Context(), conn, 0)
	var failure *migrations.Error
	var cause *pgconn.PgError
	if !errors.As(err, &failure) || !errors.As(err, &cause) || failure.File != "000001_step.down.sql" || failure.Version != 0 ||
		failure.Line != 3 || failure.Statement != "drop table nowhere" || cause.Code != "42P01" {
		t.Errorf("down: %+v", err)
	}
	if result.From != 2 || result.To != 1 || len(result.Applied) != 1 {
		t.Errorf("result = %+v", result)
	}
	wantTables(t, conn, "a schema_migrations")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 1})
	up(t, set, conn)
}

func TestBetween(t *testing.T) {
	t.Parallel()
	set := both(t, [2]string{"select 1", "select 1"}, [2]string{"select 2", ""}, [2]string{"select 3", "select 3"}, [2]string{"select 4", "select 4"})
	for _, c := range []struct {
		from, to uint
		want     string
	}{
		{0, 2, "000001_step.up.sql 000002_step.up.sql"},
		{2, 4, "000003_step.up.sql 000004_step.up.sql"},
		{4, 2, "000004_step.down.sql 000003_step.down.sql"},
		{1, 0, "000001_step.down.sql"},
		{3, 3, ""},
		{0, 0, ""},
		{3, 1, "error: 000002_step.down.sql"},
		{5, 1, "error: version 5"},
		{1, 6, "error: version 6"},
	} {
		names, err := set.Between(c.from, c.to)
		fault, pgErr := strings.CutPrefix(c.want, "error: ")
		if pgErr && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("from %d to %d: error %v, want %q", c.from, c.to, err, fault)
		}
		if got := strings.Join(names, " "); !pgErr && (err != nil || got != c.want) {
			t.Errorf("from %d to %d: %q, %v; want %q", c.from, c.to, got, err, c.want)
		}
	}
}

// golang-migrate's command can read a database that was migrated down.
func TestStockDriverAfterDownTo(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := migrations.Tenant()
	up(t, set, conn)
	_, err := set.DownTo(t.Context(), conn, 2)
	must(t, err)
	m := engine(t, os.DirFS("tenant"), stockDriver(t, url))
	if version, dirty, err := m.Version(); version != 2 || dirty || err != nil {
		t.Errorf("stock driver reads %d, dirty %t, %v", version, dirty, err)
	}
	must(t, m.Up())
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: set.Latest()})
}
