package migrations

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
)

// goal is the version that a database shall reach, and the direction.
type goal struct {
	version uint
	down    bool
}

// reached reports whether nothing needs to be done.
func (g goal) reached(status Status) bool {
	switch {
	case status.State == Ahead:
		return !g.down
	case status.State != Current && status.State != Behind:
		return false
	case g.down:
		return status.Version <= g.version
	}
	return status.Version >= g.version
}

// before reports whether version comes before other in this direction.
func (g goal) before(version, other uint) bool {
	if g.down {
		return version > other
	}
	return version < other
}

// needed is the opposite of reached, as SQL over v, the version row. It may be true too often, never false too often.
func (g goal) needed() string {
	beyond := "<"
	if g.down {
		beyond = ">"
	}
	return fmt.Sprintf("(v.dirty or v.version %s %d) is not false", beyond, g.version)
}

// run migrates a database to a goal, each file in a session of its own: a single file in that of conn, several each
// on a new connection like it, which is closed before the next. So the effects of a file on its session never reach
// the next file, as if they ran on different days. The session that runs a file has the locks, from before the file
// to its commit.
func (s *Set) run(ctx context.Context, conn *pgx.Conn, g goal) (result Result, err error) {
	if conn.PgConn().TxStatus() != idle {
		return Result{}, errors.New("migrate: the connection is in a transaction, which a migration would commit")
	}
	more, err := s.runNext(ctx, conn, g, false, &result)
	for more && err == nil {
		more, err = s.runInNewSession(ctx, conn.Config(), g, &result)
	}
	return result, err
}

// runInNewSession is runNext on a new connection.
func (s *Set) runInNewSession(ctx context.Context, cfg *pgx.ConnConfig, g goal, result *Result) (more bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("connect for the next migration: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return s.runNext(ctx, conn, g, true, result)
}

// runNext locks the database if there is something to do, and runs the next file, unless it is one of several and the
// session is the caller's. It reports whether more files are left.
func (s *Set) runNext(ctx context.Context, conn *pgx.Conn, g goal, ours bool, result *Result) (more bool, err error) {
	d := newDriver(ctx, conn)
	lockWait := lockWait{driver: d}
	for {
		locked, err := d.inspectAndLock(g.needed())
		if err != nil {
			return false, err
		}
		status := s.classify(*d.observed)
		switch {
		case d.locks != nil:
			more, err := s.runLocked(d, g, status, ours, result)
			return more, errors.Join(err, d.Close())
		case g.reached(status):
			result.reach(status.Version)
			return false, nil
		case status.State == Unknown:
			result.reach(status.Version)
			return false, s.refuse(status, "")
		}
		if err := lockWait.next(locked); err != nil {
			result.reach(status.Version)
			return false, err
		}
	}
}

// runLocked is runNext after the database was locked. Only with the lock does dirty mean interrupted: without it
// another process may be running the file.
func (s *Set) runLocked(d *driver, g goal, status Status, ours bool, result *Result) (more bool, err error) {
	if status.State == Dirty {
		resolved, err := s.resolve(d, status)
		if err != nil {
			result.reach(status.Version)
			return false, err
		}
		result.Resolved = resolved
		status = s.classify(*d.observed)
	}
	if back := len(result.Applied) > 0 && g.before(status.Version, result.To); back {
		return false, fmt.Errorf("migrate: %s was run a moment ago, and the database is at version %d again. Either another process brings it "+
			"there, or something takes back what is written to %s.schema_migrations: look for a trigger or a rule on that table",
			result.Applied[len(result.Applied)-1].Name, status.Version, d.observed.schema)
	}
	result.reach(status.Version)
	if g.reached(status) {
		return false, nil
	}
	if status.State != Behind && status.State != Current {
		return false, s.refuse(status, "")
	}
	steps, err := s.steps(status.Version, g.version)
	if err != nil {
		return false, err
	}
	if len(steps) > 1 && !ours {
		return true, nil
	}
	if err := s.runStep(d, status.Version, steps[0]); err != nil {
		return false, err
	}
	result.reach(steps[0].to)
	result.Applied = append(result.Applied, steps[0].file)
	return len(steps) > 1, nil
}

// runStep runs one file with golang-migrate, and releases the lock with its version.
func (s *Set) runStep(d *driver, from uint, step step) error {
	engine, stepper, err := s.engine(d)
	if err != nil {
		return err
	}
	stepper.version, d.last = number(from), true
	// One step at a time: golang-migrate leaves goroutines behind when a file fails and others follow it.
	err = engine.Steps(step.by())
	var failure *Error
	if errors.As(err, &failure) {
		failure.File = step.name()
	}
	return err
}

// number returns golang-migrate's number for a version.
func number(version uint) int {
	if version == 0 {
		return nilVersion
	}
	return int(version)
}

// engine makes golang-migrate with the files and the driver of this package.
func (s *Set) engine(d *driver) (*migrate.Migrate, *stepper, error) {
	step := &stepper{driver: d}
	engine, err := migrate.NewWithInstance("homeroom", files{s}, "postgres", step)
	if err != nil {
		return nil, nil, fmt.Errorf("start golang-migrate: %w", err)
	}
	engine.LockTimeout = math.MaxInt64 // The lock is held already, and its wait ended with the context.
	return engine, step, nil
}

// stepper is the driver as golang-migrate uses it within one run: the lock is held over all steps, and the version is
// known from the step before.
type stepper struct {
	*driver
	version int
}

// Lock implements database.Driver.
func (*stepper) Lock() error { return nil }

// Unlock implements database.Driver.
func (*stepper) Unlock() error { return nil }

// Version implements database.Driver.
func (s *stepper) Version() (int, bool, error) { return s.version, false, nil }
