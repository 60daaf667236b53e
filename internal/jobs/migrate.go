package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"homeroom/internal/postgres"
)

var migrateLock = postgres.NamedLock("homeroom job queue")

// Migrate migrates River's tables to the version that this program needs. Processes that start together wait for one
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
	switch err := postgres.Lock(ctx, conn.Conn(), migrateLock, 0); {
	case errors.Is(err, postgres.ErrLocked):
		return errors.New("another process is still migrating the job queue: try again later")
	case err != nil:
		return fmt.Errorf("lock the job queue's migrations: %w", err)
	}
	defer postgres.Unlock(ctx, conn.Conn(), migrateLock)
	if _, err := conn.Exec(ctx, "create schema if not exists "+schema); err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	// River commits version by version: one of them uses a value that the one before adds to an enum, which Postgres does
	// not allow in one transaction. After a crash in between the next start continues.
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	return nil
}

// current reports whether the tables are up to date, with two small queries.
func current(ctx context.Context, pool *pgxpool.Pool, migrator *rivermigrate.Migrator[pgx.Tx]) bool {
	var exists bool
	err := pool.QueryRow(ctx, "select to_regclass($1) is not null", schema+".river_migration").Scan(&exists)
	if err != nil || !exists {
		return false
	}
	result, err := migrator.Validate(ctx, nil)
	return err == nil && result.OK
}
