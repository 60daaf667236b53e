package migrations

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/display"
)

// Error is a migration that failed. Nothing of it is left in the database, with two exceptions. Where Committed is
// true, the file has committed a part itself. Where the file is a "no-transaction" one and what it left could not be
// removed at once, the database is dirty until the next run resolves it.
//
// Err is the cause, a *[pgconn.PgError] when Postgres refused a statement. Its text may quote values of rows. The
// text of an Error does not, and has no control characters.
type Error struct {
	// Version is the version that the database was to get.
	Version uint
	// File is the file's name; empty when only the driver knows of the run.
	File string
	// Line is the line in the file, from 1; 0 when the error belongs to no statement.
	Line int
	// Statement is the beginning of the statement that failed.
	Statement string
	// Committed reports that the file has committed its own transaction: a part of it stays, and its version is not
	// recorded.
	Committed bool
	// Holders are the roles of other sessions with locks on tables, with commas, where the statement waited too long for one.
	Holders string
	Err     error

	text string // of the file
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrate to version %d: ", e.Version)
	switch {
	case e.File != "" && e.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	case e.File != "":
		fmt.Fprintf(&b, "%s: ", e.File)
	case e.Line > 0:
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	b.WriteString(e.Reason())
	if e.Statement != "" {
		fmt.Fprintf(&b, ", in: %s", e.Statement)
	}
	if e.Holders != "" {
		fmt.Fprintf(&b, "; sessions of these roles hold locks on tables: %s", display.Text(e.Holders))
	}
	return b.String()
}

// ErrReadOnly says that a database currently accepts no changes, whatever the file: its server is a standby, or it is
// set to read only.
var ErrReadOnly = errors.New("the database currently accepts no changes: its server is a standby, or it has default_transaction_read_only")

const (
	readOnly         = "25006" // a change in a read-only transaction
	lockNotAvailable = "55P03"
)

// explain adds the holders of locks and a read-only state, after the file's transaction is over.
func (d *driver) explain(failure *Error, pgErr *pgconn.PgError) error {
	if pgErr.Code == readOnly && d.isReadOnly() {
		return ErrReadOnly
	}
	if pgErr.Code == lockNotAvailable {
		failure.Holders, _ = d.holders("locktype = 'relation' and relation >= 16384") // locks of users' tables; only a hint
	}
	return failure
}

// isReadOnly reports whether the database is read only, and not only the file's transaction.
func (d *driver) isReadOnly() (closed bool) {
	err := d.ask("select pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool", &closed)
	return err == nil && closed
}

// Reason returns the cause without values of rows; see [Error].
func (e *Error) Reason() string {
	var pgErr *pgconn.PgError
	text := e.Err.Error()
	if errors.As(e.Err, &pgErr) {
		text = strings.ReplaceAll(text, pgErr.Error(), safeMessage(pgErr, e.text))
	}
	return display.Text(text)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// locate finds the line and the statement. Postgres reports a position, in characters of the whole message, only for
// errors that it finds while parsing a statement; for others the number of completed statements is used. offset turns
// a position into a position in the text, in characters.
func (e *Error) locate(parts script, number, position int, offset func(position int) int) {
	e.text = parts.text
	at := -1
	if position > 0 {
		at = byteAt(parts.text, offset(position))
		for i, s := range parts.statements {
			if at >= s.start {
				number = i
			}
		}
	}
	if number < 0 || number >= len(parts.statements) || at > parts.statements[number].end {
		return // Not in the file: the commit, or our own version row.
	}
	e.blame(parts, max(at, parts.statements[number].start), number)
}

// blame sets the line and the statement of the error.
func (e *Error) blame(parts script, at, number int) {
	s := parts.statements[number]
	e.Line = lineAt(parts.text, at)
	e.Statement = excerpt(parts.text[s.start:s.end])
}

// byteAt turns a number of characters into a number of bytes, limited to the text.
func byteAt(text string, characters int) int {
	at := 0
	for range max(characters, 0) {
		if at >= len(text) {
			return len(text) + 1
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

// excerpt returns the beginning of a statement, on one line.
func excerpt(text string) string {
	const limit = 120
	text = display.Text(strings.Join(strings.Fields(text), " "))
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}
