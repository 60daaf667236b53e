package migrations

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dbState is the state of a database's version table.
type dbState struct {
	database, schema string
	versioned        bool // whether the schema has a version table
	tables           bool // whether it has other tables; only read when it has no version table
	version          int
	dirty            bool
}

// The version table is only looked for in the current schema, as golang-migrate does, whatever else is in the
// search_path. The SQL names its schema, since a query that finds the schema doubles the time on a new connection.
const versionTable = " from (select) one left join %s.schema_migrations v on true limit 1"

const selectVersion = "select current_database(), coalesce(current_schema(), ''), v.version, v.dirty"

const selectTables = `select current_database(), coalesce(current_schema(), ''),
	to_regclass(quote_ident(current_schema()) || '.schema_migrations') is not null, exists (
	select from pg_class c where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind in ('r', 'p')
	and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))`

// defaultSchema is the schema in which the version table is looked for first.
const defaultSchema = "public"

// undefinedTable is Postgres's code for a table that does not exist.
const undefinedTable = "42P01"

// readCommitted begins a message of several statements, which are one transaction. At a stricter level, which may be
// the database's default, the read would use the snapshot of the first statement, from before it had the lock.
const readCommitted = "set transaction isolation level read committed;\n"

// inspect reads the version. Usually it takes one round trip. A missing version table is an error, because a
// statement cannot name a table that does not exist.
func inspect(ctx context.Context, conn *pgx.Conn, schema string) (dbState, error) {
	found, _, err := inspectAfterLock(ctx, conn, schema, nil)
	if err != nil {
		return dbState{}, fmt.Errorf("read schema version: %w", err)
	}
	return found, nil
}

// inspectAfterLock reads the version, after an attempt to lock in the same message unless try is nil. The read
// follows the lock, so that its result stays true while the lock is held. locked is null when no lock was tried, and
// may be true even with an error.
func inspectAfterLock(ctx context.Context, conn *pgx.Conn, schema string, try *lockTry) (found dbState, locked *bool, err error) {
	from := fmt.Sprintf(versionTable, pgx.Identifier{schema}.Sanitize())
	message := selectVersion + from
	if try != nil {
		message = readCommitted + "select " + try.lockIfNeededSQL() + from + ";\n" + message
	}
	rows, err := ask(ctx, conn, message)
	if try != nil && len(rows) > 0 {
		locked = boolean(rows[0][0])
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && !conn.IsClosed() && len(rows) == 0 {
		return inspectWithoutTable(ctx, conn, schema, try, pgErr)
	}
	if err != nil {
		return dbState{}, locked, err
	}
	row := rows[len(rows)-1]
	found = dbState{database: string(row[0]), schema: string(row[1]), versioned: true, version: nilVersion}
	if err := checkSchema(found.schema); err != nil {
		return dbState{}, locked, err
	}
	switch {
	case found.schema != schema:
		return inspectAfterLock(ctx, conn, found.schema, nil)
	case row[2] != nil && row[3] != nil:
		found.dirty = is(row[3])
		found.version, err = strconv.Atoi(string(row[2]))
	}
	return found, locked, err
}

// ErrNoSchema says that there is no current schema: the one that the search_path names was dropped, or may not be
// used.
var ErrNoSchema = errors.New("the search_path names no schema that exists")

// errTemporarySchema is an ErrNoSchema whose schema is the one of temporary tables.
var errTemporarySchema = fmt.Errorf("%w for longer than a session: it begins with pg_temp", ErrNoSchema)

// checkSchema refuses a current schema without permanent tables: none, or the one of a session's temporary tables.
func checkSchema(schema string) error {
	switch {
	case schema == "":
		return ErrNoSchema
	case strings.HasPrefix(schema, "pg_temp_"):
		return errTemporarySchema
	}
	return nil
}

// inspectWithoutTable finds out why the version table could not be read, with another attempt to lock. Usually the
// database is empty.
func inspectWithoutTable(ctx context.Context, conn *pgx.Conn, schema string, try *lockTry, pgErr *pgconn.PgError) (found dbState, locked *bool, err error) {
	message := selectTables
	if try != nil {
		message = readCommitted + "select " + try.lockSQL() + ";\n" + message
	}
	rows, err := ask(ctx, conn, message)
	if try != nil && len(rows) > 0 {
		locked = boolean(rows[0][0])
	}
	if err != nil {
		return dbState{}, locked, err
	}
	row := rows[len(rows)-1]
	found = dbState{database: string(row[0]), schema: string(row[1]), versioned: is(row[2]), tables: is(row[3]), version: nilVersion}
	if err := checkSchema(found.schema); err != nil {
		return dbState{}, locked, err
	}
	switch {
	case !found.versioned:
		return found, locked, nil
	case found.schema == schema && pgErr.Code != undefinedTable:
		return dbState{}, locked, pgErr
	}
	// It is in another schema, or another process has created it in between.
	found, _, err = inspectAfterLock(ctx, conn, found.schema, nil)
	return found, locked, err
}

// ask sends SQL as one message, and returns the first row of each statement that returns rows, also of those before
// one that failed.
func ask(ctx context.Context, conn *pgx.Conn, sql string) ([][][]byte, error) {
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	var rows [][][]byte
	for _, result := range results {
		if len(result.Rows) > 0 {
			rows = append(rows, result.Rows[0])
		}
	}
	return rows, err
}

func boolean(value []byte) *bool {
	if value == nil {
		return nil
	}
	return new(is(value))
}

func is(value []byte) bool { return string(value) == "t" }
