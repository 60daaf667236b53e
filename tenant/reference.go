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

// referenceHeader is the first line of the comment that a complete template bears; the schema's lines follow. A template
// that was described in another way, or by another major version of Postgres, which may print definitions otherwise, is
// made again.
func referenceHeader(major int) string {
	return fmt.Sprintf("homeroom schema %s of Postgres %d", fingerprintFormat, major)
}

// majorVersion is Postgres's, in SQL.
const majorVersion = "current_setting('server_version_num')::int / 10000"

// readReference is the schema that the template bears; nil when it is incomplete, or not there at all.
func readReference(ctx context.Context, conn *pgx.Conn, name string) (Schema, error) {
	var comment string
	var major int
	err := conn.QueryRow(ctx, `
		select coalesce(shobj_description(oid, 'pg_database'), ''), `+majorVersion+`
		from pg_database
		where datname = $1 and datistemplate`, name).Scan(&comment, &major)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read reference of %s: %w", name, err)
	}
	lines := strings.Split(comment, "\n")
	if lines[0] != referenceHeader(major) {
		return nil, nil
	}
	return Schema(lines[1:]), nil
}

// writeReference puts the schema on the template as its comment. A comment takes no parameter, so Postgres itself makes a
// literal of it.
func writeReference(ctx context.Context, conn *pgx.Conn, name string, schema Schema) error {
	var major int
	if err := conn.QueryRow(ctx, "select "+majorVersion).Scan(&major); err != nil {
		return fmt.Errorf("ask for Postgres's version: %w", err)
	}
	var statement string
	comment := referenceHeader(major) + "\n" + strings.Join(schema, "\n")
	err := conn.QueryRow(ctx, "select format('comment on database %I is %L', $1::text, $2::text)", name, comment).Scan(&statement)
	if err == nil {
		_, err = conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	}
	if err != nil {
		return fmt.Errorf("write reference of %s: %w", name, err)
	}
	return nil
}
