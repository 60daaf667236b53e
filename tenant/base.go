package tenant

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// baseDatabase is the database from which templates are created, if a superuser has created it
// (examples/provisioner.sql). It is empty, and the privileges of [RevokeFunctions] are revoked in it, which our role
// may not do.
const baseDatabase = "homeroom_base"

// RevokeFunctions is the SQL that revokes from PUBLIC the functions with which one tenant could stop the whole server.
// A superuser runs it in a tenant's database whose template was created without it.
//
//go:embed closed.sql
var RevokeFunctions string

// base describes from what templates are created.
type base struct {
	// row is the version (xmin) of the base database's row in pg_database; nil when there is no base database.
	row *string
	// stale says that the collation version has changed since it was created.
	stale bool
	// super says that our role is a superuser, and can run [RevokeFunctions] itself.
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

// name returns the database that a template is cloned from.
func (b base) name() string {
	if b.row != nil {
		return baseDatabase
	}
	return "template0"
}

// header returns the first line of a complete template's comment; the lines of its schema follow. It contains the
// version of the template's row in pg_database, which every ALTER of the template changes, the format of the lines, the
// major version of Postgres, which may print definitions differently, and the base. A template with another header is
// created again.
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

// matchesHeader reports whether the header is valid for a template whose row has this version. A template with revoked
// functions is valid even if our role could not revoke them.
func (b base) matchesHeader(header, row string) bool {
	if want := b.header(row); b.row != nil || b.super {
		return header == want
	}
	prefix, _, _ := strings.Cut(b.header(row), ", closed by ")
	return strings.HasPrefix(header, prefix+", ")
}

// publicFunctions returns the functions of [RevokeFunctions] that PUBLIC may execute in the connection's database.
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
		return nil, fmt.Errorf("list the functions that PUBLIC may run: %w", err)
	}
	return names, nil
}

// revokedFunctions is the condition by which closed.sql selects functions.
var revokedFunctions = between(RevokeFunctions, "'pg_catalog'::regnamespace and ", "\n    loop")

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}
