package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
)

// Exclusive runs f unless another process runs one under the same name; ran reports whether it did. The lock is a
// session's advisory lock: it ends with f, or with this process.
func (s *Store) Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (ran bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to the catalog: %w", err)
	}
	defer conn.Release()
	id := postgres.NamedLock("homeroom " + name)
	ran, err = postgres.TryLock(ctx, conn.Conn(), id)
	if err != nil {
		return false, fmt.Errorf("lock %q: %w", name, err)
	}
	if !ran {
		return false, nil
	}
	defer postgres.Unlock(ctx, conn.Conn(), id)
	watched, stop := watch(ctx, conn.Conn())
	defer stop()
	err = f(watched)
	if err != nil && ctx.Err() == nil && watched.Err() != nil { // otherwise the error would only be "context canceled"
		err = fmt.Errorf("%w (%w)", context.Cause(watched), err)
	}
	return true, err
}

// watch ends the context when the session that holds a lock is lost, since the lock is lost with it and another process
// may have it already. stop must be called before the session is used again.
func watch(ctx context.Context, conn *pgx.Conn) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if err := ping(ctx, conn); err != nil {
				cancel(fmt.Errorf("the lock's session was lost: %w", err))
				return
			}
		}
	}()
	return watched, func() {
		close(done)
		<-ended
		cancel(nil)
	}
}

// ping checks that the session answers, for a few seconds at most.
func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return conn.Ping(ctx)
}
