package migrations

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/display"
)

// State is the state of a database in relation to a [Set].
type State string

const (
	// Behind needs [Set.Up]; an empty database is behind.
	Behind State = "behind"
	// Current has the newest version.
	Current State = "current"
	// Ahead has a version above the newest of the set: a newer binary has migrated it. It works, and is not changed.
	Ahead State = "ahead"
	// Dirty has a migration that began outside a transaction and is not known to have ended: another process is
	// running it, or it was interrupted. [Set.Up] waits for the process, and resolves the interruption where it can.
	Dirty State = "dirty"
	// Unknown has a version below the newest that is not in the set, or tables but no version.
	Unknown State = "unknown"
)

// Status is the state of a database. Version is 0 before the first migration.
type Status struct {
	State   State
	Version uint
	Dirty   bool
}

// StateError says that a database is in a state from which no migration can start, and what to do.
type StateError struct {
	Status Status
	Advice string
}

// Error implements error.
func (e *StateError) Error() string {
	return display.Text(fmt.Sprintf("the database is %s at version %d: %s", e.Status.State, e.Status.Version, e.Advice))
}

// Status returns the state of conn's database. It takes no lock and changes nothing; it needs one round trip, and one
// or two more for a database without versions, or with them in another schema than public.
func (s *Set) Status(ctx context.Context, conn *pgx.Conn) (Status, error) {
	found, err := inspect(ctx, conn, defaultSchema)
	if err != nil {
		return Status{}, err
	}
	return s.classify(found), nil
}

func (s *Set) classify(found dbState) Status {
	status := Status{Version: uint(max(found.version, 0)), Dirty: found.dirty}
	_, ours := s.find(status.Version)
	switch {
	case found.dirty:
		status.State = Dirty
	case found.version == nilVersion && !found.versioned && found.tables:
		status.State = Unknown
	case found.version == nilVersion:
		status.State = Behind
	case status.Version > s.Latest():
		status.State = Ahead
	case !ours:
		status.State = Unknown
	case status.Version == s.Latest():
		status.State = Current
	default:
		status.State = Behind
	}
	return status
}

// refuse explains a state from which no migration can start; why says what was found in a dirty database.
func (s *Set) refuse(status Status, why string) error {
	return &StateError{Status: status, Advice: s.advice(status, why)}
}

func (s *Set) advice(status Status, why string) string {
	i, ours := s.find(status.Version)
	switch {
	case status.State == Dirty && ours && why != "":
		return s.adviceAtInterrupted(i, why)
	case status.State == Dirty:
		return "another tool began a migration, and it is not known whether it ended. Compare the schema with the file of that version, " +
			"complete or undo it, and record the correct version in schema_migrations, with dirty = false"
	case status.State == Ahead:
		return "a newer program migrated it, and only that program has its down files: run its down migrations"
	case status.Version == 0:
		return "it has tables but no schema_migrations, so it was not made by these migrations. Use an empty database, or, " +
			"if its tables are those of a version, record that one (migrate force <version>)"
	default:
		return "no file has this version. Restore the file, or record the correct version in schema_migrations"
	}
}

// adviceAtInterrupted describes both repairs, since it is not known which one is right.
func (s *Set) adviceAtInterrupted(i int, why string) string {
	file, yes, no := s.files[i].Name, "update schema_migrations set dirty = false", s.recordBefore(i)
	files := s.interrupted(i)
	if files[0].down {
		file, yes, no = files[0].name, no, yes
	}
	advice := fmt.Sprintf("%s began outside a transaction, it is not known whether it ended, and %s. Check whether its statement took effect. "+
		"If it did, run: %s. If it did not, first remove what it left (an interrupted CREATE INDEX CONCURRENTLY leaves an invalid "+
		"index, to be dropped), then run: %s", file, why, yes, no)
	if len(files) > 1 {
		advice += fmt.Sprintf(". If it was %s that was interrupted, exchange the two statements", files[1].name)
	}
	return advice
}

// recordBefore returns the statement that records the version before a file.
func (s *Set) recordBefore(i int) string {
	if i == 0 {
		return "delete from schema_migrations"
	}
	return fmt.Sprintf("update schema_migrations set version = %d, dirty = false", s.files[i-1].Version)
}
