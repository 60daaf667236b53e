package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"

	"homeroom/internal/display"
	"homeroom/internal/wait"
)

// lockIDs are the session advisory locks with which one process at a time migrates a database.
//
// golang-migrate has two for the same database: its command, which opens a URL, hashes "/name"; programs that pass it
// a connection hash "name". The two do not exclude each other. This package takes both, the program's first, and so
// excludes both.
type lockIDs struct{ program, command string }

func (l lockIDs) unlock() string {
	return fmt.Sprintf("select pg_advisory_unlock(%s), pg_advisory_unlock(%s)", l.command, l.program)
}

func lockIDsOf(found dbState) (lockIDs, error) {
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

// lockTry is an attempt to take the locks of a database, if it is the database that they are for and there is
// something to do.
//
// It never waits in the server: a session that waits in pg_advisory_lock holds a snapshot, and CREATE INDEX
// CONCURRENTLY in the process that has the lock would wait for it. postgres.Lock has the same policy; it takes one
// lock, and this takes two at once, in the round trip that reads the version.
type lockTry struct {
	ids    lockIDs
	here   string // SQL: whether the locks are for this database and schema
	needed string // SQL over v, the version row: whether there is something to do
}

// lockSQL is true when the session has the locks now, false when another has them, null when they are not for this
// database. CASE fixes the order. The first lock is released when the second is taken.
func (t *lockTry) lockSQL() string {
	return fmt.Sprintf("case when %s then case when not pg_try_advisory_lock(%s) then false "+
		"when pg_try_advisory_lock(%s) then true else not pg_advisory_unlock(%[2]s) end end", t.here, t.ids.program, t.ids.command)
}

// lockIfNeededSQL is lockSQL, but takes no lock when there is nothing to do.
func (t *lockTry) lockIfNeededSQL() string {
	return fmt.Sprintf("case when %s then %s else false end", t.needed, t.lockSQL())
}

// newLockTry makes an attempt for the database that was read last. Before the first read it guesses, and the server
// checks the guess: for most databases that saves a round trip.
func (d *driver) newLockTry(needed string) (*lockTry, error) {
	where, here := dbState{database: d.conn.Config().Database, schema: d.schema()}, "false"
	switch {
	case d.observed != nil:
		where, here = *d.observed, "true"
	case !strings.ContainsAny(where.database, `'\`):
		here = fmt.Sprintf("coalesce(current_database() = '%s' and current_schema() = '%s', false)", where.database, where.schema)
	}
	ids, err := lockIDsOf(where)
	return &lockTry{ids, here, needed}, err
}

// inspectAndLock reads the version, and takes the locks if needed. It returns true when the locks are held; nil when
// the locks' names were guessed wrong, and are known now.
func (d *driver) inspectAndLock(needed string) (locked *bool, err error) {
	try, err := d.newLockTry(needed)
	if err != nil {
		return nil, err
	}
	found, locked, err := inspectAfterLock(d.ctx, d.conn, d.schema(), try)
	if locked != nil && *locked {
		d.locks = &try.ids
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read schema version: %w", err), d.Close())
	}
	d.observed = &found
	return locked, nil
}

// Lock waits until no other process migrates this database, or fails as [Set.Up] does.
func (d *driver) Lock() error {
	if d.locks != nil {
		return database.ErrLocked
	}
	lockWait := lockWait{driver: d}
	for {
		locked, err := d.inspectAndLock("true")
		if err != nil || d.locks != nil {
			return err
		}
		if err := lockWait.next(locked); err != nil {
			return err
		}
	}
}

// Unlock lets other processes migrate this database. A lost connection has released the lock already.
func (d *driver) Unlock() error {
	if d.locks == nil {
		return database.ErrNotLocked
	}
	ids := *d.locks
	d.locks = nil
	if d.conn.IsClosed() {
		return nil
	}
	// This also runs when the caller's context has ended, since the connection and its lock may still exist.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), 5*time.Second)
	defer cancel()
	if _, err := d.conn.Exec(ctx, ids.unlock(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("unlock database after migration: %w", err)
	}
	return nil
}

// LockedError says that another session has held the lock of this database's migrations for longer than lock_timeout.
// Everybody who may connect to the database can take that lock, also by mistake.
type LockedError struct {
	// Roles are those of the sessions that hold it, separated by commas. They are empty when it has just been
	// released.
	Roles string
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Roles == "" {
		return "another session held the lock of this database's migrations until just now"
	}
	return "the lock of this database's migrations is held by a session of role " + display.Text(e.Roles)
}

// lockWait waits for the lock, with growing pauses between the attempts.
type lockWait struct {
	*driver
	wait  time.Duration
	until time.Time // zero: until the context ends
}

// next waits before the next attempt, unless the last attempt tried no lock. It fails when the context ends, or the
// lock_timeout of the session has passed.
func (t *lockWait) next(locked *bool) error {
	if locked == nil {
		return nil
	}
	if t.wait == 0 {
		var milliseconds int
		if err := t.ask("select setting::int from pg_settings where name = 'lock_timeout'", &milliseconds); err != nil {
			return fmt.Errorf("read lock_timeout: %w", err)
		}
		if milliseconds > 0 {
			t.until = time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
		}
	}
	if !t.until.IsZero() && time.Now().After(t.until) {
		return t.heldBy()
	}
	t.wait = min(max(2*t.wait, firstPoll), lastPoll)
	if wait.For(t.ctx, t.wait) != nil {
		return fmt.Errorf("wait for another migration of this database: %w", context.Cause(t.ctx))
	}
	return nil
}

// heldBy returns a *[LockedError].
func (t *lockWait) heldBy() error {
	ids, err := lockIDsOf(*t.observed)
	if err != nil {
		return err
	}
	roles, err := t.holders(fmt.Sprintf("locktype = 'advisory' and objsubid = 1 and (classid::bigint << 32) + objid::bigint in (%s, %s)",
		ids.program, ids.command))
	if err != nil {
		return fmt.Errorf("find the sessions that hold the lock of the migrations: %w", err)
	}
	return &LockedError{roles}
}

// holders returns the roles of the other sessions that hold locks of this kind in the database.
func (d *driver) holders(locks string) (roles string, err error) {
	err = d.ask(`select coalesce(string_agg(distinct coalesce(usename, '?'), ', '), '')
		from pg_locks left join pg_stat_activity using (pid)
		where granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
			and `+locks, &roles)
	return roles, err
}

// ask reads one value outside the migration.
func (d *driver) ask(sql string, into any) error {
	return d.conn.QueryRow(d.ctx, sql, pgx.QueryExecModeSimpleProtocol).Scan(into)
}
