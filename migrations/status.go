package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// State is how a database stands to a [Set].
type State string

const (
	// Behind needs [Set.Up]; an empty database is behind.
	Behind State = "behind"
	// Current has the newest version.
	Current State = "current"
	// Ahead has a version above ours: a newer binary was here. It is served, and not touched.
	Ahead State = "ahead"
	// Dirty has a migration that began outside a transaction and is not known to have ended. While another process
	// runs such a migration the state is Dirty too.
	Dirty State = "dirty"
	// Unknown has a version below our newest that is not among ours, or tables but no version.
	Unknown State = "unknown"
)

// Status is where a database stands. Version is 0 before the first migration.
type Status struct {
	State   State
	Version uint
	Dirty   bool
}

// StateError says that a database is in a state from which no migration may start, and what to do.
type StateError struct {
	Status Status
	Advice string
}

// Error implements error.
func (e *StateError) Error() string {
	return fmt.Sprintf("the database is %s at version %d: %s", e.Status.State, e.Status.Version, e.Advice)
}

// Status tells where the database of conn stands. It takes no lock and changes nothing; one round trip, and a second
// one for a database without versions.
func (s *Set) Status(ctx context.Context, conn *pgx.Conn) (Status, error) {
	found, err := look(ctx, conn)
	if err != nil {
		return Status{}, err
	}
	return s.classify(found), nil
}

func (s *Set) classify(found sight) Status {
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

// refuse explains a state from which no migration may start.
func (s *Set) refuse(status Status) error {
	return &StateError{Status: status, Advice: s.advice(status)}
}

func (s *Set) advice(status Status) string {
	i, ours := s.find(status.Version)
	switch {
	case status.State == Dirty && ours && !s.files[i].Transactional:
		return fmt.Sprintf("%s began outside a transaction and was not seen to end. Look whether its statement took effect. If it did, "+
			"run: update schema_migrations set dirty = false. If not, first remove what it left (an interrupted CREATE INDEX "+
			"CONCURRENTLY leaves an invalid index), then run: %s", s.files[i].Name, s.recordBefore(i))
	case status.State == Dirty:
		return "another tool began a migration and was not seen to end it. Compare the schema with the file of that version, " +
			"make it whole or undo it, and record the version that is true in schema_migrations, with dirty = false"
	case status.Version == 0:
		return "it has tables but no schema_migrations, so it was not made by these migrations. Give an empty database, or, " +
			"if its tables are those of a version, record that one (migrate force <version>)"
	default:
		return "no file has this version. Bring the file back, or record the version that is true in schema_migrations"
	}
}

// recordBefore is the statement that records the version before a file.
func (s *Set) recordBefore(i int) string {
	if i == 0 {
		return "delete from schema_migrations"
	}
	return fmt.Sprintf("update schema_migrations set version = %d, dirty = false", s.files[i-1].Version)
}

// sight is what a look at a database shows.
type sight struct {
	database, schema string
	versioned        bool // whether the schema has a version table
	tables           bool // whether it has others; looked for only when it has no version table
	version          int
	dirty            bool
}

// The version table is looked for in the current schema only, as golang-migrate does, whatever else is on the path.
const lookAtVersion = `select current_database(), coalesce(current_schema(), ''), found is not null, v.version, v.dirty
	from to_regclass(quote_ident(current_schema()) || '.schema_migrations') found
	left join schema_migrations v on v.tableoid = found limit 1`

const lookAtTables = `select current_database(), coalesce(current_schema(), ''), exists (
	select from pg_class c where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind in ('r', 'p')
	and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))`

// undefinedTable is Postgres's code for a table that is not there.
const undefinedTable = "42P01"

// look reads the version. The common answer takes one round trip; that there is no version table is learnt from the
// failure, because no single statement may name a table that is not there.
func look(ctx context.Context, conn *pgx.Conn) (sight, error) {
	found := sight{version: nilVersion}
	var version *int
	var dirty *bool
	err := conn.QueryRow(ctx, lookAtVersion, pgx.QueryExecModeSimpleProtocol).
		Scan(&found.database, &found.schema, &found.versioned, &version, &dirty)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		err = nil
	}
	if err == nil && !found.versioned {
		err = conn.QueryRow(ctx, lookAtTables, pgx.QueryExecModeSimpleProtocol).
			Scan(&found.database, &found.schema, &found.tables)
	}
	if err != nil {
		return sight{}, fmt.Errorf("read schema version: %w", err)
	}
	if found.schema == "" {
		return sight{}, errors.New("read schema version: the search_path names no schema that exists")
	}
	if version != nil && dirty != nil {
		found.version, found.dirty = *version, *dirty
	}
	return found, nil
}
