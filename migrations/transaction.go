package migrations

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/killpoint"
)

// beforeFile begins the transaction of a file and its version.
const beforeFile = "BEGIN;\n"

// ownRole restores the role of the connection, which owns what the files create, before the version row is written.
const ownRole = "RESET SESSION AUTHORIZATION;\nRESET ROLE;\n"

// transaction is a file and its version as one message: one round trip, and one commit for both.
//
// A savepoint with a random name is set before the file and released after it. Postgres refuses to release it when
// the transaction is another one than at the beginning, whatever our parser has missed: so the version of a file that
// ends its own transaction is never recorded.
type transaction struct {
	parts     script
	savepoint string
	// at is the position in the text at which the savepoint is set, and the number of statements before it: after a
	// SET TRANSACTION, which must come first.
	at, before int
}

func newTransaction(parts script) transaction {
	t := transaction{parts: parts, savepoint: "homeroom_" + strings.ToLower(rand.Text())}
	for i, s := range parts.statements {
		words := tokens(s.tokens)
		if !words.take("SET") {
			break
		}
		_ = words.take("LOCAL") || words.take("SESSION")
		if len(words) > 0 && strings.HasPrefix(strings.ToUpper(words[0]), "TRANSACTION") {
			t.at, t.before = s.end, i+1
		}
	}
	return t
}

// savepointSQL returns the SQL of the savepoint between the two parts of the text.
func (t transaction) savepointSQL() string {
	if t.at == 0 {
		return "SAVEPOINT " + t.savepoint + ";\n"
	}
	return "\n;\nSAVEPOINT " + t.savepoint // the rest of the text begins with a semicolon, if there is any
}

// message returns the whole message. row is the SQL that records the version, and release the SQL that releases the
// lock. The line break ends a comment at the end of the file, the semicolon an unfinished statement; after a finished
// statement it has no effect.
func (t transaction) message(row, release string) string {
	return beforeFile + t.parts.text[:t.at] + t.savepointSQL() + t.parts.text[t.at:] +
		"\n;\nRELEASE SAVEPOINT " + t.savepoint + ";\n" + ownRole + row + "COMMIT;\nRESET ALL" + release
}

// firstOfRow is the number of the first statement after a file that records its version: RELEASE and the two of
// ownRole come first.
const firstOfRow = 3

// statement turns the number of statements that succeeded into the number of the file's statement that failed.
func (t transaction) statement(done int) int {
	number := done - 1 // BEGIN
	if number >= t.before {
		number-- // SAVEPOINT
	}
	return number
}

// offset turns Postgres's position in the message into a position in the text, both in characters.
func (t transaction) offset(position int) int {
	at := position - 1 - len(beforeFile)
	if t.at == 0 || at >= len([]rune(t.parts.text[:t.at])) {
		at -= len(t.savepointSQL())
	}
	return at
}

// runInTransaction runs a file together with its version.
func (d *driver) runInTransaction(version *int, parts script) error {
	row, release := "", ""
	if version != nil {
		var err error
		if row, err = d.versionRow(*version, false); err != nil {
			return err
		}
		release = d.release()
	}
	t := newTransaction(parts)
	killpoint.Here("migrations.before_file")
	done, err := d.send(t.message(row, release))
	if err != nil {
		return d.failedInTransaction(version, t, row, done, err)
	}
	killpoint.Here("migrations.file_committed")
	if version != nil {
		d.written = version
		d.recorded(*version, false, release != "")
	}
	return nil
}

// failedInTransaction describes the failure of a file; done are the tags of the statements that succeeded.
func (d *driver) failedInTransaction(version *int, t transaction, row string, done []string, err error) error {
	failure := failed(version, err)
	failure.text = t.parts.text
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return failure
	}
	failure.text = t.parts.text
	number := t.statement(len(done))
	behind := number - len(t.parts.statements)
	switch {
	case slices.Contains(done, "COMMIT"), slices.Contains(done, "PREPARE TRANSACTION"):
		failure.Committed, failure.Line = true, t.lineOf("commit")
		failure.Err = &endedError{"the changes before that stay in the database, those after it do not: undo by hand what stays", pgErr, t.ours(pgErr)}
	case t.ours(pgErr):
		failure.Line = t.lineOf("rollback")
		failure.Err = &endedError{"nothing of it stays", pgErr, true}
	case behind >= firstOfRow && behind < firstOfRow+strings.Count(row, ";\n") && isPermanent(pgErr):
		i := slices.IndexFunc(t.parts.statements, touchesVersion)
		if i >= 0 {
			failure.blame(t.parts, t.parts.statements[i].start, i)
		}
		failure.Err = fmt.Errorf("the version cannot be recorded after the file: %w. The table %s.schema_migrations and its schema "+
			"are reserved for that: a file must leave them as they are, and its transaction writable", pgErr, d.observed.schema)
	default:
		failure.locate(t.parts, number, int(pgErr.Position), t.offset)
	}
	return d.explain(failure, pgErr)
}

// ours reports whether Postgres has refused to release the savepoint, which happens when the file has ended the
// transaction.
func (t transaction) ours(pgErr *pgconn.PgError) bool {
	return pgErr.Code == "3B001" && strings.Contains(pgErr.Message, t.savepoint) ||
		pgErr.Code == "25P01" && strings.HasPrefix(pgErr.Message, "RELEASE SAVEPOINT")
}

// lineOf returns the line of a word that is only once in the text, otherwise 0: the parser has read the statements
// wrong, so they do not tell the line.
func (t transaction) lineOf(word string) int {
	found := regexp.MustCompile(`(?i)\b`+word+`\b`).FindAllStringIndex(t.parts.text, 2)
	if len(found) != 1 {
		return 0
	}
	return lineAt(t.parts.text, found[0][0])
}

// endedError says that a file has ended its own transaction.
type endedError struct {
	stays string
	cause *pgconn.PgError
	// noticed reports that the cause is our own check at the end, which is not shown to people.
	noticed bool
}

func (e *endedError) Error() string {
	text := "the file ends its own transaction, which it must not; take that out. Its version was not recorded, and " + e.stays
	if !e.noticed {
		text += ". It then failed: " + e.cause.Error()
	}
	return text
}

// Unwrap returns Postgres's refusal.
func (e *endedError) Unwrap() error { return e.cause }

// isPermanent reports whether an error is about the table, rather than about other sessions or the server.
func isPermanent(pgErr *pgconn.PgError) bool {
	return !slices.Contains([]string{"08", "40", "53", "55", "57", "58"}, pgErr.Code[:2])
}

// touchesVersion reports whether a statement names the version table, or drops or alters a schema.
func touchesVersion(s statement) bool {
	words := tokens(s.tokens)
	if words.take("DROP", "SCHEMA") || words.take("ALTER", "SCHEMA") {
		return true
	}
	return slices.ContainsFunc(s.tokens, func(token string) bool {
		return strings.EqualFold(token, "schema_migrations") || token == `"schema_migrations"` //nolint:gosec // a token of SQL
	})
}
