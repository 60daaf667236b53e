package migrations_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

const killMe = "select pg_terminate_backend(pg_backend_pid());"

func TestKilledDuringAFile(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	for _, text := range []string{killMe, "create table b ();" + killMe, "create table b ();" + killMe + "create table c ();"} {
		conn := connect(t, url)
		if _, err := load(t, "create table if not exists a ()", text).Up(t.Context(), conn); err == nil {
			t.Fatal("survived")
		}
		conn = connect(t, url)
		wantStatus(t, load(t, "", ""), conn, migrations.Status{State: migrations.Behind, Version: 1})
		wantTables(t, conn, "a schema_migrations")
	}
	up(t, load(t, "", "create table b ()"), connect(t, url))
}

// lostResponses is a connection whose responses are lost after a COMMIT was sent.
type lostResponses struct {
	net.Conn
	lost *atomic.Bool
}

func (d lostResponses) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b)
	if bytes.Contains(b, []byte("COMMIT")) {
		d.lost.Store(true)
	}
	return n, err
}

func (d lostResponses) Read(b []byte) (int, error) {
	if d.lost.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := d.Conn.Read(b)
	if d.lost.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// The next run must find out whether the server committed before the client disconnected.
func TestALostResponse(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	set := load(t, "create table a ()", "create table b ()")
	conn := connect(t, url, func(c net.Conn) net.Conn { return lostResponses{c, new(atomic.Bool)} })
	if _, err := set.Up(t.Context(), conn); err == nil {
		t.Fatal("received the answer")
	}
	up(t, set, connect(t, url))
	wantTables(t, connect(t, url), "a b schema_migrations")
}

func TestCrashOutsideATransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	set := load(t, "create table a ()", "-- no-transaction\n"+killMe, "create table b ()")
	if _, err := set.Up(t.Context(), conn); err == nil {
		t.Fatal("survived")
	}
	conn = connect(t, url)
	dirty := migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true}
	wantStatus(t, set, conn, dirty)

	_, err := set.Up(t.Context(), conn)
	var pgErr *migrations.StateError
	if !errors.As(err, &pgErr) || pgErr.Status != dirty {
		t.Fatalf("up: %v", err)
	}
	for _, want := range []string{"dirty at version 2", "000002_step.up.sql began outside a transaction", "set dirty = false", "set version = 1, dirty = false"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	exec(t, conn, "update schema_migrations set version = 1, dirty = false")
	up(t, load(t, "create table a ()", "-- no-transaction\ncreate index concurrently on schema_migrations (dirty)", "create table b ()"), conn)
	wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 3})
}

func TestFailureOutsideATransaction(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	set := load(t, "-- no-transaction\n\ncreate index concurrently\n on nowhere (x)")
	_, err := set.Up(t.Context(), conn)
	var failure *migrations.Error
	if !errors.As(err, &failure) || failure.Line != 3 || failure.Statement != "create index concurrently on nowhere (x)" {
		t.Errorf("up: %+v", err)
	}
	wantStatus(t, set, conn, migrations.Status{State: migrations.Behind})
}

func TestManyAtOnceApplyOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	set := load(t, "create table a (n int); insert into a values (0)", "update a set n = n + 1",
		"-- no-transaction\ncreate index concurrently on a (n)", "update a set n = n + 1")
	var applied atomic.Int64
	var group errgroup.Group
	for range 8 {
		conn := connect(t, url)
		group.Go(func() error {
			result, err := set.Up(t.Context(), conn)
			applied.Add(int64(len(result.Applied)))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := ask(t, connect(t, url), "select n::text from a"); applied.Load() != 4 || n != "2" {
		t.Errorf("%d files were applied, n = %s", applied.Load(), n)
	}
}

// watched runs a function when a text was sent for the n-th time.
type watched struct {
	net.Conn
	text     string
	after    *atomic.Int64
	observed func()
}

func (w watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if bytes.Contains(b, []byte(w.text)) && w.after.Add(-1) == 0 {
		w.observed()
	}
	return n, err
}

// signal returns a wire that closes the channel when a text was sent n times.
func signal(text string, n int64) (func(net.Conn) net.Conn, <-chan struct{}) {
	done := make(chan struct{})
	var after atomic.Int64
	after.Store(n)
	closing := sync.OnceFunc(func() { close(done) })
	return func(c net.Conn) net.Conn { return watched{c, text, &after, closing} }, done
}

// await fails a test that would wait forever.
func await[T any](t testing.TB, done <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-done:
	case <-time.After(time.Minute):
		t.Fatal("nothing happened within a minute")
	}
	return value
}

// before is a connection that runs a function once, before it first sends a text.
type before struct {
	net.Conn
	text string
	do   func()
}

func (b before) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(b.text)) {
		b.do()
	}
	return b.Conn.Write(p)
}

// Another process may run everything between our read of the version and our lock.
func TestAnotherProcessMigratedFirst(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	set := load(t, "create table a (n int); insert into a values (0)", "update a set n = n + 1")
	if _, err := set.UpTo(t.Context(), connect(t, url), 1); err != nil {
		t.Fatal(err)
	}
	other := connect(t, url)
	overtake := sync.OnceFunc(func() { up(t, set, other) })
	conn := connect(t, url, func(c net.Conn) net.Conn { return before{c, "pg_try_advisory_lock", overtake} })
	if result := up(t, set, conn); result.From != 2 || result.Applied != nil {
		t.Errorf("result = %+v", result)
	}
	if n := ask(t, conn, "select n::text from a"); n != "1" {
		t.Errorf("the file ran %s times", n)
	}
}

// The read must follow the lock, although both are one message, and at every isolation level: another process may run
// everything while the message waits in the server.
func TestAnotherProcessMigratedDuringTheMessage(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	set := load(t, "create table a (n int); insert into a values (0)", "update a set n = n + 1")
	if _, err := set.UpTo(t.Context(), connect(t, url), 1); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	exec(t, conn, "set default_transaction_isolation = 'repeatable read'")
	other := connect(t, url)
	exec(t, other, "begin; lock table schema_migrations in access exclusive mode")
	done := make(chan migrations.Result, 1)
	go func() {
		result, err := set.Up(t.Context(), conn)
		if err != nil {
			t.Error(err)
		}
		done <- result
	}()
	awaitTrue(t, other, "exists (select from pg_locks where relation = 'schema_migrations'::regclass and not granted)")
	exec(t, other, "update a set n = n + 1; update schema_migrations set version = 2; commit")
	if result := await(t, done); result.From != 2 || result.Applied != nil {
		t.Errorf("result = %+v", result)
	}
	if n := ask(t, other, "select n::text from a"); n != "1" {
		t.Errorf("the file ran %s times", n)
	}
	wantNoLocks(t, other)
}

// The unlock is in the message of the last file. It must follow the commit, or the next process would not see the
// version.
func TestTheLockOutlivesTheCommit(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn, other := connect(t, url), connect(t, url)
	exec(t, other, "select pg_advisory_lock(1)")
	set := load(t, "create table z ()", `create table a (n int);
		create function wait() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock(1); return null; end';
		create constraint trigger waits after insert on a deferrable initially deferred for each row execute function wait();
		insert into a values (1)`)
	if _, err := set.UpTo(t.Context(), conn, 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := set.Up(t.Context(), conn); done <- err }()
	awaitTrue(t, other, "exists (select from pg_locks join pg_database d on d.oid = database where datname = current_database() and not granted)")
	const held = "select count(*)::text from pg_locks where locktype = 'advisory' and granted and pid = "
	if got := ask(t, other, held+strconv.Itoa(int(conn.PgConn().PID()))); got != "2" {
		t.Errorf("%s locks are held before the commit", got)
	}
	exec(t, other, "select pg_advisory_unlock(1)")
	must(t, await(t, done))
	wantNoLocks(t, other)
}

// awaitTrue queries until a condition is true.
func awaitTrue(t testing.TB, conn *pgx.Conn, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ask(t, conn, "select ("+condition+")::text") == "false" {
		if ctx.Err() != nil {
			t.Fatalf("within a minute, this did not come true: %s", condition)
		}
	}
}

// CREATE INDEX CONCURRENTLY waits for every older snapshot. A session that waits for the lock must hold none.
func TestWaitingDoesNotBlockAConcurrentIndex(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	set := load(t, "create table a (n int)", "-- no-transaction\ncreate index concurrently on a (n)")
	if _, err := set.UpTo(t.Context(), connect(t, url), 1); err != nil {
		t.Fatal(err)
	}
	// An open transaction makes the index wait, and the other sessions see a dirty database meanwhile.
	writer := connect(t, url)
	exec(t, writer, "begin; insert into a values (1)")

	indexing, indexed := signal("concurrently", 1)
	waiting, waited := signal("advisory_lock", 3)
	var group errgroup.Group
	conn := connect(t, url, indexing)
	group.Go(func() error { _, err := set.Up(t.Context(), conn); return err })
	await(t, indexed)
	other := connect(t, url, waiting)
	group.Go(func() error { _, err := set.Up(t.Context(), other); return err })
	await(t, waited)
	wantStatus(t, set, connect(t, url), migrations.Status{State: migrations.Dirty, Version: 2, Dirty: true})
	exec(t, writer, "commit")
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	wantStatus(t, set, writer, migrations.Status{State: migrations.Current, Version: 2})
}

func TestContext(t *testing.T) {
	t.Parallel()
	t.Run("ends the wait for the lock", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		holder := migrations.NewDriver(t.Context(), connect(t, url))
		if err := holder.Lock(); err != nil {
			t.Fatal(err)
		}
		wire, waited := signal("advisory_lock", 2)
		conn := connect(t, url, wire)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-waited; cancel() }()
		if _, err := load(t, "create table a ()").Up(ctx, conn); !errors.Is(err, context.Canceled) {
			t.Errorf("up: %v", err)
		}
		if err := holder.Close(); err != nil {
			t.Error(err)
		}
		up(t, load(t, "create table a ()"), connect(t, url))
	})
	t.Run("ends a file, and leaves nothing of it", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		blocker := connect(t, url)
		exec(t, blocker, "select pg_advisory_lock(1)")
		conn := connect(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := load(t, "create table a (); select pg_advisory_lock(1)").Up(ctx, conn)
			done <- err
		}()
		// A request to cancel that comes before the file would have no effect.
		awaitTrue(t, blocker, `exists (select from pg_locks join pg_database d on d.oid = database
			where datname = current_database() and not granted)`)
		cancel()
		if err := await(t, done); !errors.Is(err, context.Canceled) {
			t.Errorf("up: %v", err)
		}
		// The lock of the session that was cancelled is held until its server process has ended.
		up(t, load(t, "create table b ()"), blocker)
		wantTables(t, blocker, "b schema_migrations")
	})
}
