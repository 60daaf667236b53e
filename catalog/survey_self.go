package catalog

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/migrations"
)

// SurveyedServer is what an auditor needs of a [Server].
type SurveyedServer struct {
	Name   string
	Weight int
	// ClosedBecause is why it has been closed for more than a day; nil if it is open, or was closed later.
	ClosedBecause *string
	// Open says that databases are created on it.
	Open bool
	// Spares is how many spares it has, finished or not. Stable says that nothing about its tenants has changed for
	// five minutes.
	Spares int
	Stable bool
}

// SurveyedRun is a paused fleet run in which nothing has happened for more than a day.
type SurveyedRun struct {
	ID        string
	Since     time.Time
	ChangedBy string
}

// MissingObject is an object of the catalog's migrations that does not exist any more.
type MissingObject struct {
	// Kind is index, trigger or constraint.
	Kind, Name string
	// SQL creates it again; empty if that needs more than one statement.
	SQL string
}

// Self is what an auditor needs of the catalog's own database.
type Self struct {
	// Database is its name.
	Database string
	Servers  []SurveyedServer
	Paused   []SurveyedRun
	Missing  []MissingObject
	// ReadableBy are the roles besides its owner that may read its tables and of which every tenant is a member:
	// PUBLIC, and homeroom_tenant.
	ReadableBy []string
}

const surveyServers = `
	select name, weight,
		case when closed_at < now() - interval '1 day' then closed_because end as closed_because,
		weight > 0 and closed_because is null and (capacity is null
			or capacity > (select count(*) from tenants where server = servers.name and state <> 'deleted')) as open,
		(select count(*) from tenants where server = servers.name and tenants.name is null and state in ('spare', 'building')) as spares,
		not exists (select from tenants where server = servers.name and updated_at > now() - interval '5 minutes') as stable
	from servers
	order by name`

const surveyPaused = `
	select id::text, since, coalesce(changed_by, started_by) as changed_by
	from migration_runs, lateral (
		select greatest(started_at, max(finished_at)) as since from migration_outcomes where run_id = migration_runs.id
	) as last
	where state = 'paused' and since < now() - interval '1 day'`

const surveyReaders = `
	select distinct case grantee when 0 then 'PUBLIC' else pg_get_userbyid(grantee)::text end
	from pg_class, aclexplode(relacl)
	where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm') and privilege_type = 'SELECT'
		and (grantee = 0 or pg_get_userbyid(grantee) = 'homeroom_tenant')
	order by 1`

const surveyObjects = `
	select relname::text from pg_class join pg_index on indexrelid = pg_class.oid
	where relnamespace = current_schema()::regnamespace and indisvalid
	union all
	select tgname::text from pg_trigger join pg_class on pg_class.oid = tgrelid
	where relnamespace = current_schema()::regnamespace and tgenabled <> 'D'
	union all
	select conname::text from pg_constraint where connamespace = current_schema()::regnamespace`

// surveySelf checks the catalog's own database.
func surveySelf(ctx context.Context, tx pgx.Tx) (self Self, err error) {
	if err = tx.QueryRow(ctx, "select current_database()").Scan(&self.Database); err != nil {
		return self, err
	}
	if self.Servers, err = many[SurveyedServer](ctx, tx, surveyServers); err != nil {
		return self, err
	}
	if self.Paused, err = many[SurveyedRun](ctx, tx, surveyPaused); err != nil {
		return self, err
	}
	rows, err := tx.Query(ctx, surveyReaders)
	if err == nil {
		self.ReadableBy, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return self, err
	}
	rows, err = tx.Query(ctx, surveyObjects)
	if err != nil {
		return self, err
	}
	exists, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return self, err
	}
	expected := ExpectedObjects()
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		if !slices.Contains(exists, name) {
			self.Missing = append(self.Missing, expected[name])
		}
	}
	return self, nil
}

var (
	sqlComment = regexp.MustCompile(`--[^\n]*`)
	// createdObject and droppedObject match how the catalog's migrations create and drop named objects.
	createdObject = regexp.MustCompile(`(?i)\bcreate\s+(?:unique\s+)?(index|trigger)\s+(\w+)\b[^;]*|\b(constraint)\s+(\w+)\s+(?:check|references|unique|primary|foreign|exclude)`)
	droppedObject = regexp.MustCompile(`(?i)\bdrop\s+(?:index|trigger|constraint)\s+(?:if\s+exists\s+)?(\w+)`)
)

// ExpectedObjects returns the named indexes, triggers and constraints of the catalog's migrations, by name.
func ExpectedObjects() map[string]MissingObject {
	objects := map[string]MissingObject{}
	for _, file := range migrations.Catalog().Files() {
		text := sqlComment.ReplaceAllString(file.SQL(), "")
		for _, match := range droppedObject.FindAllStringSubmatch(text, -1) {
			delete(objects, match[1])
		}
		for _, match := range createdObject.FindAllStringSubmatch(text, -1) {
			if match[3] != "" {
				objects[match[4]] = MissingObject{Kind: "constraint", Name: match[4]}
			} else {
				objects[match[2]] = MissingObject{Kind: strings.ToLower(match[1]), Name: match[2], SQL: strings.Join(strings.Fields(match[0]), " ")}
			}
		}
	}
	return objects
}
