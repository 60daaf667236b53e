package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/wait"
)

// LockID is the id of an advisory lock. Locks are the database's: sessions of different databases share none.
type LockID struct {
	sql string // of the parameter $1
	arg any
}

// NamedLock is the lock of a name, whose id Postgres computes.
func NamedLock(name string) LockID { return LockID{"hashtextextended($1::text, 0)", name} }

// NumberedLock is the lock with this id.
func NumberedLock(id int64) LockID { return LockID{"$1::bigint", id} }

// ErrLocked says that another session held the lock for as long as somebody was willing to wait.
var ErrLocked = errors.New("another session holds the lock")

const (
	firstPoll = 10 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// Lock takes a session's advisory lock, and waits for it for no longer than timeout; zero waits until ctx ends. The session
// must give it back with [Unlock]; when the session ends, Postgres does.
//
// A free lock costs one round trip. A held one is asked for again and again, with pauses that grow: a session that waits
// inside Postgres holds a snapshot, for which CREATE INDEX CONCURRENTLY in the session that has the lock would wait in turn.
// So those who wait get the lock in no order.
func Lock(ctx context.Context, conn *pgx.Conn, id LockID, timeout time.Duration) error {
	began := time.Now()
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		locked, err := TryLock(ctx, conn, id)
		if err != nil || locked {
			return err
		}
		if timeout > 0 && time.Since(began) >= timeout {
			return ErrLocked
		}
		if err := wait.For(ctx, pause); err != nil {
			return fmt.Errorf("%w: %w", ErrLocked, err)
		}
	}
}

// TryLock is [Lock], but does not wait. It reports whether the session has the lock now.
func TryLock(ctx context.Context, conn *pgx.Conn, id LockID) (locked bool, err error) {
	err = conn.QueryRow(ctx, "select pg_try_advisory_lock("+id.sql+")", id.arg).Scan(&locked)
	return locked, err
}

// Unlock gives the lock back, also when ctx has ended. A session that fails to, or that did not have the lock, is closed,
// which gives all its locks back, rather than returned to a pool with one.
func Unlock(ctx context.Context, conn *pgx.Conn, id LockID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var released bool
	err := conn.QueryRow(ctx, "select pg_advisory_unlock("+id.sql+")", id.arg).Scan(&released)
	if err != nil || !released {
		_ = conn.Close(ctx) // a pool drops a closed connection
	}
}
