package migrations

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
)

// goal is the version that a database shall reach, going one way.
type goal struct {
	version uint
	down    bool
}

// reached tells whether nothing needs to be done.
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

// needed is reached's opposite as SQL over v, the version row. It may be true too often, never false too often.
func (g goal) needed() string {
	beyond := "<"
	if g.down {
		beyond = ">"
	}
	return fmt.Sprintf("(v.dirty or v.version %s %d) is not false", beyond, g.version)
}

// run locks the database if there is something to do, and does it.
func (s *Set) run(ctx context.Context, conn *pgx.Conn, g goal) (Result, error) {
	if conn.PgConn().TxStatus() != idle {
		return Result{}, errors.New("migrate: the connection is in a transaction, which a migration would commit")
	}
	d := newDriver(ctx, conn)
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		locked, err := d.lookAndLock(g.needed())
		if err != nil {
			return Result{}, err
		}
		status := s.classify(*d.seen)
		switch {
		case d.locks != nil:
			result, err := s.runLocked(d, g, status)
			return result, errors.Join(err, d.Close())
		case g.reached(status):
			return Result{From: status.Version, To: status.Version}, nil
		case status.State == Unknown:
			return Result{From: status.Version, To: status.Version}, s.refuse(status, "")
		}
		if err := pause(ctx, wait, locked); err != nil {
			return Result{}, err
		}
	}
}

// runLocked runs the files to the goal. Only here is a dirty database one that was left so: without the lock another
// process may be at work.
func (s *Set) runLocked(d *driver, g goal, status Status) (result Result, err error) {
	if status.State == Dirty {
		if result.Resolved, err = s.resolve(d, status); err != nil {
			return Result{From: status.Version, To: status.Version}, err
		}
		status = s.classify(*d.seen)
	}
	result.From, result.To = status.Version, status.Version
	if g.reached(status) {
		return result, nil
	}
	if status.State != Behind && status.State != Current {
		return result, s.refuse(status, "")
	}
	steps, err := s.steps(status.Version, g.version)
	if err != nil {
		return result, err
	}
	engine, stepper, err := s.engine(d)
	if err != nil {
		return result, err
	}
	for i, step := range steps {
		stepper.version = number(result.To)
		d.last = i == len(steps)-1
		// One step at a time: golang-migrate leaves goroutines behind when a file fails and others follow it.
		if err := engine.Steps(step.by()); err != nil {
			var failure *Error
			if errors.As(err, &failure) {
				failure.File = step.name()
			}
			return result, err
		}
		result.To = step.to
		result.Applied = append(result.Applied, step.file)
	}
	return result, nil
}

// number is golang-migrate's number for a version.
func number(version uint) int {
	if version == 0 {
		return nilVersion
	}
	return int(version)
}

// engine is golang-migrate over our files and our driver.
func (s *Set) engine(d *driver) (*migrate.Migrate, *stepper, error) {
	step := &stepper{driver: d}
	engine, err := migrate.NewWithInstance("homeroom", files{s}, "postgres", step)
	if err != nil {
		return nil, nil, fmt.Errorf("start golang-migrate: %w", err)
	}
	engine.LockTimeout = math.MaxInt64 // The lock is ours already, and its wait ends with the context.
	return engine, step, nil
}

// stepper is the driver as golang-migrate sees it within one run: the lock is held over all steps, and the version is
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
