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

// ownRole brings back the role of the connection, which owns what the files make, before the version row is written.
const ownRole = "RESET SESSION AUTHORIZATION;\nRESET ROLE;\n"

// transaction is a file and its version as one message: one round trip, and one commit for both.
//
// A savepoint with a name that nobody knows is set before the file and released after it. Postgres refuses to release it
// when the transaction is another than the one we began, whatever our reading of the file has missed: a file that ends its
// own transaction never gets its version recorded.
type transaction struct {
	parts     script
	savepoint string
	// at is where in the text the savepoint is set, after so many statements: behind a SET TRANSACTION, which must come
	// before it.
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

// savepointSQL sets the savepoint between the two parts of the text.
func (t transaction) savepointSQL() string {
	if t.at == 0 {
		return "SAVEPOINT " + t.savepoint + ";\n"
	}
	return "\n;\nSAVEPOINT " + t.savepoint // the text goes on with a semicolon, if it goes on
}

// message is the whole message; row is the SQL that records the version, and release that which gives the lock back. The
// line break ends a trailing comment, the semicolon an unfinished statement; after a finished one it is nothing.
func (t transaction) message(row, release string) string {
	return beforeFile + t.parts.text[:t.at] + t.savepointSQL() + t.parts.text[t.at:] +
		"\n;\nRELEASE SAVEPOINT " + t.savepoint + ";\n" + ownRole + row + "COMMIT;\nRESET ALL" + release
}

// firstOfRow is the number of the first statement after a file that records its version: RELEASE and the two of ownRole come first.
const firstOfRow = 3

// statement turns the number of statements that succeeded into that of the file's statement that failed.
func (t transaction) statement(done int) int {
	number := done - 1 // BEGIN
	if number >= t.before {
		number-- // SAVEPOINT
	}
	return number
}

// offset turns Postgres's position in the message into a place in the text, both in characters.
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
		failure.Err = &endedError{"what stands before that stays in the database, what follows does not: undo by hand what stays", pgErr, t.ours(pgErr)}
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

// ours reports whether Postgres has refused to release our savepoint, which is so when the file has ended the transaction.
func (t transaction) ours(pgErr *pgconn.PgError) bool {
	return pgErr.Code == "3B001" && strings.Contains(pgErr.Message, t.savepoint) ||
		pgErr.Code == "25P01" && strings.HasPrefix(pgErr.Message, "RELEASE SAVEPOINT")
}

// lineOf is the line of a word that is only once in the text, else 0: the statements were not read right, so they do not
// tell it.
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
	// noticed tells that the cause is our own look at the end, and says nothing to people.
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
