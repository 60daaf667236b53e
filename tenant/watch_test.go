package tenant_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// savepoints returns a transaction that takes a lock for each of n savepoints, which no missing right can prevent.
func savepoints(n int) string {
	var sql strings.Builder
	sql.WriteString("begin;")
	for i := range n {
		fmt.Fprintf(&sql, "savepoint s; insert into lunch_weeks (starts_on) values (date '2000-01-03' + 7 * %d);", i)
	}
	return sql.String()
}

// ended runs one check, and compares the ended sessions and the reasons.
func ended(t *testing.T, watch *tenant.Watch, want map[tenant.ID]string) {
	t.Helper()
	sessions, err := watch.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range sessions {
		if want[session.Tenant] != session.Reason {
			t.Errorf("ended a session of %s for %q, want %q", session.Tenant, session.Reason, want[session.Tenant])
		}
	}
	if len(sessions) != len(want) {
		t.Errorf("ended %d sessions, want %d: %+v", len(sessions), len(want), sessions)
	}
}

func TestTheWatchRecoversAServerWithoutFreeLocks(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, map[string]string{"max_locks_per_transaction": "10", "max_connections": "40"})
	server := openAt(t, own.URL("postgres"), nil)
	hostile, other := ensure(t, server), ensure(t, server)
	watch := server.NewWatch(tenant.WatchConfig{})
	ended(t, watch, nil)
	conn := pgtest.Connect(t, server.URL(hostile, 0).Reveal())
	if _, err := conn.Exec(t.Context(), savepoints(10000), pgx.QueryExecModeSimpleProtocol); err == nil {
		t.Fatal("the server's lock table is large enough")
	} else {
		refused(t, "the tenant itself", err, "53200")
	}
	if _, err := pgx.Connect(t.Context(), server.URL(other, 0).Reveal()); err == nil {
		t.Fatal("another tenant can connect: the lock table was not full")
	}
	ended(t, watch, map[tenant.ID]string{hostile: tenant.EndedForLocks})
	var again *pgx.Conn
	for tick := time.NewTicker(20 * time.Millisecond); again == nil; <-tick.C { // Postgres ends a session asynchronously
		var err error
		if again, err = pgx.Connect(t.Context(), server.URL(other, 0).Reveal()); err != nil {
			refused(t, "connect as another tenant", err, "53200")
		}
	}
	exec(t, again, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
}

func TestTheWatchEndsSessionsAboveItsLimits(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	pgtest.Script(t, own.URL, "../examples/provisioner.sql")
	exec(t, root, "alter role homeroom password 'secret'")
	server := openAt(t, withUser(t, own.URL("postgres"), "homeroom", "secret"), nil)
	good, greedy, slow := ensure(t, server), ensure(t, server), ensure(t, server)
	enter := func(id tenant.ID, sql string) *pgx.Conn {
		conn := pgtest.Connect(t, server.URL(id, 0).Reveal())
		exec(t, conn, sql, pgx.QueryExecModeSimpleProtocol)
		return conn
	}
	usual := enter(good, "begin; select * from lunch_weeks")
	enter(greedy, savepoints(50))
	enter(greedy, savepoints(0)+"select 1")
	ended(t, server.NewWatch(tenant.WatchConfig{}), nil)
	ended(t, server.NewWatch(tenant.WatchConfig{MaxLocks: 40}), map[tenant.ID]string{greedy: tenant.EndedForLocks})

	exec(t, usual, "commit")
	idle := enter(good, "select 1")
	enter(slow, "begin; select * from lunch_weeks")
	var lines []tenant.EndedSession
	watch := server.NewWatch(tenant.WatchConfig{MaxTransaction: time.Nanosecond, OnSessionEnded: func(s tenant.EndedSession) { lines = append(lines, s) }})
	sessions, err := watch.Check(t.Context())
	if err != nil || len(sessions) != 2 || len(lines) != 2 { // the greedy tenant's second one too
		t.Fatalf("ended %+v, reported %+v, %v", sessions, lines, err)
	}
	exec(t, idle, "select 1")
	ended(t, server.NewWatch(tenant.WatchConfig{MaxTransaction: -1}), nil)
}

// TestTheWatchReconnects, after a restart of the server for example.
func TestTheWatchReconnects(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	server := openAt(t, own.URL("postgres"), nil)
	watch := server.NewWatch(tenant.WatchConfig{})
	ended(t, watch, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'homeroom' and pid <> pg_backend_pid()")
	if _, err := watch.Check(t.Context()); err == nil {
		t.Error("checked on a connection that was ended")
	}
	ended(t, watch, nil)
}
