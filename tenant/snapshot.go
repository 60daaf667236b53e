package tenant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/migrations"
)

// Snapshot reads the schema of a tenant's database, and its version. It takes no lock and changes nothing. It fails
// for a database whose version is dirty or unknown.
func (s *Server) Snapshot(ctx context.Context, id ID) (Schema, uint, error) {
	var schema Schema
	var version uint
	err := s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) error {
		status, err := s.cfg.Migrations.Status(ctx, conn)
		if err != nil {
			return err
		}
		if status.State == migrations.Dirty || status.State == migrations.Unknown {
			return fmt.Errorf("the database is %s at version %d", status.State, status.Version)
		}
		version = status.Version
		schema, err = describe(ctx, conn)
		return err
	})
	return schema, version, err
}
