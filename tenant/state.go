package tenant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// state is the state of a tenant's database and role on a server.
type state struct {
	database bool
	// invalid says that a DROP DATABASE of it was interrupted. Postgres allows nothing except dropping it again.
	invalid bool
	// marked says that it has the tenant's comment, ours that its owner is the owner role.
	marked, ours bool
	// use is the second line of the comment, if the database is marked as in use.
	use string
	// acceptsConnections is datallowconn. onlyTenantConnects says that the tenant's role alone has CONNECT, and no
	// other privilege.
	acceptsConnections bool
	onlyTenantConnects bool
	// databaseProblems and roleProblems describe what differs from the state after Ensure; see databaseState and roleState.
	databaseProblems []string
	role             bool
	roleProblems     []string
}

// databaseState and roleState select the state of a tenant's database, the row db, and of its role, the row role,
// with its settings, the row settings. The arguments are those of [Server.expected].
const (
	databaseState = `
		coalesce(db.datconnlimit = -2, false),
		coalesce(split_part(shobj_description(db.oid, 'pg_database'), e'\n', 1), ''),
		coalesce(split_part(shobj_description(db.oid, 'pg_database'), e'\n', 2), ''),
		coalesce(pg_get_userbyid(db.datdba) = @owner::text, false),
		coalesce(db.datallowconn, false),
		coalesce((
			select array_agg(pg_get_userbyid(grantee) || ' ' || privilege_type order by privilege_type)
			from aclexplode(coalesce(db.datacl, acldefault('d', db.datdba)))
			where grantee <> db.datdba
		) = array[db.datname || ' CONNECT'], false),
		array(
			select 'connection limit ' || db.datconnlimit where db.datconnlimit not in (-1, -2)
			union all select 'marked as a template' where db.datistemplate
			union all (` + databaseSettings + ` except ` + templateSettings + `)
			union all select 'lacks ' || setting from (` + templateSettings + ` except ` + databaseSettings + `) as lacking (setting)
		)`
	databaseSettings = `
		select 'setting ' || unnest(setconfig) from pg_db_role_setting where setdatabase = db.oid and setrole = 0`
	// templateSettings are the settings that the migrations gave the template: every tenant has them.
	templateSettings = `
		select 'setting ' || unnest(setconfig) from pg_db_role_setting
		where setrole = 0 and setdatabase = (select oid from pg_database where datname = @template::text)`
	roleState = `
		array(
			` + roleAttributes + `
			union all select 'may not log in' where not role.rolcanlogin
			union all select 'does not inherit' where not role.rolinherit
			union all select 'connection limit ' || role.rolconnlimit where role.rolconnlimit <> @connections::int
			union all select 'valid until ' || role.rolvaliduntil where role.rolvaliduntil <> 'infinity'
			union all select 'is no member of ' || @group::text
			where role.oid is not null and not exists (select from pg_auth_members where member = role.oid and roleid = to_regrole(@group::text))
			union all select 'member of ' || pg_get_userbyid(roleid) from pg_auth_members
			where member = role.oid and pg_get_userbyid(roleid) <> @group::text group by roleid
			union all ` + roleGranted + `
			union all select setting from unnest(settings.list) as setting where setting <> 'setting search_path=public'
			union all select 'lacks setting search_path=public'
			where role.oid is not null and 'setting search_path=public' <> all (coalesce(settings.list, '{}'))
		)`
	// roleAttributes are the attributes that no managed role has.
	roleAttributes = `
			select 'superuser' where role.rolsuper
			union all select 'may create databases' where role.rolcreatedb
			union all select 'may create roles' where role.rolcreaterole
			union all select 'may replicate' where role.rolreplication
			union all select 'bypasses row security' where role.rolbypassrls`
	// roleGranted are the members of a tenant's role. From Postgres 16 on, the creator of a role is a member of it.
	roleGranted = `
			select 'granted to ' || pg_get_userbyid(member) from pg_auth_members
			where roleid = role.oid and pg_get_userbyid(member) <> current_user group by member`
	// roleSettings are the settings of all roles, by role; roleState reads them in the row settings. oneRoleSettings are those of
	// one role.
	roleSettings    = "select setrole, " + settingsList + " where setrole <> 0 group by setrole"
	oneRoleSettings = "select " + settingsList + " where setrole = role.oid"
	settingsList    = `
			array_agg('setting ' || setting || coalesce(' in database ' || datname, '')) as list
			from pg_db_role_setting
			cross join unnest(setconfig) as setting
			left join pg_database on pg_database.oid = setdatabase`
	// sharedRoles selects the owner and the group, with the problems of each. The tenants are members of the group, our role is a
	// member of the owner; a tenant's role that is a member of the owner is a problem of that role.
	sharedRoles = `
		select wanted.name, array(
			select 'is missing' where role.oid is null
			union all select 'may log in' where role.rolcanlogin
			union all ` + roleAttributes + `
			union all select 'member of ' || pg_get_userbyid(roleid) from pg_auth_members where member = role.oid group by roleid
			union all select unnest(settings.list)
		)
		from unnest(array[@owner::text, @group::text]) with ordinality as wanted (name, number)
		left join pg_roles role on role.rolname = wanted.name
		left join (` + roleSettings + `) as settings on settings.setrole = role.oid
		order by wanted.number`
	// collationChanged is true if the library's collation version differs from that with which the row db was created.
	collationChanged = `coalesce(db.datcollversion <> coalesce(pg_database_collation_actual_version(db.oid), ''), false)`
)

// expected returns the arguments of databaseState and roleState.
func (s *Server) expected() pgx.NamedArgs {
	return pgx.NamedArgs{"owner": ownerRole, "group": groupRole, "connections": s.cfg.ConnectionLimit, "template": s.Template()}
}

// probe reads the state of a tenant from the server's shared catalogs, in one round trip.
func (s *Server) probe(ctx context.Context, conn *pgx.Conn, id ID) (state, error) {
	var found state
	var comment string
	arguments := s.expected()
	arguments["name"] = id.Database()
	err := conn.QueryRow(ctx, `
		select db.oid is not null, `+databaseState+`, role.oid is not null, `+roleState+`
		from (select @name::text as name) as wanted
		left join pg_database db on db.datname = wanted.name
		left join pg_roles role on role.rolname = wanted.name
		left join lateral (`+oneRoleSettings+`) as settings on true`, arguments).
		Scan(&found.database, &found.invalid, &comment, &found.use, &found.ours, &found.acceptsConnections, &found.onlyTenantConnects, &found.databaseProblems,
			&found.role, &found.roleProblems)
	if err != nil {
		return state{}, fmt.Errorf("read the state of database %s: %w", id.Database(), err)
	}
	found.marked = comment == marker(id)
	return found, nil
}
