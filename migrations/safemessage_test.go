package migrations_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/migrations"
)

// entry is what a pupil has written into a row. It has characters that would have an effect on a terminal, and
// quotes.
const entry = "\x1b]0;owned\a\u009b2J\u202eCANARY \"CANARY\" \"x"

// TestAFailureQuotesNoRow runs files that fail on a row, in all the ways in which Postgres quotes values.
func TestAFailureQuotesNoRow(t *testing.T) {
	t.Parallel()
	const raises = `create function complain(what text) returns boolean language plpgsql as
		$f$ begin raise exception 'bad: %', what using errcode = '42P01'; end $f$;` + "\n"
	for name, c := range map[string]struct{ file, want string }{
		"a text that is no number": {
			"update pupils set class = '5';\nalter table pupils alter column name type integer using name::integer;",
			"000002_step.up.sql:2: ERROR: a text cannot be read as the type that it is turned into (SQLSTATE 22P02)",
		},
		"a text that is no date":  {"select name::date from pupils", "(SQLSTATE 22007)"},
		"a date format":           {"select to_date('x' || name, 'YYYY') from pupils", "(SQLSTATE 22007)"},
		"JSON":                    {"select name::json from pupils", "(SQLSTATE 22P02)"},
		"a name that is a value":  {"select name::regclass from pupils", "(SQLSTATE 42"},
		"a role that is a value":  {"select quote_ident(name)::regrole from pupils", `role "…" does not exist (SQLSTATE 42704)`},
		"a setting":               {"select current_setting('a.' || md5(name) || 'CANARY') from pupils", "unrecognized configuration parameter \"…\" (SQLSTATE 42704)"},
		"an exception":            {"do $$ begin raise exception 'bad: %', (select name from pupils); end $$", "(SQLSTATE P0001)"},
		"an exception of our own": {"do $$ begin raise exception 'Empty the table first, it''s in use'; end $$", "ERROR: Empty the table first, it's in use (SQLSTATE P0001)"},
		"a function that poses":   {raises + "select complain(name) from pupils", ":3: ERROR: a statement has a mistake, or lacks a permission (SQLSTATE 42P01)"},
		"a function in SQL": {
			"create function n(t text) returns int language sql as $f$ select ('x' || t)::int $f$;\nselect n(name) from pupils;", "(SQLSTATE 22P02)",
		},
		"what a function does": {
			"do $$ begin execute 'select ' || quote_ident((select name from pupils)); end $$", "(SQLSTATE 42703)",
		},
		"a constraint": {
			"insert into pupils select name from pupils; create unique index one_name on pupils (name);",
			`ERROR: could not create unique index "one_name" (SQLSTATE 23505), in: create unique index`,
		},
		"a check": {
			"alter table pupils add constraint is_short check (length(name) < 3)",
			`ERROR: check constraint "is_short" of relation "pupils" is violated by some row (SQLSTATE 23514)`,
		},
		"a null": {
			"insert into pupils values (null); alter table pupils alter name set not null",
			`ERROR: column "name" of relation "pupils" contains null values (SQLSTATE 23502)`,
		},
		"a table that is not there": {"select 1;\ninsert into missing values (1)", `:2: ERROR: relation "missing" does not exist (SQLSTATE 42P01)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			first := "create table pupils (name text, class text);"
			up(t, load(t, first), conn)
			if _, err := conn.Exec(t.Context(), "insert into pupils values ($1)", entry); err != nil {
				t.Fatal(err)
			}
			_, err := load(t, first, c.file).Up(t.Context(), conn)
			var failed *migrations.Error
			var pgErr *pgconn.PgError
			if !errors.As(err, &failed) || !errors.As(err, &pgErr) {
				t.Fatalf("it is %v", err)
			}
			if text := err.Error(); !strings.Contains(text, c.want) || strings.ContainsAny(text, "\x1b\a\u009b\u202e") ||
				strings.Contains(strings.ReplaceAll(text, "'CANARY'", ""), "CANARY") {
				t.Errorf("it says %q\nwant %q", text, c.want)
			}
		})
	}
}
