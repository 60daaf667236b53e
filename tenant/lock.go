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

// ErrBusy says that another process works on the same tenant, and did not end within the lock timeout.
var ErrBusy = errors.New("another process is working on it")

// locked runs f while this process alone may change the thing of this name (a tenant's id, a template) on the server.
//
// The lock is an advisory lock of the session that also does the work. When the process dies, the server may go on with
// its CREATE DATABASE for a while, and holds the lock as long: whoever comes next waits for the end and then looks at
// what there is. f may therefore trust what it reads until it returns.
func (s *Server) locked(ctx context.Context, name string, f func(conn *pgx.Conn) error) error {
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	key := lockKey(name)
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", key); err != nil {
		if postgres.IsCode(err, "55P03") { // lock_not_available
			return fmt.Errorf("lock %s: %w", name, ErrBusy)
		}
		return fmt.Errorf("lock %s: %w", name, err)
	}
	defer unlock(ctx, conn.Conn(), key)
	return f(conn.Conn())
}

// lockedPatiently is locked for what all tenants wait for anyway: it waits until ctx ends, since another process may be
// building a template for longer than any lock timeout.
func (s *Server) lockedPatiently(ctx context.Context, name string, f func(conn *pgx.Conn) error) error {
	for {
		err := s.locked(ctx, name, f)
		if !errors.Is(err, ErrBusy) || ctx.Err() != nil {
			return err
		}
	}
}

// unlock gives the lock back even when ctx has ended. A connection on which that fails is closed, which gives it back
// too, rather than returned to the pool with the lock.
func unlock(ctx context.Context, conn *pgx.Conn, key int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var released bool
	err := conn.QueryRow(ctx, "select pg_advisory_unlock($1)", key).Scan(&released)
	if err != nil || !released {
		_ = conn.Close(ctx) // the pool drops a closed connection
	}
}

// lockKey maps a name to the 64 bits of an advisory lock.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("homeroom " + name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
