package migrations

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/display"
)

// Error is a migration that failed. Nothing of it is left in the database, with two exceptions. Where Committed is true, the
// file has itself committed a part. Where its file is a "no-transaction" one and what it left could not be removed at once,
// the database is dirty, until the next run looks at it.
//
// Err is the cause, a *[pgconn.PgError] when Postgres refused a statement. Its own text may quote rows: that of an Error does
// not, and has no control characters.
type Error struct {
	// Version is the one the database was to get.
	Version uint
	// File is the file's name; empty when only the driver knows of the run.
	File string
	// Line is the line in the file, from 1; 0 when no statement is to blame.
	Line int
	// Statement is the beginning of the statement that failed.
	Statement string
	// Committed says that the file has committed its own transaction: a part of it stays, and its version is not recorded.
	Committed bool
	Err       error

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
	return b.String()
}

// Reason is the cause, without what it may quote of rows; see [Error].
func (e *Error) Reason() string {
	var refused *pgconn.PgError
	if errors.As(e.Err, &refused) {
		return refusal(refused, e.text)
	}
	return display.Text(e.Err.Error())
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// locate finds the line and the statement. Postgres tells a position, in characters of the whole message, only for
// faults it finds while reading a statement; for the others the number of statements before it tells. offset turns a
// position into a place in the text, in characters.
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

// blame names a place in a statement.
func (e *Error) blame(parts script, at, number int) {
	s := parts.statements[number]
	e.Line = lineAt(parts.text, at)
	e.Statement = excerpt(parts.text[s.start:s.end])
}

// byteAt turns a count of characters into one of bytes, clipped to the text.
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

// excerpt is the beginning of a statement, on one line.
func excerpt(text string) string {
	const limit = 120
	text = display.Text(strings.Join(strings.Fields(text), " "))
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit]) + "…"
}
