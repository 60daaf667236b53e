package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/killpoint"
)

// nilVersion is golang-migrate's number for a database before its first migration.
const nilVersion = database.NilVersion

// driver runs migrations on one connection, each together with its version.
//
// golang-migrate calls SetVersion(v, true), Run(file), SetVersion(v, false). The first call only stores v; Run sends
// the file and the version row as one transaction; the last call then has nothing left to do. So a crash at any
// moment leaves the old version without any part of the file, or the new version with all of it. Only a file marked
// "no-transaction" gets golang-migrate's own protocol: dirty row, statement, clean row. The dirty row has the number
// of the file, also on the way down, where golang-migrate writes the version that the file leads to: so the row names
// the one file, up or down, whose effect must be checked after a crash.
type driver struct {
	ctx  context.Context // golang-migrate passes no context
	conn *pgx.Conn

	observed *dbState // the state that was read last, updated by our own writes
	locks    *lockIDs
	pending  *int // stored by SetVersion(v, true), not yet written
	written  *int // committed by Run, to be confirmed by SetVersion(v, false)
	last     bool // whether the lock is released with the next version that is committed
}

var _ database.Driver = (*driver)(nil)

// NewDriver makes a golang-migrate driver on a connection, for one use: all that it does ends with ctx. It needs a
// session of its own (no transaction, and no transaction pooler in between), and leaves the connection open. Settings
// that a file changes with SET, its role among them, are reset after the file to the values of the connection
// (RuntimeParams). Nothing else of the session is reset: temporary tables, prepared statements or advisory locks of a
// file exist during the next one. [Set.Up] gives each file a session of its own.
//
// A "no-transaction" file that fails is undone where that is possible, and the former version recorded. One that was
// interrupted leaves a dirty database for golang-migrate, which [Set.Up] and [Set.DownTo] resolve.
func NewDriver(ctx context.Context, conn *pgx.Conn) database.Driver {
	return newDriver(ctx, conn)
}

func newDriver(ctx context.Context, conn *pgx.Conn) *driver {
	return &driver{ctx: ctx, conn: conn}
}

// Open implements database.Driver. It always fails, since the connection is the caller's.
func (d *driver) Open(string) (database.Driver, error) {
	return nil, errors.New("open migration driver: make it with NewDriver")
}

// Close releases the lock, and leaves the connection open.
func (d *driver) Close() error {
	if d.locks == nil {
		return nil
	}
	return d.Unlock()
}

// Version returns the recorded version, -1 for none.
func (d *driver) Version() (int, bool, error) {
	if d.pending != nil {
		return *d.pending, true, nil
	}
	found, err := d.inspect()
	return found.version, found.dirty, err
}

// inspect reads the database's state.
func (d *driver) inspect() (dbState, error) {
	found, err := inspect(d.ctx, d.conn, d.schema())
	if err != nil {
		return dbState{}, err
	}
	d.observed = &found
	return found, nil
}

// schema returns the schema to look in first.
func (d *driver) schema() string {
	if d.observed != nil {
		return d.observed.schema
	}
	return defaultSchema
}

// SetVersion stores a dirty version, and writes a clean one unless Run has done so.
func (d *driver) SetVersion(version int, dirty bool) error {
	written := d.written
	d.pending, d.written = nil, nil
	if dirty {
		d.pending = &version
		return nil
	}
	if written != nil && *written == version {
		return nil
	}
	return d.record(version, false)
}

// record writes the version row alone.
func (d *driver) record(version int, dirty bool) error {
	row, err := d.versionRow(version, dirty)
	if err != nil {
		return err
	}
	release := ""
	if !dirty {
		release = d.release()
	}
	if _, err := d.send(beforeFile + ownRole + row + "COMMIT" + release); err != nil {
		return fmt.Errorf("record schema version %d: %w", version, err)
	}
	if !dirty {
		killpoint.Here("migrations.marked_clean")
	}
	d.recorded(version, dirty, release != "")
	return nil
}

// recorded updates the observed state.
func (d *driver) recorded(version int, dirty, released bool) {
	d.observed.versioned, d.observed.version, d.observed.dirty = true, version, dirty
	if released {
		d.locks = nil
	}
}

// release returns the SQL that releases the lock, in the message that commits the last version. It must follow the
// COMMIT, since the next process that gets the lock must see the version.
func (d *driver) release() string {
	if !d.last || d.locks == nil {
		return ""
	}
	return ";\n" + d.locks.unlock()
}

// send executes a message that begins and commits a transaction, and leaves no transaction open when it fails.
func (d *driver) send(sql string) (done []string, err error) {
	done, err = execute(d.ctx, d.conn, sql)
	if err != nil && !d.conn.IsClosed() && d.conn.PgConn().TxStatus() != idle {
		if _, rollback := d.conn.Exec(d.ctx, "ROLLBACK"); rollback != nil {
			err = errors.Join(err, fmt.Errorf("roll back: %w", rollback))
		}
	}
	return done, err
}

// versionRow returns the SQL that makes version the only row. It names the schema, because the file before it may
// have changed the search_path. With DELETE instead of golang-migrate's TRUNCATE, others can read the old version
// meanwhile.
func (d *driver) versionRow(version int, dirty bool) (string, error) {
	if d.observed == nil {
		if _, err := d.inspect(); err != nil {
			return "", err
		}
	}
	table := pgx.Identifier{d.observed.schema, "schema_migrations"}.Sanitize()
	create, insert := "", ""
	if !d.observed.versioned {
		create = "CREATE TABLE IF NOT EXISTS " + table + " (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\n"
	}
	// The nil version has no row; but golang-migrate writes one when it is dirty.
	if version >= 0 || dirty {
		insert = fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, %t);\n", table, version, dirty)
	}
	return create + "DELETE FROM " + table + ";\n" + insert, nil
}

// Run applies one file.
func (d *driver) Run(migration io.Reader) error {
	content, err := io.ReadAll(migration)
	if err != nil {
		return fmt.Errorf("read migration: %w", err)
	}
	version := d.pending
	d.pending = nil
	text := normalized(string(content))
	err = readable(text)
	if err != nil {
		return failed(version, err)
	}
	parts, err := parse(text)
	if err != nil {
		return failed(version, err)
	}
	if parts.transactional {
		return d.runInTransaction(version, parts)
	}
	return d.runAlone(version, parts)
}

// runAlone runs a "no-transaction" file. After a crash between the dirty row and SetVersion(v, false) the database is
// dirty, and the next run checks whether the statement took effect. When Postgres refuses the statement, what it left
// is removed and the former version recorded, where that is possible; otherwise the database stays dirty.
func (d *driver) runAlone(version *int, parts script) error {
	var former int
	if version != nil {
		if d.observed == nil {
			if _, err := d.inspect(); err != nil {
				return err
			}
		}
		former = d.observed.version
		if err := d.record(max(*version, former), true); err != nil {
			return err
		}
	}
	killpoint.Here("migrations.marked_dirty")
	done, err := execute(d.ctx, d.conn, parts.text)
	if err == nil {
		killpoint.Here("migrations.statement_done")
		return nil
	}
	if version != nil {
		d.undo(parts, former, err)
	}
	failure := failed(version, err)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		failure.locate(parts, len(done), int(pgErr.Position), func(position int) int { return position - 1 })
		return d.explain(failure, pgErr)
	}
	return failure
}

// idle is the transaction status of a connection without a transaction.
const idle = 'I'

// execute sends SQL as one message of the simple protocol, and returns the tags of the statements that succeeded.
func execute(ctx context.Context, conn *pgx.Conn, sql string) (done []string, err error) {
	results := conn.PgConn().Exec(ctx, sql)
	for results.NextResult() {
		if tag, err := results.ResultReader().Close(); err == nil {
			done = append(done, tag.String())
		}
	}
	return done, results.Close()
}

// Drop removes all tables of the current schema, as golang-migrate's own driver does.
func (d *driver) Drop() error {
	_, err := d.conn.Exec(d.ctx, `do $$ declare name text; begin
		for name in select c.oid::regclass from pg_class c
			where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind in ('r', 'p') loop
			execute 'drop table if exists ' || name || ' cascade';
		end loop; end $$`)
	d.observed = nil
	if err != nil {
		return fmt.Errorf("drop all tables: %w", err)
	}
	return nil
}

// failed returns the error of a file.
func failed(version *int, err error) *Error {
	failure := &Error{Err: err}
	if version != nil && *version > 0 {
		failure.Version = uint(*version)
	}
	var fault *lineError
	if errors.As(err, &fault) {
		failure.Line, failure.Err = fault.line, errors.New(fault.message)
	}
	return failure
}
