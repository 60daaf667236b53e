package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Result is what a migration did. From and To are equal when there was nothing to do.
type Result struct {
	From, To uint
	// Applied are the files that were run, in order, also those before one that failed. When migrating down they are
	// the files that were undone.
	Applied []File
	// Resolved says what was found and done about a file that an earlier run left interrupted; it is empty when there
	// was none. From is the version after that.
	Resolved string
	observed bool
}

// reach records the version that a database has now.
func (r *Result) reach(version uint) {
	if !r.observed {
		r.From, r.observed = version, true
	}
	r.To = version
}

// Up migrates the database of conn to the newest version. On a current database, or one that a newer binary has
// migrated further, it does nothing, in one round trip and without a lock. A database that is behind by one file
// takes two: one to lock and read the version, and one for the file, which releases the lock; a "no-transaction" file
// takes four.
//
// Each file runs in a session of its own: a single one on conn, several on new connections with the same
// configuration, one after another. So conn should not be used further when a file was applied: the effects of a
// single file on its session, such as temporary tables, still exist.
//
// A file that fails is an *[Error], and the files before it stay applied. A state in which no file may run is a
// *[StateError]. When several processes call Up at once, one runs the files, and the others wait until ctx ends, or
// the lock_timeout of the session, if it has one: then it is a *[LockedError]. When ctx ends during a file, the
// connection is closed; the file is applied with its version, or not at all. A server that does not notice goes on
// with the file, and keeps others waiting until its end: connect with client_connection_check_interval.
//
// A "no-transaction" file that was interrupted leaves the database dirty. Up then checks whether its statement took
// effect: it records the version if so, otherwise drops what is incomplete (the invalid index of a CREATE INDEX
// CONCURRENTLY) and runs the file again. Where the effect is not known, it returns a *[StateError] with what to do.
//
// See [NewDriver] for what the connection must be.
func (s *Set) Up(ctx context.Context, conn *pgx.Conn) (Result, error) {
	return s.UpTo(ctx, conn, s.Latest())
}

// UpTo is [Set.Up] to a version, which must be in the set.
func (s *Set) UpTo(ctx context.Context, conn *pgx.Conn, version uint) (Result, error) {
	if _, ours := s.find(version); !ours {
		return Result{}, fmt.Errorf("migrate to version %d: there is no such version", version)
	}
	return s.run(ctx, conn, goal{version: version})
}

// DownTo migrates the database of conn down to a version, which must be in the set, or 0 for before the first, with
// the down files, newest first. A database at that version or below stays as it is.
//
// It is as safe as [Set.Up]: each file commits with the version that it leads to, a file that fails is an *[Error],
// and an interrupted "no-transaction" file is resolved first. A missing down file is an error that names it, before
// anything is applied. A database that a newer binary has migrated further is a *[StateError]: that binary has the
// down files.
func (s *Set) DownTo(ctx context.Context, conn *pgx.Conn, version uint) (Result, error) {
	if _, ours := s.find(version); !ours && version != 0 {
		return Result{}, fmt.Errorf("migrate down to version %d: there is no such version", version)
	}
	return s.run(ctx, conn, goal{version: version, down: true})
}
