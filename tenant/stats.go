package tenant

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Stats are the statistics of a tenant's database that need no connection to it.
type Stats struct {
	Exists bool
	// SizeBytes is its size on disk.
	SizeBytes int64
	// Connections is how many sessions are in it now.
	Connections int
}

// Stats reads the statistics of a tenant's database.
func (s *Server) Stats(ctx context.Context, id ID) (Stats, error) {
	facts := Stats{Exists: true}
	err := s.maintenance.QueryRow(ctx, `
		select pg_database_size(oid), (select count(*) from pg_stat_activity where datid = pg_database.oid)
		from pg_database
		where datname = $1`, id.Database()).Scan(&facts.SizeBytes, &facts.Connections)
	if errors.Is(err, pgx.ErrNoRows) {
		return Stats{}, nil
	}
	if err != nil {
		return Stats{}, fmt.Errorf("read the statistics of database %s: %w", id.Database(), err)
	}
	return facts, nil
}

// NotificationQueue returns the used share of the server's NOTIFY queue, from 0 to 1. All databases share it: a session
// that listens and stays in a transaction prevents its clean-up, and at 1 every NOTIFY on the server fails.
func (s *Server) NotificationQueue(ctx context.Context) (usage float64, err error) {
	if err := s.maintenance.QueryRow(ctx, "select pg_notification_queue_usage()").Scan(&usage); err != nil {
		return 0, fmt.Errorf("read the notification queue of server %s: %w", s.cfg.Name, err)
	}
	return usage, nil
}
