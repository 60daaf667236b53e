package migrations

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// lockIDs are the session advisory locks that let one process at a time migrate a database.
//
// golang-migrate has two for the same database: its command, which opens a URL, hashes "/name", and programs that hand
// it a connection hash "name". The two do not exclude each other. We take both, the program's first, and so exclude
// either.
type lockIDs struct{ program, command string }

func lockIDsOf(found sight) (lockIDs, error) {
	program, err := database.GenerateAdvisoryLockId(found.database, found.schema, "schema_migrations")
	if err != nil {
		return lockIDs{}, fmt.Errorf("name migration lock: %w", err)
	}
	command, err := database.GenerateAdvisoryLockId("/"+found.database, found.schema, "schema_migrations")
	if err != nil {
		return lockIDs{}, fmt.Errorf("name migration lock: %w", err)
	}
	return lockIDs{program, command}, nil
}

const (
	firstPoll = 10 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// Lock waits until no other process migrates this database, or the context ends.
func (d *driver) Lock() error {
	if d.locks != nil {
		return database.ErrLocked
	}
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		if locked, err := d.tryLock(); locked || err != nil {
			return err
		}
		if err := pause(d.ctx, wait); err != nil {
			return err
		}
	}
}

// tryLock never waits in the server: a session that waits in pg_advisory_lock holds a snapshot, for which CREATE INDEX
// CONCURRENTLY in the process that has the lock would wait in turn.
func (d *driver) tryLock() (bool, error) {
	if d.seen == nil {
		if _, err := d.look(); err != nil {
			return false, err
		}
	}
	ids, err := lockIDsOf(*d.seen)
	if err != nil {
		return false, err
	}
	// CASE fixes the order. Null: the first is taken, and the second was not tried.
	var both *bool
	query := fmt.Sprintf("select case when pg_try_advisory_lock(%s) then pg_try_advisory_lock(%s) end", ids.program, ids.command)
	if err := d.conn.QueryRow(d.ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&both); err != nil {
		return false, fmt.Errorf("lock database for migration: %w", err)
	}
	switch {
	case both == nil:
		return false, nil
	case !*both:
		return false, d.unlock(ids.program)
	}
	d.locks = &ids
	return true, nil
}

// Unlock lets others migrate this database. A lost connection has given the lock back already.
func (d *driver) Unlock() error {
	if d.locks == nil {
		return database.ErrNotLocked
	}
	ids := *d.locks
	d.locks = nil
	if d.conn.IsClosed() {
		return nil
	}
	return d.unlock(ids.command + "), pg_advisory_unlock(" + ids.program)
}

// unlock does its work even when the caller's context has ended, for the connection may live on, and the lock with it.
func (d *driver) unlock(ids string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), 5*time.Second)
	defer cancel()
	if _, err := d.conn.Exec(ctx, "select pg_advisory_unlock("+ids+")", pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("unlock database after migration: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another migration of this database: %w", context.Cause(ctx))
	}
}
