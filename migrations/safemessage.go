package migrations

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/display"
)

// safeMessage describes an error of Postgres without values of rows. Its DETAIL quotes rows, and so do many messages;
// an operator may read the error, but not the tenant's data.
//
// A message is shown when its class is only about objects and the server, and Postgres refused the statement itself,
// not a function that it called, which may raise anything. Even then a quoted part is shown only when the file
// contains it, or when it is the name of the object that the error is about. For all other errors the condition is
// described in our own words, with the names.
func safeMessage(pgErr *pgconn.PgError, file string) string {
	message, ok := pgErr.Message, isLiteral(pgErr.Message, file)
	if !ok && isSafe(pgErr) {
		message, ok = withoutValues(pgErr, file), true
	}
	if !ok {
		message = condition(pgErr.Code) + about(pgErr)
	}
	return display.Text(fmt.Sprintf("%s: %s (SQLSTATE %s)", pgErr.Severity, message, pgErr.Code))
}

// isLiteral reports whether a message is a string of the file, as that of a RAISE without parameters.
func isLiteral(message, file string) bool {
	return message != "" && strings.Contains(file, "'"+strings.ReplaceAll(message, "'", "''")+"'")
}

// safeClasses are the classes of SQLSTATE whose messages, when Postgres itself makes them, contain values of rows
// only in quotes: syntax and names, unsupported features, constraints, transactions, dependencies, limits, states,
// resources. Of the codes about values, three have messages without any.
// about values, three codes have messages without any.
var (
	safeClasses = []string{"0A", "21", "23", "25", "2B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57", "58"}
	safeCodes   = []string{"22001", "22004", "22012"}
)

func isSafe(pgErr *pgconn.PgError) bool {
	// The context of a statement that waits or checks, such as "while updating tuple …", is one line; that of a
	// function has lines of its own.
	own := pgErr.Where == "" || strings.HasPrefix(pgErr.Where, "while ") && !strings.Contains(pgErr.Where, "\n")
	return own && pgErr.InternalQuery == "" && len(pgErr.Code) == 5 &&
		(slices.Contains(safeClasses, pgErr.Code[:2]) || slices.Contains(safeCodes, pgErr.Code))
}

// quotes are the quotes that Postgres puts around names and values, in any of its languages.
const quotes = `"«»„“”`

var (
	quoted         = regexp.MustCompile("[" + quotes + "]([^" + quotes + "]*)[" + quotes + "]")
	quotedTogether = regexp.MustCompile("[" + quotes + "].*[" + quotes + "]")
)

// withoutValues returns the message. Where a quoted part is neither in the file nor a name, everything from the first
// quote to the last is left out, since a value may contain quotes.
func withoutValues(pgErr *pgconn.PgError, file string) string {
	known := objectNames(pgErr)
	for _, part := range quoted.FindAllStringSubmatch(pgErr.Message, -1) {
		if !slices.Contains(known, part[1]) && !mentions(file, part[1]) {
			return quotedTogether.ReplaceAllString(pgErr.Message, `"…"`)
		}
	}
	return pgErr.Message
}

// mentions reports whether a text has these words, and not only as a part of longer ones.
func mentions(text, words string) bool {
	if words == "" {
		return true
	}
	for at := 0; ; {
		i := strings.Index(text[at:], words)
		if i < 0 {
			return false
		}
		at += i
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(words):])
		if !inWord(before) && !inWord(after) {
			return true
		}
		at++
	}
}

func inWord(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// objectNames returns the names of the objects that an error is about.
func objectNames(pgErr *pgconn.PgError) []string {
	return slices.DeleteFunc([]string{
		pgErr.SchemaName, pgErr.TableName, pgErr.ColumnName, pgErr.DataTypeName, pgErr.ConstraintName,
	}, func(name string) bool { return name == "" })
}

// about names what an error is about.
func about(pgErr *pgconn.PgError) string {
	var parts []string
	for _, part := range []struct{ kind, name string }{
		{"table", pgErr.TableName}, {"column", pgErr.ColumnName}, {"type", pgErr.DataTypeName}, {"constraint", pgErr.ConstraintName},
	} {
		if part.name != "" {
			parts = append(parts, fmt.Sprintf("%s %q", part.kind, part.name))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// conditions are the errors that data of a tenant cause most often; see
// https://www.postgresql.org/docs/current/errcodes-appendix.html.
var conditions = map[string]string{
	"22001": "a text is too long for its type",
	"22003": "a number is out of the range of its type",
	"22004": "a value is null where none may be",
	"22007": "a text is no date or time",
	"22008": "a date or time is out of range",
	"22012": "something is divided by zero",
	"22021": "a text has bytes that its encoding does not have",
	"22023": "a value is not allowed as a parameter",
	"22P02": "a text cannot be read as the type that it is turned into",
	"22P05": "a character does not exist in another encoding",
	"23502": "a value is null where none may be",
	"23503": "a row refers to one that does not exist, or is referred to",
	"23505": "two rows have the same value where it must be unique",
	"23514": "a row breaks a check",
	"23P01": "two rows exclude each other",
	"40001": "the transaction was in conflict with another",
	"40P01": "the transaction was in a deadlock with another",
	"55000": "an object is not in the state that this needs",
	"55P03": "a lock could not be had in time",
	"57014": "the statement was cancelled",
	"P0001": "the file or a function raised an exception",
	"P0002": "a function found no row where it needs one",
	"P0003": "a function found several rows where it needs one",
	"P0004": "an assertion of a function failed",
}

// classes are all other errors.
var classes = map[string]string{
	"0A": "a feature is not supported",
	"21": "there are more rows than there may be",
	"22": "a value does not fit",
	"23": "a row breaks a constraint",
	"25": "the transaction is in a state that does not allow this",
	"2B": "other objects depend on this one",
	"2F": "a function of SQL failed",
	"38": "a function outside SQL failed",
	"39": "a function outside SQL was called wrongly",
	"40": "the transaction was rolled back",
	"42": "a statement has a mistake, or lacks a permission",
	"53": "the server lacks a resource",
	"54": "a limit of Postgres is exceeded",
	"55": "an object is not in the state that this needs",
	"57": "an operator or the server intervened",
	"58": "the server's system failed",
	"P0": "a function in PL/pgSQL failed",
	"XX": "Postgres failed inside",
}

// condition describes a SQLSTATE in our words.
func condition(code string) string {
	if words, known := conditions[code]; known {
		return words
	}
	if len(code) == 5 && classes[code[:2]] != "" {
		return classes[code[:2]]
	}
	return "Postgres refused the statement"
}
