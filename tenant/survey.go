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

// Survey is everything on a server that bears our names.
type Survey struct {
	// Databases and Roles are those with a tenant's name, by it.
	Databases map[string]FoundDatabase
	Roles     map[string]FoundRole
	Templates []FoundTemplate
	Archives  []FoundArchive
	// Shared are the owner's and the group's roles.
	Shared []FoundSharedRole
	// PublicConnect are the other databases that PUBLIC or the tenants' group may enter, and with them every tenant's role.
	PublicConnect []string
}

// FoundDatabase is a database with a tenant's name.
type FoundDatabase struct {
	// MarkedAs is the tenant that its comment names; nil when it has no such comment.
	MarkedAs *ID
	// Ours: the owner role owns it.
	Ours bool
	// Open: it accepts connections. Access: nobody but the tenant's role may connect, and that may do nothing else.
	AcceptsConnections, OnlyTenantConnects bool
	// InUse is the mark that somebody has it, with its holder; empty when it has none. See [Server.MarkInUse].
	InUse string
	// Invalid: its dropping was begun and interrupted.
	Invalid bool
	// Wrong is what else is not as Ensure leaves it, in words: "connection limit 0", "marked as a template", "setting
	// default_transaction_read_only=on". Settings that the template has too are right.
	Problems []string
	// CollationChanged: the system's library sorts text by other rules than when the database was made. Its indexes on text
	// may be wrong until they are rebuilt: REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.
	CollationChanged bool
	// Connections is how many sessions are in it.
	Connections int
}

// FoundRole is a role with a tenant's name.
type FoundRole struct {
	// InOrder: it has the attributes, the membership and the setting that Ensure gives it, and no others. Login: it may log in.
	InOrder, CanLogin bool
	// Wrong is what is not in order, in words: "superuser", "member of pg_read_all_data", "setting work_mem=1GB".
	Problems []string
}

// FoundSharedRole is one of the two roles that all tenants of a server share: the owner and the group.
type FoundSharedRole struct {
	Name string
	// Wrong is what is not as Prepare leaves it, in words, as in [FoundRole]; "is missing" when it is not there.
	Problems []string
}

// FoundTemplate is a database with a template's name.
type FoundTemplate struct {
	Name string
	// Version is the schema version it was made for.
	Version uint
	// Complete: it is marked as a template, bears its reference, and nobody has altered it since. Current: new tenants of this program are cloned from it.
	Complete, Current bool
	// Invalid, CollationChanged, Open and Connections are as in [FoundDatabase]. A complete template is closed, and empty of
	// sessions.
	Invalid, CollationChanged, AcceptsConnections bool
	Connections                                   int
}

// FoundArchive is a tenant's database that was set aside.
type FoundArchive struct {
	Name   string
	Tenant ID
	// At is when it was set aside.
	At time.Time
	// MarkedAs, Ours, Open and Connections are as in [FoundDatabase].
	MarkedAs                 *ID
	Ours, AcceptsConnections bool
	Connections              int
}

var templatePattern = regexp.MustCompile(`^homeroom_template_([0-9]+)_[0-9a-f]{12}$`)

// Survey looks for everything on the server that bears our names, in a few queries whatever the number of tenants. It takes no
// lock: what is being made or changed meanwhile is seen half done.
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

// publicConnect are the databases besides tenants' and templates that every tenant's role may enter.
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
		return nil, fmt.Errorf("look which databases of server %s everybody may enter: %w", s.cfg.Name, err)
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
		&f.name, &f.Invalid, &f.comment, &f.InUse, &f.Ours, &f.AcceptsConnections, &f.OnlyTenantConnects, &f.Problems, &f.template, &f.Connections, &f.row, &f.CollationChanged,
	}
}

// sort puts a database where its name belongs, unless it is none of ours.
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
			Name: found.name, Tenant: id, At: when, MarkedAs: found.MarkedAs, Ours: found.Ours, AcceptsConnections: found.AcceptsConnections, Connections: found.Connections,
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

// markedAs is the tenant that a database's comment names.
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
