package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrate brings River's tables to the version that this program needs. Processes that start together wait for one
// another.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("read the job queue's migrations: %w", err)
	}
	if current(ctx, pool, migrator) {
		return nil
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the catalog: %w", err)
	}
	defer conn.Release()
	if err := lock(ctx, conn); err != nil {
		return err
	}
	defer unlock(ctx, conn)
	if _, err := conn.Exec(ctx, "create schema if not exists "+schema); err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	// River commits version by version: one of them uses a value that the one before adds to an enum, which Postgres does
	// not allow in one transaction. A crash in between leaves a version that the next start goes on from.
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	return nil
}

// current tells whether there is nothing to do, at the cost of two small queries.
func current(ctx context.Context, pool *pgxpool.Pool, migrator *rivermigrate.Migrator[pgx.Tx]) bool {
	var exists bool
	err := pool.QueryRow(ctx, "select to_regclass($1) is not null", schema+".river_migration").Scan(&exists)
	if err != nil || !exists {
		return false
	}
	result, err := migrator.Validate(ctx, nil)
	return err == nil && result.OK
}

const lockKey = "hashtextextended('homeroom job queue', 0)"

// lock waits by asking, since a session that waits inside Postgres could hold up the building of an index.
func lock(ctx context.Context, conn *pgxpool.Conn) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var mine bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock("+lockKey+")").Scan(&mine); err != nil {
			return fmt.Errorf("lock the job queue's migrations: %w", err)
		}
		if mine {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("another process is migrating the job queue, and does not end")
		case <-ticker.C:
		}
	}
}

func unlock(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, "select pg_advisory_unlock("+lockKey+")"); err != nil {
		_ = conn.Conn().Close(ctx) // which gives the lock back too
	}
}
