package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/internal/postgres"
)

// sessions opens two sessions of one database.
func sessions(t *testing.T) (one, other *pgx.Conn) {
	t.Helper()
	url := pgtest.Database(t)
	return pgtest.Connect(t, url), pgtest.Connect(t, url)
}

func lock(t *testing.T, conn *pgx.Conn, id postgres.LockID) {
	t.Helper()
	if err := postgres.Lock(t.Context(), conn, id, 0); err != nil {
		t.Fatal(err)
	}
}

func TestALockIsForOneSession(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]postgres.LockID{"named": postgres.NamedLock("a name"), "numbered": postgres.NumberedLock(-1 << 63)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := sessions(t)
			lock(t, one, id)
			if locked, err := postgres.TryLock(t.Context(), other, id); err != nil || locked {
				t.Errorf("another session has the lock too: %t, %v", locked, err)
			}
			if err := postgres.Lock(t.Context(), other, id, time.Millisecond); !errors.Is(err, postgres.ErrLocked) {
				t.Errorf("another session waited for it in vain: %v", err)
			}
			lock(t, other, postgres.NamedLock("another name"))
			postgres.Unlock(t.Context(), one, id)
			lock(t, other, id)
			if one.IsClosed() || other.IsClosed() {
				t.Error("a session was closed")
			}
		})
	}
}

// A session that waits inside Postgres would hold up the building of an index by the session that has the lock.
func TestWaitingForALockBlocksNothing(t *testing.T) {
	t.Parallel()
	one, other := sessions(t)
	id := postgres.NamedLock("index")
	lock(t, one, id)
	waited := make(chan error)
	go func() { waited <- postgres.Lock(t.Context(), other, id, 0) }()
	for _, sql := range []string{"create table t (n int)", "create index concurrently on t (n)"} {
		if _, err := one.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	postgres.Unlock(t.Context(), one, id)
	if err := <-waited; err != nil {
		t.Errorf("the lock that was given back: %v", err)
	}
}

func TestAWaitForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	one, other := sessions(t)
	id := postgres.NamedLock("held")
	lock(t, one, id)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			var polled bool
			err := one.QueryRow(t.Context(), `select query like '%try_advisory%' from pg_stat_activity where pid = $1`,
				other.PgConn().PID()).Scan(&polled)
			if err != nil || polled {
				cancel()
				return
			}
		}
	}()
	if err := postgres.Lock(ctx, other, id, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestALockIsReleasedAfterTheContextEnds(t *testing.T) {
	t.Parallel()
	one, other := sessions(t)
	id := postgres.NamedLock("ended")
	lock(t, one, id)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	postgres.Unlock(ctx, one, id)
	lock(t, other, id)
}

func TestASessionThatDidNotHaveTheLockIsClosed(t *testing.T) {
	t.Parallel()
	one, other := sessions(t)
	held, lost := postgres.NamedLock("held"), postgres.NamedLock("lost")
	lock(t, one, held)
	postgres.Unlock(t.Context(), one, lost)
	if !one.IsClosed() {
		t.Error("it is still open")
	}
	lock(t, other, held)
}
