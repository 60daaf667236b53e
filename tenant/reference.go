package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Reference is the schema that a tenant at the newest version has, as the template was described when it was made. It makes
// the template when it is not there.
func (s *Server) Reference(ctx context.Context) (Schema, error) {
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	s.prepared.Lock()
	defer s.prepared.Unlock()
	return s.reference, nil
}

// majorVersion is Postgres's, in SQL.
const majorVersion = "current_setting('server_version_num')::int / 10000"

// Basis is what a description of a schema depends on besides the files: the major version of the server's Postgres, which
// prints it, and a hash of the rights that this program gives in each database.
func (s *Server) Basis(ctx context.Context) (postgres int, granted string, err error) {
	if err := s.maintenance.QueryRow(ctx, "select "+majorVersion).Scan(&postgres); err != nil {
		return 0, "", fmt.Errorf("ask for Postgres's version: %w", err)
	}
	return postgres, shortHash(fingerprintFormat + grants + RevokeFunctions), nil
}

// readReference is the schema that the template bears; nil when it is incomplete, was changed, sorts text by rules that have
// changed since, or is not there at all.
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

// writeReference puts the schema on the template as its comment. A comment takes no parameter, so Postgres itself makes a
// literal of it.
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
