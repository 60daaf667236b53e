package migrations_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"homeroom/migrations"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	t.Run("reads numbers with gaps and times, and ignores what is not SQL", func(t *testing.T) {
		t.Parallel()
		set, err := migrations.Load(fstest.MapFS{
			"20240101120000_c.up.sql": {Data: []byte("select 3")},
			"2_b.up.sql":              {Data: []byte("-- no-transaction\nvacuum")},
			"2_b.down.sql":            {Data: []byte("select 0")},
			"01_a.up.sql":             {Data: []byte("select 1")},
			"README.md":               {Data: []byte("not SQL")},
			"old/1_a.up.sql":          {Data: []byte("select 0")},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range set.Files() {
			got = append(got, f.Name)
			if f.Transactional == (f.Version == 2) {
				t.Errorf("%s: Transactional = %t", f.Name, f.Transactional)
			}
		}
		if strings.Join(got, " ") != "01_a.up.sql 2_b.up.sql 20240101120000_c.up.sql" {
			t.Errorf("files = %q", got)
		}
		if set.Latest() != 20240101120000 {
			t.Errorf("latest = %d", set.Latest())
		}
	})

	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	pgErr := map[string]struct {
		files fstest.MapFS
		want  []string
	}{
		"an empty folder": {fstest.MapFS{"notes.txt": file("")}, []string{"the folder has none", "000001_pupils.up.sql"}},
		"names that golang-migrate takes and Homeroom would not run": {
			fstest.MapFS{
				"1_a.up.sql": file(""), "2_b.up.SQL": file(""), "3_c.up.pgsql": file(""), "4_d.up.sql.bak": file(""), "5_e.UP.sql": file(""),
				"6_f.SQL": file(""), "7_g.down.psql": file(""),
			},
			[]string{
				"2_b.up.SQL: a migration is named", "3_c.up.pgsql: a migration is named", "4_d.up.sql.bak: a migration is named",
				"5_e.UP.sql: a migration is named", "6_f.SQL: a migration is named", "7_g.down.psql: a migration is named", "rename it",
			},
		},
		"a folder with the name of a migration": {fstest.MapFS{"1_a.up.sql/x": file("")}, []string{"1_a.up.sql: is a folder"}},
		"a number that no bigint holds": {
			fstest.MapFS{"1_a.up.sql": file(""), "9223372036854775808_big.up.sql": file(""), "18446744073709551616_b.up.sql": file("")},
			[]string{"9223372036854775808_big.up.sql: its number is above 9223372036854775807", "18446744073709551616_b.up.sql: a migration is named"},
		},
		"the marker behind a comment": {
			fstest.MapFS{"1_a.up.sql": file("-- Copyright\n-- no-transaction\nvacuum")},
			[]string{`1_a.up.sql:2: "-- no-transaction" counts only as the whole first line`, "move it there"},
		},
		"the marker with more in its line": {
			fstest.MapFS{"1_a.up.sql": file("-- no-transaction: big table\nvacuum")},
			[]string{"1_a.up.sql:1:", "without anything else in that line"},
		},
		"the marker behind a statement": {fstest.MapFS{"1_a.up.sql": file("select 1;\n--NO-TRANSACTION\nvacuum")}, []string{"1_a.up.sql:2:"}},
		"a name without number":         {fstest.MapFS{"pupils.sql": file("")}, []string{"pupils.sql: a migration is named <number>_"}},
		"number zero":                   {fstest.MapFS{"0_a.up.sql": file("")}, []string{"0_a.up.sql", "number from 1"}},
		"a name with more":              {fstest.MapFS{"1_a.up.old.sql": file("")}, []string{"1_a.up.old.sql: a migration is named"}},
		"one number twice": {
			fstest.MapFS{"1_a.up.sql": file(""), "01_b.up.sql": file("")},
			[]string{"1_a.up.sql: 01_b.up.sql has the same number"},
		},
		"two down files of one number": {
			fstest.MapFS{"1_a.up.sql": file(""), "01_b.down.sql": file(""), "1_a.down.sql": file("")},
			[]string{"1_a.down.sql: 01_b.down.sql has the same number"},
		},
		"a down file without its up file":      {fstest.MapFS{"1_a.down.sql": file("")}, []string{"1_a.down.sql: there is no up file"}},
		"a down file with another name":        {fstest.MapFS{"1_a.up.sql": file(""), "1_b.down.sql": file("")}, []string{"1_b.down.sql", "1_a.up.sql", "must match"}},
		"other encodings":                      {fstest.MapFS{"1_a.up.sql": file("-- caf\xe9")}, []string{"1_a.up.sql: not UTF-8"}},
		"a zero byte":                          {fstest.MapFS{"1_a.up.sql": file("select 1\x00")}, []string{"zero byte"}},
		"two statements outside a transaction": {fstest.MapFS{"1_a.up.sql": file("-- no-transaction\nvacuum;\nvacuum;")}, []string{"1_a.up.sql:1:", "exactly one statement", "not 2"}},
		"every fault at once": {
			fstest.MapFS{"1_a.up.sql": file("select 1;\ncommit;"), "x.sql": file("")},
			[]string{"1_a.up.sql:2: COMMIT is not allowed", "x.sql: a migration is named"},
		},
	}
	for name, c := range pgErr {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			_, err := migrations.Load(c.files)
			if err == nil {
				t.Fatal("loaded")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	set := load(t, "select 1", "select 2")
	if got := load(t, "select 1", "select 2").Hash(); got != set.Hash() || len(got) != 12 {
		t.Errorf("hash = %q, then %q", set.Hash(), got)
	}
	files := folder("select 1", "select 2")
	files["000002_step.down.sql"] = &fstest.MapFile{Data: []byte("select 0")}
	if with, err := migrations.Load(files); err != nil || with.Hash() != set.Hash() {
		t.Errorf("a down file changes the hash (%v)", err)
	}
	if load(t, "select 1", "select 3").Hash() == set.Hash() {
		t.Error("an edit leaves the hash")
	}
	if load(t, "select 1").Hash() == set.Hash() {
		t.Error("a file less leaves the hash")
	}
}

// Editors and checkouts change line ends and byte order marks.
func TestHashesDoNotDependOnLineEnds(t *testing.T) {
	t.Parallel()
	unix := load(t, "create table a ();\nselect 1;\n", "select 2;\n")
	for name, other := range map[string]*migrations.Set{
		"windows line ends": load(t, "create table a ();\r\nselect 1;\r\n", "select 2;\r\n"),
		"a byte order mark": load(t, "\ufeffcreate table a ();\nselect 1;\n", "\ufeffselect 2;\n"),
	} {
		if other.Lineage() != unix.Lineage() || other.Hash() != unix.Hash() {
			t.Errorf("%s: lineage %s and hash %s, want %s and %s", name, other.Lineage(), other.Hash(), unix.Lineage(), unix.Hash())
		}
		up(t, other, newDatabase(t))
	}
	if unix.WindowsLineage() != "8f04662cbc88" {
		t.Errorf("the lineage that an earlier program gave to windows line ends is %s", unix.WindowsLineage())
	}
	// Catalogs and the names of templates contain these hashes.
	if unix.Lineage() != "4bca42b4ca45" || unix.Hash() != "04d51099f166" {
		t.Errorf("the hashes of files have changed: %s and %s", unix.Lineage(), unix.Hash())
	}
}

func TestStatementsThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"begin;\ncreate table a ();\ncommit;": ":1: BEGIN is not allowed",
		"create table a ();\n\n  Commit":      ":3: COMMIT is not allowed",
		"select 1;\nEND;":                     ":2: END is not allowed",
		"select 1; abort":                     ":1: ABORT is not allowed",
		"start transaction":                   ":1: START TRANSACTION is not allowed",
		"prepare transaction 'x'":             ":1: PREPARE TRANSACTION is not allowed",
		"rollback":                            ":1: ROLLBACK is not allowed",
		"/* a\n /* b */ */ -- c\nbegin":       ":3: BEGIN is not allowed",

		"select 'a''b', E'it\\'s', U&'x', $$y$$, $t$z$t$;\nend":                                                                      ":2: END is not allowed",
		"select \"begin\" from b;\ncommit":                                                                                           ":2: COMMIT is not allowed",
		"create function f() returns int begin atomic select case when true then 1 end; end;\nend":                                   ":2: END is not allowed",
		"create function f() returns int language sql begin atomic select 2 as case; end;\ncommit":                                   ":2: COMMIT is not allowed",
		"create function f() returns int language sql begin atomic select 2 case; end;\ncommit":                                      ":2: COMMIT is not allowed",
		"create function f() returns int language sql begin atomic select 1 end; end;\ncommit":                                       ":2: COMMIT is not allowed",
		"create function begin() returns int language sql as 'select 1';\ncommit":                                                    ":2: COMMIT is not allowed",
		"create function f() returns int language sql begin atomic select case when (select 1 end) = 1 then 2 end end; end;\ncommit": ":2: COMMIT is not allowed",
		"select a$b$c; commit; select a$b$c":                                                                                         ":1: COMMIT is not allowed",
		"select 1;\nselect 'it":                                                                                                      ":2: this quote does not end",
		"select 1;\n/* /* */":                                                                                                        ":2: this comment does not end",
		"\nselect $a$ b $c$":                                                                                                         ":2: this $a$ quote does not end",
		"select \"a":                                                                                                                 ":1: this quote does not end",
		"\\connect other":                                                                                                            ":1: psql's backslash commands",
		"copy t (a) from stdin;\n1\n\\.":                                                                                             ":1: COPY … FROM STDIN cannot run here",
	} {
		_, err := migrations.Load(folder(text))
		if err == nil || !strings.Contains(err.Error(), "000001_step.up.sql"+want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// What looks like the end of a transaction, or of the text, and is not, must run, and its version with it.
func TestStatementsThatRun(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"comment without line break": "create table a (); -- the end",
		"no semicolon":               "create table a ()",
		"no semicolon but comment":   "create table a () -- ; the end",
		"block comment":              "create table a () /* begin; */",
		"semicolons":                 "create table a ();;;",
		"strings":                    "create table a (); select 'commit; it''s', e'\\'; commit;', \"x;commit;\" from (select 1 as \"x;commit;\") q",
		"dollar quotes":              "create table a (); do $x$ begin perform $$ commit; $$; end; $x$;",
		"body of a function": "create table a (); create function f(i int) returns int language sql begin atomic select 1; " +
			"select case when i = 1 then 2 else 3 end; end; select f(1);",
		"body of a procedure": "create table a (i int); create or replace procedure p() begin atomic insert into a values (1); end; call p();",
		"labels in a body": "create table a (begin_at int, \"end\" int); create function f() returns int language sql begin atomic " +
			"select 1 as end; select a.end from a; select 2 as case; select 3 case, 4 end; select case when a.end > 1 then (select 5 end) end end from a; end; " +
			"create procedure g() language sql begin atomic end;",
		"functions named begin": "create table a (); create function begin() returns int language sql as 'select 1'; " +
			"create function public.begin(int) returns int language sql begin atomic select 1; end; select 1;",
		"rule with commands": "create table a (); create rule r as on insert to a do also (select 1; select 2);",
		"savepoints":         "create table a (); savepoint s; create table b (); rollback to savepoint s; release s;",
		"prepared statement": "create table a (); prepare q as select 1; execute q; deallocate q",
		"windows line ends":  "create table a ();\r\nselect 1;\r\n",
		"locks and cursors":  "create table a (); lock table a; declare c cursor for select 1; fetch c;",
		"rows of an answer":  "create table a (); select * from generate_series(1, 5000)",
		"time zone text":     "create table a (); select '$1', 1e5, 12.5::numeric, $$$$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			set := load(t, text)
			up(t, set, conn)
			wantTables(t, conn, "a schema_migrations")
			wantStatus(t, set, conn, migrations.Status{State: migrations.Current, Version: 1})
		})
	}
}
