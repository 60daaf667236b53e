package tenant

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// baseDatabase is the database that templates are built from, where a superuser has made it (examples/provisioner.sql): an empty
// one without the functions that [RevokeFunctions] takes from PUBLIC, which we may not take away.
const baseDatabase = "homeroom_base"

// RevokeFunctions is the SQL that takes from PUBLIC the functions with which one tenant could stop all. A superuser runs it in a
// tenant's database that was made from a template that still has them.
//
//go:embed closed.sql
var RevokeFunctions string

// base is what templates are built from.
type base struct {
	// row is the version of the base database's row in pg_database, which every change of it changes; nil when there is none.
	row *string
	// stale: the rules for sorting text have changed since it was made.
	stale bool
	// super: we are a superuser, and can close the functions ourselves.
	super bool
	major int
}

func inspectBase(ctx context.Context, conn *pgx.Conn) (b base, err error) {
	err = conn.QueryRow(ctx, `
		select db.xmin::text, `+collationChanged+`, (select rolsuper from pg_roles where rolname = session_user), `+majorVersion+`
		from (values (1)) as one
		left join pg_database db on datname = $1 and datistemplate and not datallowconn`, baseDatabase).
		Scan(&b.row, &b.stale, &b.super, &b.major)
	if err != nil {
		return base{}, fmt.Errorf("look for database %s: %w", baseDatabase, err)
	}
	return b, nil
}

// name is the database that a template is cloned from.
func (b base) name() string {
	if b.row != nil {
		return baseDatabase
	}
	return "template0"
}

// header is the first line of the comment that a complete template bears; the schema's lines follow. It names the version of the
// template's own row in pg_database: whoever opens the template to change it, or alters it otherwise, makes another. A template
// that was described in another way, by another major version of Postgres, which may print definitions otherwise, or from
// another base, is made again too.
func (b base) header(row string) string {
	from := "an open server"
	switch {
	case b.row != nil:
		from = baseDatabase + " " + *b.row
	case b.super:
		from = "a superuser"
	}
	return fmt.Sprintf("homeroom schema %s of Postgres %d, row %s, closed by %s", fingerprintFormat, b.major, row, from)
}

// completes tells whether a template whose row has this version may bear this header. One that was closed is as good as one that
// we could not close.
func (b base) matchesHeader(header, row string) bool {
	if want := b.header(row); b.row != nil || b.super {
		return header == want
	}
	prefix, _, _ := strings.Cut(b.header(row), ", closed by ")
	return strings.HasPrefix(header, prefix+", ")
}

// publicFunctions are the functions of [RevokeFunctions] that everybody may run in the connection's database.
func publicFunctions(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		select oid::regprocedure::text from pg_proc
		where pronamespace = 'pg_catalog'::regnamespace and has_function_privilege('public', oid, 'execute') and `+revokedFunctions+`
		order by 1`)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("look which functions everybody may run: %w", err)
	}
	return names, nil
}

// revokedFunctions is the condition by which closed.sql chooses functions.
var revokedFunctions = between(RevokeFunctions, "'pg_catalog'::regnamespace and ", "\n    loop")

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}
