package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Result is what a migration did. From and To are equal when there was nothing to do.
type Result struct {
	From, To uint
	// Applied are the files that were run, in the order they were; also those before one that failed. On the way down
	// they are the files undone.
	Applied []File
	// Resolved says what was found and done about a file that an earlier run left interrupted; empty when there was
	// none. From is the version after that.
	Resolved string
	observed bool
}

// reach notes the version that a database has now.
func (r *Result) reach(version uint) {
	if !r.observed {
		r.From, r.observed = version, true
	}
	r.To = version
}

// Up brings the database of conn to the newest version. On a current database, or one that a newer binary has brought
// further, it does nothing, in one round trip and without a lock. A database that is behind by one file takes two: one to
// lock and look, and one for the file, which gives the lock back; a "no-transaction" file takes four.
//
// Each file runs in a session of its own: a single one on conn, several on new connections with the same configuration, one
// after another. So conn is used up when anything was applied: what a single file did to its session, such as temporary
// tables, is still there.
//
// A file that fails is an *[Error], and the files before it stay applied.
// A state that no file may be run on is a *[StateError]. Of several processes that call Up at once one runs the files,
// and the others wait for it: as long as ctx lets them, and where the session has a lock_timeout, no longer than that; then it
// is a *[LockedError]. When ctx ends during a file, the connection is closed; the file
// is applied with its version, or not at all. A server that does not notice goes on with the file, and keeps others out
// until its end: connect with client_connection_check_interval.
//
// A "no-transaction" file that was interrupted leaves the database dirty. Up then looks whether its statement took
// effect: it records the version if so, else removes what is half made (the invalid index of a CREATE INDEX
// CONCURRENTLY) and runs the file again. Where that cannot be told, it is a *[StateError] that says how to go on.
//
// See [NewDriver] for what the connection must be.
func (s *Set) Up(ctx context.Context, conn *pgx.Conn) (Result, error) {
	return s.UpTo(ctx, conn, s.Latest())
}

// UpTo is [Set.Up] as far as a version, which must be one of the set's.
func (s *Set) UpTo(ctx context.Context, conn *pgx.Conn, version uint) (Result, error) {
	if _, ours := s.find(version); !ours {
		return Result{}, fmt.Errorf("migrate to version %d: there is no such version", version)
	}
	return s.run(ctx, conn, goal{version: version})
}

// DownTo brings the database of conn down to a version, which must be one of the set's, or 0 for before the first, by
// the down files, newest first. A database at that version or below stays as it is.
//
// It is as safe as [Set.Up]: each file commits with the version it leads to, a file that fails is an *[Error], and an
// interrupted "no-transaction" file is settled first. A down file that is missing is an error that names it, before
// anything is applied. A database that a newer binary has brought further is a *[StateError]: that binary has the down
// files.
func (s *Set) DownTo(ctx context.Context, conn *pgx.Conn, version uint) (Result, error) {
	if _, ours := s.find(version); !ours && version != 0 {
		return Result{}, fmt.Errorf("migrate down to version %d: there is no such version", version)
	}
	return s.run(ctx, conn, goal{version: version, down: true})
}
