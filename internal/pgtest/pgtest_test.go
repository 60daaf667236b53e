package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func query[T any](t *testing.T, url, sql string) (value T) {
	t.Helper()
	if err := pgtest.Connect(t, url).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestDatabaseIsEmptyAndOwn(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Database(t), pgtest.Database(t)
	if a == b {
		t.Fatal("two calls gave the same database")
	}
	if _, err := pgtest.Connect(t, a).Exec(t.Context(), `create table here (n int)`); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, b, `select count(*) from pg_tables where schemaname = 'public'`); n != 0 {
		t.Errorf("a new database has %d tables, want none", n)
	}
}

func TestDatabaseIsDroppedWithItsSessions(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = pgtest.Database(t)
		if _, err := pgx.Connect(context.Background(), url); err != nil { // left open
			t.Fatal(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database outlived its test")
	}
}

func TestCloneBuildsOnce(t *testing.T) {
	t.Parallel()
	var built atomic.Int32
	build := func(ctx context.Context, url string) error {
		built.Add(1)
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, `create table seats as select 1 as n`)
		return errors.Join(err, conn.Close(ctx))
	}
	t.Run("group", func(t *testing.T) {
		for i := range 4 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				url := pgtest.Clone(t, t.Name()[:len("TestCloneBuildsOnce")], build)
				if n := query[int](t, url, `update seats set n = n + 1 returning n`); n != 2 {
					t.Errorf("seats.n = %d, want 2: the copy was used before", n)
				}
			})
		}
	})
	if n := built.Load(); n != 1 {
		t.Errorf("built %d times, want once", n)
	}
}

func TestPrivateKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t, map[string]string{"max_connections": "20"})
	url := server.URL("postgres")
	if url == pgtest.Server(t).URL("postgres") {
		t.Fatal("the private server is the shared one")
	}
	if got := query[string](t, url, `show max_connections`); got != "20" {
		t.Errorf("max_connections = %s, want 20", got)
	}
	conn := pgtest.Connect(t, url)
	if _, err := conn.Exec(t.Context(), `create table n (n int)`); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := conn.Exec(t.Context(), `insert into n values ($1)`, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Restart(t.Context(), devpg.Immediate); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, url, `select count(*) from n`); n != 50 {
		t.Errorf("%d rows after a crash, want 50", n)
	}
}

func TestSweepRemovesOnlyWhatDeadProcessesLeft(t *testing.T) {
	t.Parallel()
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	dead := fmt.Sprintf("homeroom-pgtest-%d-x", gone.Process.Pid)
	keep := []string{fmt.Sprintf("homeroom-pgtest-%d-x", os.Getpid()), "homeroom-pgtest-notes", "other-1-x"}
	for _, name := range append(keep, dead) {
		if err := os.MkdirAll(filepath.Join(temp, name, "cluster"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := pgtest.Sweep(t.Context(), temp); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(temp, dead)); !os.IsNotExist(err) {
		t.Errorf("%s: %v, want it removed", dead, err)
	}
	for _, name := range keep {
		if _, err := os.Stat(filepath.Join(temp, name)); err != nil {
			t.Errorf("%s: %v, want it kept", name, err)
		}
	}
}

// TestAnotherProcess runs some tests of this package in a process of their own, to see what it uses and leaves.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, temp, url string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^Test(DatabaseIsEmptyAndOwn|CloneBuildsOnce)$")
		cmd.Env = append(os.Environ(), "TMPDIR="+temp, pgtest.EnvURL+"="+url)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	t.Run("removes its own server", func(t *testing.T) {
		t.Parallel()
		temp, err := os.MkdirTemp("", "pgtest-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(temp) })
		if err := os.Chmod(temp, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, temp, "")
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("uses the server it is given", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Private(t, map[string]string{"log_statement": "ddl"})
		run(t, t.TempDir(), server.URL("postgres")) // a server of its own could not live in that folder, run by root
		names := query[string](t, server.URL("postgres"), `select string_agg(datname, ',' order by datname) from pg_database`)
		if names != "postgres,template0,template1" {
			t.Errorf("databases left on the server: %s", names)
		}
		if log, err := os.ReadFile(server.LogFile()); err != nil || !strings.Contains(string(log), "CREATE DATABASE") {
			t.Errorf("the given server was not used (%v)", err)
		}
	})
}
