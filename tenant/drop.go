package tenant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
)

// DropRole drops the role of a tenant without a database, under the tenant's lock. It fails if the database exists, and
// does nothing if the role does not.
func (s *Server) DropRole(ctx context.Context, id ID) error {
	err := s.locked(ctx, id.String(), func(conn *pgx.Conn) error {
		found, err := s.probe(ctx, conn, id)
		switch {
		case err != nil:
			return err
		case found.database:
			return fmt.Errorf("database %s exists", id.Database())
		case !found.role:
			return nil
		}
		if _, err := conn.Exec(ctx, "drop role "+quoteGenerated(id.Database())); err != nil {
			return err
		}
		killpoint.Here("tenant.role_dropped")
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop role %s: %w", id.Database(), err)
	}
	return nil
}

// DropTemplate drops a template from which this program does not clone new tenants, under its lock. A program of
// another version that still uses it creates it again. It does nothing if there is no such template.
func (s *Server) DropTemplate(ctx context.Context, name string) error {
	if !templatePattern.MatchString(name) {
		return fmt.Errorf("drop template %q: this is not the name of a template", name)
	}
	if name == s.Template() {
		return fmt.Errorf("drop template %s: new tenants are cloned from it", name)
	}
	err := s.locked(ctx, name, func(conn *pgx.Conn) error { return dropTemplate(ctx, conn, name) })
	if err != nil {
		return fmt.Errorf("drop template %s: %w", name, err)
	}
	return nil
}
