package migrations

import (
	"slices"
	"testing"
)

// FuzzParse checks that the statements of a script lie in order, that each of them is one statement when it stands alone, and
// that nothing but comments, white space and semicolons is between them.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"select 1; select 2", "-- no-transaction\nvacuum", "select 'a;b', \"c;d\", E'\\';', $$;$$, $x$;$$;$x$; select 2",
		"/* a /* nested; */ ; */ select 1; -- ; the end", "create function f() returns int begin atomic select case when true then 1 end; end; select 2",
		"create rule r as on insert to t do (select 1; select 2); select 3", "select $1, a$b$c; select 2", "commit", "rollback to s", "\\copy t",
		"copy t from stdin", "select 'never ends", "/* never ends", "select $a$ never ends", "select )); select 2", "select 1;;;", "é; ü",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		script, err := parse(text)
		if err != nil {
			return
		}
		end := 0
		for _, s := range script.statements {
			if s.start < end || s.end <= s.start || s.end > len(text) {
				t.Fatalf("%q: the statement [%d:%d] is behind byte %d", text, s.start, s.end, end)
			}
			if between, err := parse(text[end:s.start]); err == nil && len(between.statements) != 0 {
				t.Errorf("%q: %q is in no statement", text, text[end:s.start])
			}
			alone, err := parse(text[s.start:s.end])
			if script.transactional && (err != nil || len(alone.statements) != 1 || !slices.Equal(alone.statements[0].tokens, s.tokens)) {
				t.Errorf("%q: %q alone is %+v, %v", text, text[s.start:s.end], alone.statements, err)
			}
			end = s.end
		}
	})
}
