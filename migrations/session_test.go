package migrations_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// param returns a URL with a setting with which its connections begin.
func param(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// Each file runs in a new session, as if the files ran on different days.
func TestEachFileHasASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	const leave = `create temp table ids as select 1 as id; prepare q as select 1; listen news; select pg_advisory_lock(42);
		declare c cursor with hold for select 1; set session characteristics as transaction read only; set lock_timeout = 0;
		select set_config('search_path', '', false), set_config('app.x', 'y', false); create sequence public.%; select nextval('public.%');`
	const none = `do $$ declare n int; begin
		select count(*) into n from pg_prepared_statements; assert n = 0, 'prepared statements';
		select count(*) into n from pg_cursors; assert n = 0, 'cursors';
		select count(*) into n from pg_listening_channels(); assert n = 0, 'channels';
		select count(*) into n from pg_locks where locktype = 'advisory' and objid = 42 and pid = pg_backend_pid(); assert n = 0, 'locks';
		assert current_setting('app.x', true) is null, 'custom settings';
		assert current_setting('lock_timeout') = '7s', 'settings';
		assert current_setting('search_path') = '"$user", public', 'path';
	end $$;`
	conn := connect(t, param(t, pgtest.Database(t), "lock_timeout", "7s"))
	up(t, load(t, strings.ReplaceAll(leave, "%", "s1"), none+strings.ReplaceAll(leave, "%", "s2"), none), conn)
	wantStatus(t, load(t, "", "", ""), conn, migrations.Status{State: migrations.Current, Version: 3})
	wantNoLocks(t, connect(t, conn.Config().ConnString()))
}

// What is created there would end with the session, and the next file would start again.
func TestASearchPathOfTemporaryTablesIsRefused(t *testing.T) {
	t.Parallel()
	conn := connect(t, param(t, pgtest.Database(t), "search_path", "pg_temp"))
	for _, set := range []*migrations.Set{load(t, "create table a ()"), load(t, "create table a ()", "create table b ()")} {
		if _, err := set.Up(t.Context(), conn); !errors.Is(err, migrations.ErrNoSchema) || !strings.Contains(err.Error(), "pg_temp") {
			t.Errorf("got %v, want to be told about pg_temp", err)
		}
		if _, err := set.Status(t.Context(), conn); !errors.Is(err, migrations.ErrNoSchema) {
			t.Errorf("status: %v", err)
		}
	}
}

func TestAVersionThatIsTakenBackEndsTheRun(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	up(t, load(t, "create table a ()"), conn)
	exec(t, conn, `create function nothing() returns trigger language plpgsql as 'begin return null; end';
		create trigger t before insert or update on schema_migrations for each row execute function nothing()`)
	result, err := load(t, "create table a ()", "create table if not exists b ()", "create table c ()").Up(t.Context(), conn)
	if err == nil || !strings.Contains(err.Error(), "000002_step.up.sql was run a moment ago") || len(result.Applied) != 1 {
		t.Errorf("%+v, %v; want to be told of the version that is gone", result, err)
	}
}

// However a file has changed its role, the version row and later files belong to the connection's role.
func TestARoleEndsWithItsFile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"role":                          "set role none",
		"session authorization":         "set session authorization pg_monitor",
		"session authorization default": "set session authorization default",
		"role by a function":            "select set_config('role', 'none', false)",
		"role by a block":               "do $$ begin set role none; end $$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pgtest.Database(t)
			const role = "pg_read_all_stats" // One that every server has, so that none needs to be made.
			exec(t, connect(t, address), "grant create on schema public to pg_monitor, "+role)
			conn := connect(t, param(t, address, "role", role))
			set := load(t, change+"; create table public.made_by_another ()", "create table after ()")
			if _, err := set.UpTo(t.Context(), conn, 1); err != nil {
				t.Fatal(err)
			}
			up(t, set, conn)
			owners := `select string_agg(distinct relowner::regrole::text, ' ') from pg_class
				where relname in ('schema_migrations', 'after')`
			if got := ask(t, conn, owners); got != role {
				t.Errorf("owners = %q, want the connection's role %q", got, role)
			}
		})
	}
}

// The server, not our parser, decides whether the transaction has ended. Here the server reads strings in another way
// than the parser.
func TestAFileThatEndsItsOwnTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, tables, stays string
		line                int
		committed           bool
	}{
		"commits": {
			"create table b ();\nselect '\\'';\ncommit; create table c (); --'", "a b schema_migrations", "the changes before that stay", 3, true,
		},
		"commits and fails": {
			"create table b ();\nselect '\\''; commit; create table c (); select 1/0; --'", "a b schema_migrations", "It then failed: ERROR: division by zero", 2, true,
		},
		"commits and begins": {
			"create table b (); select '\\''; commit; begin; create table c (); --'", "a b schema_migrations", "the changes before that stay", 1, true,
		},
		"ends": {
			"create table b (); select '\\''; end; create table c (); --'", "a b schema_migrations", "the changes before that stay", 0, true,
		},
		"rolls back": {
			"create table b (); select '\\''; rollback; create table c (); --'", "a schema_migrations", "nothing of it stays", 1, false,
		},
		"rolls back and chains": {
			"create table b (); select '\\''; rollback and chain; create table c (); --'", "a schema_migrations", "nothing of it stays", 1, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pgtest.Database(t)
			conn := connect(t, address)
			up(t, load(t, "create table a ()"), conn)
			_, err := load(t, "create table a ()", c.text).Up(t.Context(), connect(t, param(t, address, "standard_conforming_strings", "off")))
			var failure *migrations.Error
			if !errors.As(err, &failure) || failure.Committed != c.committed || failure.Line != c.line || failure.File != "000002_step.up.sql" ||
				!strings.Contains(err.Error(), c.stays) || !strings.Contains(err.Error(), "ends its own transaction") {
				t.Errorf("%+v", err)
			}
			wantTables(t, conn, c.tables)
			wantStatus(t, load(t, "", ""), conn, migrations.Status{State: migrations.Behind, Version: 1})
			wantNoLocks(t, conn)
		})
	}
}

// SET TRANSACTION must come first in a transaction, also before our own statements.
func TestAFileThatSetsItsTransaction(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	const level = "set lock_timeout = 0; /* ä */ set transaction isolation level serializable"
	up(t, load(t, level, level+"; create table a as select current_setting('transaction_isolation') as level",
		level+" -- for all\n;create table b ()", "set transaction_isolation = serializable; create table c ()"), conn)
	if got := ask(t, conn, "select level from a"); got != "serializable" {
		t.Errorf("the file ran %s", got)
	}
	_, err := load(t, "", "", "", "", level+";\nselect 1;\nselect x from b").Up(t.Context(), conn)
	var failure *migrations.Error
	if !errors.As(err, &failure) || failure.Line != 3 || failure.Statement != "select x from b" {
		t.Errorf("%+v", err)
	}
	_, err = load(t, "", "", "", "", level+";\nselect 1 / (select count(*) from b)").Up(t.Context(), conn)
	if !errors.As(err, &failure) || failure.Line != 2 {
		t.Errorf("%+v", err)
	}
}

func TestAFileThatTouchesTheVersionTable(t *testing.T) {
	t.Parallel()
	const reserved = "schema_migrations and its schema are reserved"
	for name, c := range map[string]struct {
		files  []string
		line   int
		code   string
		before string
	}{
		"brings Rails' own": {[]string{"create table a ();\ncreate table public.schema_migrations (version character varying not null)"}, 2, "42703", ""},
		"drops the schema":  {[]string{"create table a ()", "select 1;\ndrop schema public cascade;\ncreate schema public"}, 2, "42P01", "a schema_migrations"},
		"drops its schema and makes none": {
			[]string{"create table a ()", "drop schema public cascade"}, 1, "42P01", "a schema_migrations",
		},
		"drops it in a block":      {[]string{"create table a ()", "do $$ begin drop table schema_migrations; end $$"}, 0, "42P01", "a schema_migrations"},
		"makes itself read only":   {[]string{"set transaction read only"}, 0, "25006", ""},
		"renames it with the name": {[]string{"create table a ()", "select 1;\n\nalter table \"schema_migrations\" rename to x"}, 3, "42P01", "a schema_migrations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := newDatabase(t)
			_, err := load(t, c.files...).Up(t.Context(), conn)
			var failure *migrations.Error
			var cause *pgconn.PgError
			if !errors.As(err, &failure) || !errors.As(err, &cause) || failure.Line != c.line || cause.Code != c.code || !strings.Contains(err.Error(), reserved) {
				t.Errorf("%+v", err)
			}
			wantTables(t, conn, c.before)
		})
	}
	t.Run("waits in vain for it", func(t *testing.T) {
		t.Parallel()
		conn := newDatabase(t)
		up(t, load(t, "create table a ()"), conn)
		other := connect(t, conn.Config().ConnString())
		tx, err := other.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), "lock table schema_migrations in share mode", pgx.QueryExecModeSimpleProtocol)
		must(t, err)
		_, err = load(t, "create table a ()", "set local lock_timeout = '1ms'").Up(t.Context(), conn)
		var cause *pgconn.PgError
		if !errors.As(err, &cause) || cause.Code != "55P03" || strings.Contains(err.Error(), reserved) {
			t.Errorf("%+v", err)
		}
	})
}
