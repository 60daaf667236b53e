package tenant

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
)

// ErrBusy means that another process works on the same tenant, and did not finish within the lock timeout.
var ErrBusy = errors.New("another process is working on it")

// locked runs f with the lock of a name (a tenant's id, a template) on the server. It fails with [ErrBusy] when another process
// holds the lock for longer than the lock timeout.
func (s *Server) locked(ctx context.Context, name string, f func(conn *pgx.Conn) error) error {
	return s.lockedWithin(ctx, s.cfg.LockTimeout, name, f)
}

// lockedWithin is locked with another timeout; zero waits until ctx ends.
//
// The lock is an advisory lock of the session that also does the work. When the process dies, the server may continue
// its CREATE DATABASE for a while, and the session holds the lock until then: the next process waits for the end, and
// then reads the state. What f reads therefore stays true until it returns.
func (s *Server) lockedWithin(
	ctx context.Context, timeout time.Duration, name string, f func(conn *pgx.Conn) error,
) error {
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	id := lockID(name)
	err = postgres.Lock(ctx, conn.Conn(), id, timeout)
	if errors.Is(err, postgres.ErrLocked) && ctx.Err() == nil {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	defer postgres.Unlock(ctx, conn.Conn(), id)
	return f(conn.Conn())
}

// lockID returns the lock of a name. All versions of this program must compute the same id, because several may run at
// once.
func lockID(name string) postgres.LockID {
	sum := sha256.Sum256([]byte("homeroom " + name))
	return postgres.NumberedLock(int64(binary.BigEndian.Uint64(sum[:8])))
}
