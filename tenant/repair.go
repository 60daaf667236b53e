package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// UnrepairedError lists the problems of a tenant, or of the shared roles, that a repair has left: our role lacks the privileges.
type UnrepairedError struct {
	// Problems are as in [FoundRole] and [FoundDatabase].
	Problems []string
	// Statements are the SQL that a superuser runs.
	Statements []string
}

// Error implements error.
func (e *UnrepairedError) Error() string {
	return fmt.Sprintf("our role may not repair this: %s; as a superuser, run: %s", strings.Join(e.Problems, ", "), strings.Join(e.Statements, "; "))
}

// The statements that repair the problems of roleState, databaseState and sharedRoles.
const (
	attributeRepairs = `
			select format('alter role %I nosuperuser', role.rolname) where role.rolsuper
			union all select format('alter role %I nocreatedb', role.rolname) where role.rolcreatedb
			union all select format('alter role %I nocreaterole', role.rolname) where role.rolcreaterole
			union all select format('alter role %I noreplication', role.rolname) where role.rolreplication
			union all select format('alter role %I nobypassrls', role.rolname) where role.rolbypassrls
			union all select format('alter role %I in database %I reset all', role.rolname, datname)
			from pg_db_role_setting join pg_database on pg_database.oid = setdatabase where setrole = role.oid`
	roleRepairs = attributeRepairs + `
			union all select format('alter role %I login', role.rolname) where not role.rolcanlogin
			union all select format('alter role %I inherit', role.rolname) where not role.rolinherit
			union all select format('alter role %I connection limit %s', role.rolname, @connections::int) where role.rolconnlimit <> @connections::int
			union all select format('alter role %I valid until ''infinity''', role.rolname) where role.rolvaliduntil <> 'infinity'
			union all select format('alter role %I reset all; alter role %1$I set search_path = public', role.rolname)
			where coalesce((select setconfig from pg_db_role_setting where setrole = role.oid and setdatabase = 0), '{}') <> '{search_path=public}'
			union all select format('revoke %I from %I', pg_get_userbyid(roleid), role.rolname)
			from pg_auth_members where member = role.oid and pg_get_userbyid(roleid) <> @group::text group by roleid
			union all select format('grant %I to %I', @group::text, role.rolname)
			where not exists (select from pg_auth_members where member = role.oid and roleid = to_regrole(@group::text))
			union all select format('revoke %I from %I', role.rolname, pg_get_userbyid(member))
			from pg_auth_members where roleid = role.oid and pg_get_userbyid(member) <> current_user group by member`
	// A setting is passed as set_config takes it, since ALTER DATABASE would take a list of names for one name.
	databaseRepairs = `
			select format('alter database %I connection limit -1', db.datname) where db.datconnlimit not in (-1, -2)
			union all select format('alter database %I is_template false', db.datname) where db.datistemplate
			union all select format('alter database %I reset all', db.datname) where exists (` + databaseSettings + ` except ` + templateSettings + `)
			union all select format('select set_config(%L, %L, true); alter database %I set %1$I from current',
				split_part(setting, '=', 1), substr(setting, position('=' in setting) + 1), db.datname)
			from pg_db_role_setting, unnest(setconfig) as setting
			where setrole = 0 and setdatabase = (select oid from pg_database where datname = @template::text)
				and array(` + databaseSettings + ` order by 1) <> array(` + templateSettings + ` order by 1)`
	sharedRepairs = attributeRepairs + `
			union all select format('alter role %I nologin', role.rolname) where role.rolcanlogin
			union all select format('alter role %I reset all', role.rolname)
			where exists (select from pg_db_role_setting where setrole = role.oid and setdatabase = 0)
			union all select format('revoke %I from %I', pg_get_userbyid(roleid), role.rolname)
			from pg_auth_members where member = role.oid group by roleid`
)

// repair repairs a tenant's role and database, each statement alone: one that our role may not run does not stop the
// others. verifyRepair finds the remaining problems.
func (s *Server) repair(ctx context.Context, conn *pgx.Conn, id ID) error {
	statements, err := s.repairStatements(ctx, conn, id)
	if err != nil {
		return err
	}
	return runPermitted(ctx, conn, statements)
}

// repairStatements returns the statements that repair a tenant's role and database.
func (s *Server) repairStatements(ctx context.Context, conn *pgx.Conn, id ID) ([]string, error) {
	arguments := s.expected()
	arguments["name"] = id.Database()
	statements, err := texts(ctx, conn, `
		select remedy from pg_roles role, lateral (`+roleRepairs+`) as remedies (remedy) where role.rolname = @name::text
		union all
		select remedy from pg_database db, lateral (`+databaseRepairs+`) as remedies (remedy) where db.datname = @name::text`, arguments)
	if err != nil {
		return nil, fmt.Errorf("read how to repair %s: %w", id.Database(), err)
	}
	return statements, nil
}

// runPermitted runs statements, and skips those that our role may not run.
func runPermitted(ctx context.Context, conn *pgx.Conn, statements []string) error {
	for _, statement := range statements {
		_, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
		if err != nil && !postgres.IsCode(err, "42501") { // insufficient_privilege
			return fmt.Errorf("%s: %w", statement, err)
		}
		killpoint.Here("tenant.restored")
	}
	return nil
}

// verifyRepair checks a tenant after a repair. It fails with an *UnrepairedError for the problems that are left.
func (s *Server) verifyRepair(ctx context.Context, conn *pgx.Conn, id ID, rotation int) error {
	found, err := s.probe(ctx, conn, id)
	if err != nil {
		return err
	}
	left, err := s.repairStatements(ctx, conn, id)
	if err != nil {
		return err
	}
	if what := slices.Concat(found.databaseProblems, found.roleProblems); len(what) > 0 {
		return &UnrepairedError{Problems: what, Statements: left}
	}
	if !found.onlyTenantConnects || !found.acceptsConnections || !found.marked {
		return errors.New("CONNECT on it was changed again meanwhile")
	}
	if err := s.login(ctx, id, rotation); postgres.IsCode(err, "28P01") { // invalid_password
		return fmt.Errorf("its role still cannot connect with the derived password: %w", err)
	}
	return nil
}

// RepairShared repairs the roles that all tenants share, and creates them and the template if they are missing. It
// fails with an *UnrepairedError for what our role may not change.
func (s *Server) RepairShared(ctx context.Context) error {
	s.invalidate()
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	return s.locked(ctx, "server", func(conn *pgx.Conn) error { return s.repairSharedRoles(ctx, conn) })
}

// repairSharedRoles repairs the problems that sharedRoles finds.
func (s *Server) repairSharedRoles(ctx context.Context, conn *pgx.Conn) error {
	remedies := func() ([]string, error) {
		return texts(ctx, conn, `
			select remedy from pg_roles role, lateral (`+sharedRepairs+`) as remedies (remedy)
			where role.rolname in (@owner::text, @group::text)`, s.expected())
	}
	statements, err := remedies()
	if err != nil || len(statements) == 0 {
		return err
	}
	if err := runPermitted(ctx, conn, statements); err != nil {
		return err
	}
	if statements, err = remedies(); err != nil || len(statements) == 0 {
		return err
	}
	what, err := texts(ctx, conn, "select name || ': ' || unnest(wrong) from ("+sharedRoles+") as shared (name, wrong)", s.expected())
	if err != nil {
		return err
	}
	return &UnrepairedError{Problems: what, Statements: statements}
}

// texts returns the rows of a query with one column.
func texts(ctx context.Context, conn *pgx.Conn, query string, arguments pgx.NamedArgs) ([]string, error) {
	rows, err := conn.Query(ctx, query, arguments)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
