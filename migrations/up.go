package migrations

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
)

// Result is what a migration did. From and To are equal when there was nothing to do.
type Result struct {
	From, To uint
	// Applied are the files that were run, oldest first; also those before one that failed.
	Applied []File
}

// Up brings the database of conn to the newest version. On a current database, or one that a newer binary has brought
// further, it does nothing, in one round trip and without a lock.
//
// A file that fails is an *[Error]: the files before it stay applied, nothing of it does, and the connection is usable.
// A state that no file may be run on is a *[StateError]. Of several processes that call Up at once one runs the files,
// and the others wait for it as long as ctx lets them. When ctx ends during a file, the connection is closed; the file
// is applied with its version, or not at all. A server that does not notice goes on with the file, and keeps others out
// until its end: connect with client_connection_check_interval.
//
// See [NewDriver] for what the connection must be, and which of its settings are kept.
func (s *Set) Up(ctx context.Context, conn *pgx.Conn) (Result, error) {
	return s.UpTo(ctx, conn, s.Latest())
}

// UpTo is [Set.Up] as far as a version, which must be one of the set's.
func (s *Set) UpTo(ctx context.Context, conn *pgx.Conn, version uint) (Result, error) {
	if _, ours := s.find(version); !ours {
		return Result{}, fmt.Errorf("migrate to version %d: there is no such version", version)
	}
	if conn.PgConn().TxStatus() != idle {
		return Result{}, errors.New("migrate: the connection is in a transaction, which a migration would commit")
	}
	d := newDriver(ctx, conn)
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		status, err := s.see(d)
		if err != nil {
			return Result{}, err
		}
		if done(status, version) {
			return Result{From: status.Version, To: status.Version}, nil
		}
		locked, err := d.tryLock()
		if err != nil {
			return Result{}, err
		}
		if locked {
			result, err := s.upLocked(d, version)
			return result, errors.Join(err, d.Unlock())
		}
		if err := pause(ctx, wait); err != nil {
			return Result{}, err
		}
	}
}

// see classifies the database as it is now.
func (s *Set) see(d *driver) (Status, error) {
	found, err := d.look()
	if err != nil {
		return Status{}, err
	}
	return s.classify(found), nil
}

func done(status Status, version uint) bool {
	switch status.State {
	case Current, Ahead:
		return true
	case Behind:
		return status.Version >= version
	}
	return false
}

// upLocked looks again, because another process may have worked until the lock was ours, and runs the files. Only here
// is a dirty database an error: without the lock it may be at work.
func (s *Set) upLocked(d *driver, version uint) (Result, error) {
	status, err := s.see(d)
	if err != nil {
		return Result{}, err
	}
	result := Result{From: status.Version, To: status.Version}
	if done(status, version) {
		return result, nil
	}
	if status.State != Behind {
		return result, s.refuse(status)
	}
	engine, step, err := s.engine(d)
	if err != nil {
		return result, err
	}
	first := 0
	if status.Version > 0 {
		step.version = int(status.Version)
		first, _ = s.find(status.Version)
		first++
	}
	for _, file := range s.files[first:] {
		if file.Version > version {
			break
		}
		// One step at a time: golang-migrate leaves goroutines behind when a file fails and others follow it.
		if err := engine.Steps(1); err != nil {
			var failure *Error
			if errors.As(err, &failure) {
				failure.File = file.Name
			}
			return result, err
		}
		step.version = int(file.Version)
		result.To = file.Version
		result.Applied = append(result.Applied, file)
	}
	return result, nil
}

// engine is golang-migrate over our files and our driver.
func (s *Set) engine(d *driver) (*migrate.Migrate, *stepper, error) {
	step := &stepper{driver: d, version: nilVersion}
	engine, err := migrate.NewWithInstance("homeroom", files{s}, "postgres", step)
	if err != nil {
		return nil, nil, fmt.Errorf("start golang-migrate: %w", err)
	}
	engine.LockTimeout = math.MaxInt64 // The lock is ours already, and its wait ends with the context.
	return engine, step, nil
}

// stepper is the driver as golang-migrate sees it within one Up: the lock is held over all steps, and the version is
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
