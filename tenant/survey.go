package tenant

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Survey lists the databases and roles of a server that have names of Homeroom.
type Survey struct {
	// Databases and Roles are those with a tenant's name, by name.
	Databases map[string]FoundDatabase
	Roles     map[string]FoundRole
	Templates []FoundTemplate
	Archives  []FoundArchive
	// Shared are the owner's and the group's roles.
	Shared []FoundSharedRole
	// PublicConnect are the other databases on which PUBLIC or the tenants' group has CONNECT, and so every tenant's role.
	PublicConnect []string
}

// FoundDatabase is a database with a tenant's name.
type FoundDatabase struct {
	// MarkedAs is the tenant of its comment; nil without such a comment.
	MarkedAs *ID
	// Ours says that the owner role owns it.
	Ours bool
	// AcceptsConnections is datallowconn. OnlyTenantConnects says that the tenant's role alone has CONNECT, and no
	// other privilege.
	AcceptsConnections, OnlyTenantConnects bool
	// InUse is the mark of its holder; empty if it has none. See [Server.MarkInUse].
	InUse string
	// Invalid says that a DROP DATABASE of it was interrupted.
	Invalid bool
	// Problems describe what else differs from the state after Ensure: "connection limit 0", "marked as a template", "setting
	// default_transaction_read_only=on". Settings of the template are expected.
	Problems []string
	// CollationChanged says that the system's library sorts text by other rules than when the database was created. Its
	// indexes on text may be corrupt until they are rebuilt: REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION
	// VERSION.
	CollationChanged bool
	// Connections is how many sessions are in it.
	Connections int
}

// FoundRole is a role with a tenant's name.
type FoundRole struct {
	// InOrder says that it has no problems, CanLogin that it has LOGIN.
	InOrder, CanLogin bool
	// Problems describe what differs from the state after Ensure: "superuser", "member of pg_read_all_data", "setting
	// work_mem=1GB".
	Problems []string
}

// FoundSharedRole is one of the two roles that all tenants of a server share: the owner and the group.
type FoundSharedRole struct {
	Name string
	// Problems are as in [FoundRole], after Prepare; "is missing" when the role does not exist.
	Problems []string
}

// FoundTemplate is a database with a template's name.
type FoundTemplate struct {
	Name string
	// Version is its schema version.
	Version uint
	// Complete says that it is marked as a template, has its reference, and was not altered since; Current, that this
	// program clones new tenants from it.
	Complete, Current bool
	// Invalid, CollationChanged, AcceptsConnections and Connections are as in [FoundDatabase]. A complete template accepts no
	// connections.
	Invalid, CollationChanged, AcceptsConnections bool
	Connections                                   int
}

// FoundArchive is an archived database of a tenant.
type FoundArchive struct {
	Name   string
	Tenant ID
	// At is when it was archived.
	At time.Time
	// MarkedAs, Ours, AcceptsConnections and Connections are as in [FoundDatabase].
	MarkedAs                 *ID
	Ours, AcceptsConnections bool
	Connections              int
}

var templatePattern = regexp.MustCompile(`^homeroom_template_([0-9]+)_[0-9a-f]{12}$`)

// Survey lists all databases and roles with names of Homeroom, in a fixed number of queries. It takes no lock, so it
// may see a part of a concurrent change.
func (s *Server) Survey(ctx context.Context) (Survey, error) {
	survey := Survey{Databases: map[string]FoundDatabase{}, Roles: map[string]FoundRole{}}
	conn, err := s.maintenance.Acquire(ctx)
	if err != nil {
		return Survey{}, fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	from, err := inspectBase(ctx, conn.Conn())
	conn.Release()
	if err != nil {
		return Survey{}, fmt.Errorf("survey server %s: %w", s.cfg.Name, err)
	}
	rows, err := s.maintenance.Query(ctx, `
		select db.datname::text, `+databaseState+`, db.datistemplate, coalesce(sessions.count, 0), db.xmin::text, `+collationChanged+`
		from pg_database db
		left join (select datid, count(*) from pg_stat_activity group by datid) as sessions on sessions.datid = db.oid
		where db.datname ~ '^(t_|homeroom_template_)'`, s.expected())
	if err == nil {
		var found databaseRow
		_, err = pgx.ForEachRow(rows, found.targets(), func() error {
			s.classify(found, from, &survey)
			found.Problems = nil // the next row must not be read into the same array
			return nil
		})
	}
	if err != nil {
		return Survey{}, fmt.Errorf("survey databases of server %s: %w", s.cfg.Name, err)
	}
	if err := s.surveyRoles(ctx, &survey); err != nil {
		return Survey{}, fmt.Errorf("survey roles of server %s: %w", s.cfg.Name, err)
	}
	survey.PublicConnect, err = s.publicConnect(ctx)
	return survey, err
}

func (s *Server) surveyRoles(ctx context.Context, survey *Survey) error {
	rows, err := s.maintenance.Query(ctx, `
		select role.rolname::text, role.rolcanlogin, `+roleState+`
		from pg_roles role
		left join (`+roleSettings+`) as settings on settings.setrole = role.oid
		where role.rolname ~ '^t_'`, s.expected())
	if err != nil {
		return err
	}
	var name string
	var role FoundRole
	_, err = pgx.ForEachRow(rows, []any{&name, &role.CanLogin, &role.Problems}, func() error {
		if databasePattern.MatchString(name) {
			role.InOrder = len(role.Problems) == 0
			survey.Roles[name] = role
		}
		role.Problems = nil
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = s.maintenance.Query(ctx, sharedRoles, s.expected())
	if err == nil {
		survey.Shared, err = pgx.CollectRows(rows, pgx.RowToStructByPos[FoundSharedRole])
	}
	return err
}

// publicConnect returns the databases besides tenants' and templates on which every tenant's role has CONNECT.
func (s *Server) publicConnect(ctx context.Context) ([]string, error) {
	rows, err := s.maintenance.Query(ctx, `
		select datname::text from pg_database
		where datallowconn and datname !~ '^(t_|homeroom_template_)' and coalesce(has_database_privilege(to_regrole($1)::oid, oid, 'connect'),
			has_database_privilege('public', oid, 'connect'))
		order by datname`, groupRole)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("list the databases of server %s on which PUBLIC has CONNECT: %w", s.cfg.Name, err)
	}
	return names, nil
}

// databaseRow is a row of the survey.
type databaseRow struct {
	FoundDatabase
	name, comment, row string
	template           bool
}

func (f *databaseRow) targets() []any {
	return []any{
		&f.name, &f.Invalid, &f.comment, &f.InUse, &f.Ours, &f.AcceptsConnections, &f.OnlyTenantConnects,
		&f.Problems, &f.template, &f.Connections, &f.row, &f.CollationChanged,
	}
}

// classify adds a database to the survey by the form of its name. Other names are ignored.
func (s *Server) classify(found databaseRow, from base, survey *Survey) {
	found.MarkedAs = markedAs(found.comment)
	template := templatePattern.FindStringSubmatch(found.name)
	switch {
	case databasePattern.MatchString(found.name):
		survey.Databases[found.name] = found.FoundDatabase
	case archivePattern.MatchString(found.name):
		database, at, _ := strings.Cut(found.name, "_kept_")
		id, _ := ParseDatabase(database)
		when, _ := time.Parse("20060102150405", at)
		survey.Archives = append(survey.Archives, FoundArchive{
			Name: found.name, Tenant: id, At: when, MarkedAs: found.MarkedAs,
			Ours: found.Ours, AcceptsConnections: found.AcceptsConnections, Connections: found.Connections,
		})
	case template != nil:
		version, _ := strconv.ParseUint(template[1], 10, 0)
		survey.Templates = append(survey.Templates, FoundTemplate{
			Name: found.name, Version: uint(version), Current: found.name == s.Template(),
			Complete: found.template && from.matchesHeader(found.comment, found.row),
			Invalid:  found.Invalid, CollationChanged: found.CollationChanged, AcceptsConnections: found.AcceptsConnections, Connections: found.Connections,
		})
	}
}

// markedAs returns the tenant in a database's comment; nil without one.
func markedAs(comment string) *ID {
	text, ok := strings.CutPrefix(comment, markerPrefix)
	if !ok {
		return nil
	}
	parsed, err := uuid.Parse(text)
	if err != nil {
		return nil
	}
	id := ID(parsed)
	return &id
}
