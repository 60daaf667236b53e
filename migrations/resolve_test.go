package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

const (
	makeIndex   = "-- no-transaction\ncreate index concurrently a_n on a (n)"
	removeIndex = "-- no-transaction\ndrop index concurrently a_n"
)

// indexes returns the indexes of the test, and whether they are valid.
const indexes = `select coalesce(string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' order by indexrelid::regclass::text), '')
	from pg_index join pg_class on oid = indexrelid where relnamespace = 'public'::regnamespace and not indisprimary`

func wantIndexes(t testing.TB, conn *pgx.Conn, want string) {
	t.Helper()
	if got := ask(t, conn, indexes); got != want {
		t.Errorf("indexes = %q, want %q", got, want)
	}
}

// interrupt runs a migration that has to wait for another session's transaction, and ends its server process when the
// condition is true.
func interrupt(t testing.TB, url, transaction, condition string, migrate func(context.Context, *pgx.Conn) (migrations.Result, error)) {
	t.Helper()
	other := connect(t, url)
	exec(t, other, "begin; "+transaction)
	conn := connect(t, url)
	done := make(chan error, 1)
	go func() { _, err := migrate(t.Context(), conn); done <- err }()
	awaitTrue(t, connect(t, url), condition)
	exec(t, other, fmt.Sprintf("select pg_terminate_backend(%d)", conn.PgConn().PID()))
	if err := await(t, done); err == nil {
		t.Fatal("survived")
	}
	exec(t, other, "commit")
}

// stopAtRecord ends the server process that is about to record a clean version outside of a file's transaction.
func stopAtRecord(t testing.TB, url string, version int, migrate func(context.Context, *pgx.Conn) (migrations.Result, error)) {
	t.Helper()
	other := connect(t, url)
	var conn *pgx.Conn
	stop := sync.OnceFunc(func() { exec(t, other, fmt.Sprintf("select pg_terminate_backend(%d)", conn.PgConn().PID())) })
	conn = connect(t, url, func(c net.Conn) net.Conn { return before{c, fmt.Sprintf("VALUES (%d, false)", version), stop} })
	if _, err := migrate(t.Context(), conn); err == nil {
		t.Fatal("survived")
	}
}

func upTo(t testing.TB, set *migrations.Set, conn *pgx.Conn, version uint) {
	t.Helper()
	_, err := set.UpTo(t.Context(), conn, version)
	must(t, err)
}

const halfMade = "exists (select from pg_index where not indisvalid)"

func TestInterruptedCreateIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := load(t, "create table a (n int)", makeIndex, "create table b ()")
	upTo(t, set, conn, 1)
	interrupt(t, url, "insert into a values (1)", halfMade, func(ctx context.Context, conn *pgx.Conn) (migrations.Result, error) {
		return set.UpTo(ctx, conn, 2)
	})
	wantStatus(t, set, conn, migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
	wantIndexes(t, conn, "a_n false")

	result := up(t, set, conn)
	if result.From != 1 || result.To != 3 || len(result.Applied) != 2 ||
		result.Resolved != "000002_step.up.sql was interrupted: index public.a_n is incomplete; dropped public.a_n; the version is 1" {
		t.Errorf("result = %+v", result)
	}
	wantIndexes(t, conn, "a_n true")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 3})
	wantNoLocks(t, conn)
}

func TestInterruptedAfterTheStatement(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := both(t, [2]string{"create table a (n int)", "drop table a"}, [2]string{makeIndex, removeIndex})
	upTo(t, set, conn, 1)
	stopAtRecord(t, url, 2, set.Up)
	wantStatus(t, set, conn, migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
	if result := up(t, set, conn); result.From != 2 || result.Applied != nil || !strings.Contains(result.Resolved, "exists and is valid; the version is 2") {
		t.Errorf("up: %+v", result)
	}
	stopAtRecord(t, url, 1, func(ctx context.Context, conn *pgx.Conn) (migrations.Result, error) { return set.DownTo(ctx, conn, 1) })
	wantStatus(t, set, conn, migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
	result, err := set.DownTo(t.Context(), conn, 0)
	if err != nil || result.From != 1 || result.To != 0 || len(result.Applied) != 1 || !strings.Contains(result.Resolved, "the version is 1") {
		t.Errorf("down: %+v, %v", result, err)
	}
}

func TestInterruptedDropIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := load(t, "create table a (n int); create index a_n on a (n)", "-- no-transaction\ndrop /* create */ index concurrently if exists public.a_n;")
	upTo(t, set, conn, 1)
	interrupt(t, url, "select from a", halfMade, set.Up)
	wantIndexes(t, conn, "a_n false")
	if result := up(t, set, conn); result.From != 2 || result.Applied != nil || !strings.Contains(result.Resolved, "is only partly dropped; dropped public.a_n; the version is 2") {
		t.Errorf("result = %+v", result)
	}
	wantIndexes(t, conn, "")
}

func TestInterruptedDown(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := both(t, [2]string{"create table a (n int); create index a_n on a (n)", "drop table a"}, [2]string{"create table b ()", removeIndex})
	up(t, set, conn)
	down := func(ctx context.Context, conn *pgx.Conn) (migrations.Result, error) { return set.DownTo(ctx, conn, 1) }
	interrupt(t, url, "select from a", halfMade, down)
	wantStatus(t, set, conn, migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
	result, err := down(t.Context(), conn)
	if err != nil || result.From != 1 || result.To != 1 || !strings.HasPrefix(result.Resolved, "000002_step.down.sql was interrupted: ") {
		t.Errorf("down: %+v, %v", result, err)
	}
	wantIndexes(t, conn, "")
}

func TestInterruptedReindex(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"index concurrently a_n", "table concurrently public.a", "schema concurrently public"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			conn := connect(t, url)
			set := load(t, "create table a (n int); create index a_n on a (n)", "-- no-transaction\nreindex (verbose) "+target)
			upTo(t, set, conn, 1)
			interrupt(t, url, "insert into a values (1)", halfMade, set.Up)
			wantIndexes(t, conn, "a_n true, a_n_ccnew false")
			if result := up(t, set, conn); result.From != 1 || len(result.Applied) != 1 || !strings.Contains(result.Resolved, "dropped public.a_n_ccnew") {
				t.Errorf("result = %+v", result)
			}
			wantIndexes(t, conn, "a_n true")
		})
	}
}

func TestRefusedIndexLeavesNothing(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := load(t, "create table a (n int); insert into a values (1), (1)", "-- no-transaction\ncreate unique index concurrently a_n on a (n)")
	unique := func(what string) {
		t.Helper()
		_, err := set.Up(t.Context(), conn)
		var failure *migrations.Error
		var cause *pgconn.PgError
		if !errors.As(err, &failure) || !errors.As(err, &cause) || cause.Code != "23505" || failure.File != "000002_step.up.sql" || failure.Line != 2 {
			t.Errorf("%s: %v", what, err)
		}
		wantIndexes(t, conn, "")
		wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 1})
		wantNoLocks(t, conn)
	}
	unique("first")
	unique("again")
	// This is the state after a process that could not clean up.
	if _, err := conn.Exec(t.Context(), "create unique index concurrently a_n on a (n)"); err == nil {
		t.Fatal("indexed")
	}
	exec(t, conn, "update schema_migrations set version = 2, dirty = true")
	wantIndexes(t, conn, "a_n false")
	unique("after the invalid index")

	exec(t, conn, "truncate a")
	up(t, set, conn)
	wantIndexes(t, conn, "a_n true")
}

func TestCancelledIndexLeavesNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, other := connect(t, url), connect(t, url)
	set := load(t, "create table a (n int)", makeIndex)
	upTo(t, set, conn, 1)
	exec(t, other, "begin; insert into a values (1)")
	done := make(chan error, 1)
	go func() { _, err := set.Up(t.Context(), conn); done <- err }()
	third := connect(t, url)
	awaitTrue(t, third, halfMade)
	exec(t, third, fmt.Sprintf("select pg_cancel_backend(%d)", conn.PgConn().PID()))
	exec(t, other, "commit")
	var cause *pgconn.PgError
	if err := await(t, done); !errors.As(err, &cause) || cause.Code != "57014" {
		t.Fatalf("up: %v", err)
	}
	wantIndexes(t, conn, "")
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind, Version: 1})
}

// Each case is a database that is dirty at version 2, with what the file left in it.
func TestResolve(t *testing.T) {
	t.Parallel()
	const odd = `create schema "Odd One"; create table "Odd One"."T ""1""" (n int)`
	for name, c := range map[string]struct {
		up, down, left string
		resolved       string // part of what was found; empty when it must be parked
		from           uint   // the version that was found true
		advice         string
		indexes        string // afterwards
	}{
		"an index that is not there":         {up: makeIndex, resolved: "index a_n does not exist; the version is 1", from: 1, indexes: "a_n true"},
		"a pair that agrees":                 {up: makeIndex, down: removeIndex, resolved: "000002_step.up.sql or 000002_step.down.sql", from: 1, indexes: "a_n true"},
		"an index of another table":          {up: makeIndex, left: "create table c (n int); create index a_n on c (n)", advice: "public.a_n exists, but is no index of table a", indexes: "a_n true"},
		"a table of that name":               {up: makeIndex, left: "create table a_n ()", advice: "no index of table a"},
		"an index elsewhere on the path":     {up: makeIndex, left: "create schema s; create table s.a (n int); create index a_n on s.a (n)", resolved: "index a_n does not exist", from: 1, indexes: "a_n true"},
		"odd names":                          {up: "-- no-transaction\nCreate Unique Index Concurrently if Not exists \"a\"\"N\" on only \"Odd One\" . \"T \"\"1\"\"\" using btree (n)", left: odd + `; create unique index "a""N" on "Odd One"."T ""1""" (n)`, resolved: `"Odd One"."a""N" exists and is valid`, from: 2},
		"letters that are folded":            {up: "-- no-transaction\ncreate index /* on b */ concurrently A_N -- x\n on PUBLIC.A (n)", left: "create index a_n on a (n)", resolved: "public.a_n exists and is valid", from: 2, indexes: "a_n true"},
		"an index without a name":            {up: "-- no-transaction\ncreate index concurrently on a (n)", advice: "its index has no name"},
		"an index still to drop":             {up: removeIndex, left: "create index a_n on a (n)", resolved: "still exists and is valid", from: 1},
		"an index that was dropped":          {up: removeIndex, resolved: "index a_n does not exist", from: 2},
		"what to drop is no index":           {up: removeIndex, left: "create table a_n ()", advice: "is no index"},
		"a vacuum":                           {up: "-- no-transaction\nvacuum analyze a", resolved: "may run twice", from: 1},
		"a vacuum on the way down":           {up: "select 1", down: "-- no-transaction\nvacuum", advice: "000002_step.down.sql began outside a transaction"},
		"a value that is there":              {up: "-- no-transaction\nalter type e add value 'it''s' before 'x'", left: "alter type e add value 'it''s'", resolved: "e has the value 'it''s'", from: 2},
		"a value that is not there":          {up: "-- no-transaction\nalter type public.e add value if not exists E'it\\'s'", resolved: "has no value", from: 1},
		"an incomplete pair":                 {up: makeIndex, down: removeIndex, left: "create index a_n on a (n); update pg_index set indisvalid = false where indexrelid = 'a_n'::regclass", resolved: "is incomplete; dropped public.a_n; the version is 1", from: 1, indexes: "a_n true"},
		"a statement with an unknown effect": {up: "-- no-transaction\ncreate table z ()", advice: "cannot be checked"},
		"a comment that looks like one":      {up: "-- no-transaction\n/* create index concurrently a_n on a (n) */ create table z ()", advice: "cannot be checked"},
		"files that do not agree":            {up: makeIndex, down: "-- no-transaction\ndrop index concurrently other", left: "create index other on a (n)", advice: ", but index public.other still exists and is valid", indexes: "other true"},
		"a transactional file":               {up: "create table z ()", advice: "another tool"},
		"a down file that cannot be told":    {up: "select 1", down: "-- no-transaction\ncall p()", advice: "000002_step.down.sql began outside a transaction"},
		"a nameless one with a known pair":   {up: "-- no-transaction\ncreate index concurrently on a (n)", down: removeIndex, advice: "If it was 000002_step.down.sql that was interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			set := both(t, [2]string{"create table a (n int); create type e as enum ('x')", "drop table a"}, [2]string{c.up, c.down})
			upTo(t, set, conn, 1)
			for statement := range strings.SplitSeq(c.left, "; ") {
				exec(t, conn, statement)
			}
			exec(t, conn, "update schema_migrations set version = 2, dirty = true")
			result, err := set.Up(t.Context(), conn)
			wantNoLocks(t, conn)
			wantIndexes(t, conn, c.indexes)
			if c.resolved != "" {
				if err != nil || !strings.Contains(result.Resolved, c.resolved) || result.From != c.from || result.To != 2 {
					t.Errorf("up: %+v, %v", result, err)
				}
				wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 2})
				return
			}
			var pgErr *migrations.StateError
			if !errors.As(err, &pgErr) || !strings.Contains(err.Error(), c.advice) {
				t.Errorf("up: %v, want %q", err, c.advice)
			}
			wantStatus(t, set, conn, migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
		})
	}
}
