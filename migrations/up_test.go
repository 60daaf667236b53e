package migrations_test

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

func TestUp(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := load(t, "create table a ()", "create table b ()", "create table c ()")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind})

	result, err := set.UpTo(t.Context(), conn, 2)
	if err != nil || result.From != 0 || result.To != 2 || len(result.Applied) != 2 {
		t.Fatalf("up to 2: %+v, %v", result, err)
	}
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 2})
	if result, err := set.UpTo(t.Context(), conn, 1); err != nil || result.To != 2 {
		t.Errorf("up to a version that is passed: %+v, %v", result, err)
	}
	if _, err := set.UpTo(t.Context(), conn, 9); err == nil {
		t.Error("went up to a version that is not there")
	}

	result = up(t, set, conn)
	if result.From != 2 || result.To != 3 || len(result.Applied) != 1 || result.Applied[0].Name != "000003_step.up.sql" {
		t.Errorf("up: %+v", result)
	}
	if result = up(t, set, conn); result.From != 3 || result.To != 3 || result.Applied != nil {
		t.Errorf("up again: %+v", result)
	}
	wantTables(t, conn, "a b c schema_migrations")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 3})

	older := load(t, "create table a ()")
	wantStatus(t, older, conn, migrations.Status{State: migrations.Ahead, Version: 3})
	if result = up(t, older, conn); result.From != 3 || result.To != 3 || result.Applied != nil {
		t.Errorf("up of an older binary: %+v", result)
	}
	wantNoLocks(t, conn)
}

func TestFailure(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text, code, statement string
		line                  int
	}{
		"of syntax":             {"create table b ();\n\n  creat table c ();", "42601", "creat table c ()", 3},
		"behind wide letters":   {"-- ééé 🙂\nselect 'ü';\nselect x\n  from nowhere;", "42P01", "select x from nowhere", 4},
		"of a name":             {"create table b ();\nselect x\n  from b", "42703", "select x from b", 2},
		"while running":         {"create table b (i int);\ninsert into b values (1);\n\nselect 1\n  / (i - 1) from b;\nselect 2", "22012", "select 1 / (i - 1) from b", 4},
		"in a block of code":    {"create table b ();\ndo $$ begin\n raise 'no';\nend $$;", "P0001", "do $$ begin raise 'no'; end $$", 2},
		"at the commit":         {"create table b (i int unique deferrable initially deferred);\ninsert into b values (1), (1);", "23505", "", 0},
		"of the version":        {"create table b (); drop table schema_migrations", "42P01", "drop table schema_migrations", 1},
		"inside a transaction":  {"create table b ();\nvacuum", "25001", "vacuum", 2},
		"of a commit in a body": {"create table b ();\ndo $$ begin commit; end $$", "2D000", "do $$ begin commit; end $$", 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			set := load(t, "create table a ()", c.text, "create table never ()")
			result, err := set.Up(t.Context(), conn)
			var failure *migrations.Error
			var cause *pgconn.PgError
			if !errors.As(err, &failure) || !errors.As(err, &cause) {
				t.Fatalf("error is %T: %v", err, err)
			}
			if failure.Version != 2 || failure.File != "000002_step.up.sql" || failure.Line != c.line ||
				failure.Statement != c.statement || cause.Code != c.code {
				t.Errorf("%+v, code %s", failure, cause.Code)
			}
			if result.To != 1 || len(result.Applied) != 1 {
				t.Errorf("result = %+v", result)
			}
			wantTables(t, conn, "a schema_migrations")
			wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 1})
			up(t, load(t, "create table a ()", "create table b ()"), conn)
		})
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	_, err := load(t, "create table a (name text unique);\ninsert into a values ('Ada Lovelace'), ('Ada Lovelace')").Up(t.Context(), conn)
	for _, want := range []string{"migrate to version 1: 000001_step.up.sql:2: ", "SQLSTATE 23505", "in: insert into a values"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	_, err = load(t, "create table a (name text unique); insert into a select 'Ada' || 1 from generate_series(1, 2)").Up(t.Context(), conn)
	if err == nil || strings.Contains(err.Error(), "Ada1") {
		t.Errorf("error %q quotes a row", err)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	gaps, err := migrations.Load(fstest.MapFS{"2_a.up.sql": {}, "5_b.up.sql": {}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		before string
		status migrations.Status
		advice string
	}{
		"tables but no version": {"create table theirs ()", migrations.Status{State: migrations.Unknown}, "migrate force"},
		"a version not ours":    {versioned + "insert into schema_migrations values (3, false)", migrations.Status{State: migrations.Unknown, Version: 3}, "no file has this version"},
		"dirty by another tool": {versioned + "insert into schema_migrations values (2, true)", migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true}, "another tool"},
		"dirty at nothing":      {versioned + "insert into schema_migrations values (-1, true)", migrations.Status{State: migrations.Dirty, Dirty: true}, "another tool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			exec(t, conn, c.before)
			wantStatus(t, gaps, conn, c.status)
			_, err := gaps.Up(t.Context(), conn)
			var pgErr *migrations.StateError
			if !errors.As(err, &pgErr) || pgErr.Status != c.status || !strings.Contains(err.Error(), c.advice) {
				t.Errorf("up: %v", err)
			}
		})
	}
	for name, before := range map[string]string{
		"an empty version table": versioned + "create table theirs ()",
		"another schema's":       "create schema other; create table other.schema_migrations (version bigint, dirty boolean); insert into other.schema_migrations values (5, false); set search_path = public, other",
	} {
		t.Run(name+" is behind", func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			exec(t, conn, before)
			wantStatus(t, gaps, conn, migrations.Status{State: migrations.Behind})
			up(t, gaps, conn)
		})
	}
	t.Run("a path that leads nowhere is an error", func(t *testing.T) {
		t.Parallel()
		conn := newDatabase(t)
		exec(t, conn, "set search_path = ''")
		if _, err := gaps.Up(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "search_path") {
			t.Errorf("up: %v", err)
		}
	})
	t.Run("a transaction of the caller is not committed", func(t *testing.T) {
		t.Parallel()
		conn := newDatabase(t)
		exec(t, conn, "begin")
		if _, err := gaps.Up(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "in a transaction") {
			t.Errorf("up: %v", err)
		}
	})
}

const versioned = "create table schema_migrations (version bigint primary key, dirty boolean not null);"

// A dump of pg_dump changes many settings, and empties the search_path. The next file must run as on a new
// connection.
func TestSettingsEndWithTheirFile(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := load(t, "set lock_timeout = 0; select pg_catalog.set_config('search_path', '', false); create table public.a ();", "create table b ()")
	if _, err := set.UpTo(t.Context(), conn, 1); err != nil {
		t.Fatal(err)
	}
	up(t, set, conn)
	wantTables(t, conn, "a b schema_migrations")
}

// writes counts the writes of a session: one write is one round trip.
type writes struct {
	net.Conn
	count *atomic.Int64
}

func (w writes) Write(b []byte) (int, error) {
	w.count.Add(1)
	return w.Conn.Write(b)
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	conn := connect(t, pgtest.Database(t), func(c net.Conn) net.Conn { return writes{c, &count} })
	set := load(t, "create table a ()")
	for _, c := range []struct {
		name string
		do   func()
		want int64
	}{
		// A read that finds no version table, a read with the lock, the file, which releases the lock.
		{"an empty database", func() { up(t, set, conn) }, 3},
		{"a current database", func() { up(t, set, conn) }, 1},
		{"a status", func() { wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 1}) }, 1},
		// Read and lock; the file, its version and the unlock.
		{"one file", func() { up(t, load(t, "", "create table d ()"), conn) }, 2},
		// Read and lock; dirty row; the statement; clean row and unlock.
		{"one file outside a transaction", func() { up(t, load(t, "", "", "-- no-transaction\nvacuum schema_migrations"), conn) }, 4},
	} {
		count.Store(0)
		c.do()
		if got := count.Load(); got != c.want {
			t.Errorf("%s took %d round trips, want %d", c.name, got, c.want)
		}
	}
}
