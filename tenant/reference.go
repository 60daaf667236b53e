package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Reference returns the schema of a tenant at the newest version, read from the template when that was created. It
// creates the template if it does not exist.
func (s *Server) Reference(ctx context.Context) (Schema, error) {
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	s.prepared.Lock()
	defer s.prepared.Unlock()
	return s.reference, nil
}

// majorVersion is the SQL for Postgres's major version.
const majorVersion = "current_setting('server_version_num')::int / 10000"

// Basis returns what a schema's description depends on besides the migrations: the major version of the server's Postgres, which
// prints the definitions, and a hash of the privileges that this program grants in each database.
func (s *Server) Basis(ctx context.Context) (postgres int, granted string, err error) {
	if err := s.maintenance.QueryRow(ctx, "select "+majorVersion).Scan(&postgres); err != nil {
		return 0, "", fmt.Errorf("read Postgres's version: %w", err)
	}
	return postgres, shortHash(fingerprintFormat + grants + RevokeFunctions), nil
}

// readReference reads the schema from the template's comment. It is nil when the template is missing or incomplete,
// was changed, or has another collation version.
func readReference(ctx context.Context, conn *pgx.Conn, name string, from base) (Schema, error) {
	var comment, row string
	err := conn.QueryRow(ctx, `
		select coalesce(shobj_description(oid, 'pg_database'), ''), xmin::text
		from pg_database db
		where datname = $1 and datistemplate and datconnlimit <> -2 and not `+collationChanged, name).Scan(&comment, &row)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read reference of %s: %w", name, err)
	}
	lines := strings.Split(comment, "\n")
	if !from.matchesHeader(lines[0], row) {
		return nil, nil
	}
	return Schema(lines[1:]), nil
}

// writeReference writes the schema to the template's comment. COMMENT takes no parameters, so Postgres itself quotes the literal.
func writeReference(ctx context.Context, conn *pgx.Conn, name string, from base, schema Schema) error {
	var row, statement string
	err := conn.QueryRow(ctx, "select xmin::text from pg_database where datname = $1", name).Scan(&row)
	if err == nil {
		comment := from.header(row) + "\n" + strings.Join(schema, "\n")
		err = conn.QueryRow(ctx, "select format('comment on database %I is %L', $1::text, $2::text)", name, comment).Scan(&statement)
	}
	if err == nil {
		_, err = conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	}
	if err != nil {
		return fmt.Errorf("write reference of %s: %w", name, err)
	}
	return nil
}
