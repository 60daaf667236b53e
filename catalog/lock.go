package catalog

import (
	"context"
	"fmt"
	"time"
)

// Exclusive runs f unless another process runs one under the same name; ran tells which. The lock is a session's advisory
// lock: it ends with f, or with this process.
func (s *Store) Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (ran bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to the catalog: %w", err)
	}
	defer conn.Release()
	err = conn.QueryRow(ctx, "select pg_try_advisory_lock(hashtextextended('homeroom ' || $1, 0))", name).Scan(&ran)
	if err != nil {
		return false, fmt.Errorf("lock %q: %w", name, err)
	}
	if !ran {
		return false, nil
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, "select pg_advisory_unlock(hashtextextended('homeroom ' || $1, 0))", name); err != nil {
			_ = conn.Conn().Close(ctx) // which gives the lock back too
		}
	}()
	return true, f(ctx)
}
