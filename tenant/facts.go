package tenant

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Facts are what a server tells about a tenant's database without opening it.
type Facts struct {
	Exists bool
	// SizeBytes is its size on disk.
	SizeBytes int64
	// Connections is how many sessions are in it now.
	Connections int
}

// Facts looks at a tenant's database from outside.
func (s *Server) Facts(ctx context.Context, id ID) (Facts, error) {
	facts := Facts{Exists: true}
	err := s.maintenance.QueryRow(ctx, `
		select pg_database_size(oid), (select count(*) from pg_stat_activity where datid = pg_database.oid)
		from pg_database
		where datname = $1`, id.Database()).Scan(&facts.SizeBytes, &facts.Connections)
	if errors.Is(err, pgx.ErrNoRows) {
		return Facts{}, nil
	}
	if err != nil {
		return Facts{}, fmt.Errorf("look at database %s: %w", id.Database(), err)
	}
	return facts, nil
}
