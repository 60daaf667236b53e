package tenant_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/internal/postgres"
	"homeroom/tenant"
)

// closedStatements are statements with which a tenant's role could use up, hold or forge what all tenants of a server
// share. They include every form of each function.
var closedStatements = []string{
	"select pg_advisory_lock(1)", "select pg_advisory_lock(1, 2)", "select pg_advisory_lock_shared(1)", "select pg_advisory_lock_shared(1, 2)",
	"select pg_advisory_xact_lock(1)", "select pg_advisory_xact_lock(1, 2)", "select pg_advisory_xact_lock_shared(1)",
	"select pg_advisory_xact_lock_shared(1, 2)", "select pg_try_advisory_lock(1)", "select pg_try_advisory_lock(1, 2)",
	"select pg_try_advisory_lock_shared(1)", "select pg_try_advisory_lock_shared(1, 2)", "select pg_try_advisory_xact_lock(1)",
	"select pg_try_advisory_xact_lock(1, 2)", "select pg_try_advisory_xact_lock_shared(1)", "select pg_try_advisory_xact_lock_shared(1, 2)",
	"select pg_notify('c', 'p')",
	"select lo_creat(-1)", "select lo_create(0)", "select lo_from_bytea(0, 'x')", "select lo_import('/etc/passwd')",
	"select lo_import('/etc/passwd', 1)", "select lo_export(1, '/tmp/x')",
	"select pg_export_snapshot()",
	"select pg_logical_emit_message(false, 'a', 'b')", "select pg_logical_emit_message(true, 'a', '\\x00'::bytea)",
	"select pg_create_restore_point('x')", "select pg_switch_wal()", "select pg_create_physical_replication_slot('x')",
	"select pg_create_logical_replication_slot('x', 'pgoutput')", "select pg_replication_origin_create('x')", "select pg_backup_start('x')",
	"select pg_reload_conf()", "select pg_rotate_logfile()", "select pg_stat_reset()", "select pg_stat_reset_shared('bgwriter')",
	"select pg_read_file('postgresql.conf')", "select pg_ls_dir('.')", "select pg_stat_file('.')",
	"select * from pg_shadow", "select * from pg_authid",
	"copy lunch_weeks to program 'true'", "copy lunch_weeks from program 'true'", "copy lunch_weeks to '/tmp/x'", "copy lunch_weeks from '/tmp/x'",
	"create temporary table x (i int)", "create unlogged table x (i int)", "create table x (i int)", "create schema x",
	"create function x() returns int language sql as 'select 1'", "create or replace function public.lower(text) returns text language sql as 'select 1'",
	"create view x as select 1", "create sequence x", "create type x as (i int)", "create domain x as int", "create cast (int as text) with inout",
	"create language plpython3u", "create language plperl", "create extension dblink", "create extension postgres_fdw", "create extension hstore",
	"create server x foreign data wrapper y", "create event trigger x on ddl_command_end execute function y()",
	"create publication x for all tables", "create role x", "create database x", "create tablespace x location '/tmp'",
	"alter system set work_mem = '1GB'", "set session_replication_role = replica", "set temp_file_limit = -1", "set log_statement = 'none'",
	"set lo_compat_privileges = on", "set role homeroom_owner", "set session authorization postgres",
	"comment on role homeroom_tenant is 'x'", "alter role homeroom_tenant set work_mem = '1GB'", "grant homeroom_owner to current_user",
	"alter role current_user superuser", "alter role current_user createdb", "alter role current_user connection limit -1", "alter role current_user login",
	"checkpoint", "load '$libdir/plpgsql'", "drop table lunch_weeks", "truncate lunch_weeks",
	"begin; lock table pg_catalog.pg_class in share mode", "begin; lock table pg_catalog.pg_database in access exclusive mode",
	"set log_min_messages = 'debug5'", "set max_stack_depth = '100MB'", "create operator = (leftarg = int, rightarg = int, function = int4eq)",
}

// refusal are the codes with which Postgres refuses what nobody may do, or a missing thing after it has checked the
// right.
func refusal(err error) bool {
	return postgres.IsCode(err, "42501", "0A000", "42704", "55000", "42883", "58P01")
}

func TestATenantsRoleMayNotRunDangerousFunctions(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	own := pgtest.Connect(t, server.URL(ensure(t, server), 0).Reveal())
	for _, statement := range closedStatements {
		refusedStatement(t, own, statement)
	}
	exec(t, own, "select pg_advisory_unlock_all()") // as pools send it
	exec(t, own, "discard all")
}

func refusedStatement(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol)
	if err == nil || !refusal(err) {
		t.Errorf("%s: got %v, want a refusal", statement, err)
	}
	exec(t, conn, "rollback")
}

// TestTemplatesAreBuiltFromTheBaseDatabase: our role is not a superuser, and only a superuser may revoke the functions.
func TestTemplatesAreBuiltFromTheBaseDatabase(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role homeroom login createdb createrole password 'secret'")
	server := openAt(t, withUser(t, own.URL("postgres"), "homeroom", "secret"), nil)
	before := ensure(t, server)
	found, err := server.Inspect(t.Context(), before, 0)
	if err != nil || len(found.PublicFunctions) < 20 {
		t.Errorf("without a base: %d public functions, %v", len(found.PublicFunctions), err)
	}
	pgtest.Script(t, own.URL, "../examples/provisioner.sql")
	after := ensure(t, server) // the same process: the template is built again
	conn := pgtest.Connect(t, server.URL(after, 0).Reveal())
	refusedStatement(t, conn, "select pg_advisory_lock(1)")
	if found, err = server.Inspect(t.Context(), after, 0); err != nil || len(found.PublicFunctions) > 0 {
		t.Errorf("with the base: %q are public, %v", found.PublicFunctions, err)
	}
	// In older databases a superuser revokes them.
	exec(t, pgtest.Connect(t, own.URL(before.Database())), tenant.RevokeFunctions)
	if found, err = server.Inspect(t.Context(), before, 0); err != nil || len(found.PublicFunctions) > 0 {
		t.Errorf("revoked later: %q are public, %v", found.PublicFunctions, err)
	}
	// The owner still has them, for migrations, and may grant one to the tenants.
	exec(t, root, "alter role homeroom password 'secret'")
	owner := pgtest.Connect(t, withUser(t, own.URL(after.Database()), "homeroom", "secret"))
	exec(t, owner, "select pg_advisory_lock(1), pg_advisory_unlock(1)")
	exec(t, owner, "set role homeroom_owner; grant execute on function pg_advisory_xact_lock(bigint) to homeroom_tenant")
	exec(t, conn, "select pg_advisory_xact_lock(1)")
}

// TestABaseWithAnOldCollationIsRefreshed: it has no data that is sorted.
func TestABaseWithAnOldCollationIsRefreshed(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role homeroom_owner")
	exec(t, root, "create database homeroom_base owner homeroom_owner template template0 locale_provider icu icu_locale 'en'")
	exec(t, root, "alter database homeroom_base allow_connections false is_template true")
	exec(t, root, "update pg_database set datcollversion = '1.0' where datname = 'homeroom_base'")
	ensure(t, openAt(t, own.URL("postgres"), nil))
}

func TestTheProvisionerScriptRevokesTheSameFunctions(t *testing.T) {
	t.Parallel()
	if !bytes.Contains(read(t, "../examples/provisioner.sql"), []byte(tenant.RevokeFunctions)) {
		t.Error("examples/provisioner.sql does not contain tenant/closed.sql unchanged")
	}
}
