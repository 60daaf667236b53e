package tenant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Renamed finds the databases whose comment says that they are a tenant's, and that bear neither its name nor that of one that
// was set aside: somebody has renamed them. Their data is still there.
func (s *Server) Renamed(ctx context.Context) (map[ID]string, error) {
	rows, err := s.maintenance.Query(ctx, `
		select datname::text, shobj_description(oid, 'pg_database')
		from pg_database
		where shobj_description(oid, 'pg_database') like $1 || '%'`, markerPrefix)
	if err != nil {
		return nil, fmt.Errorf("look for renamed databases on server %s: %w", s.cfg.Name, err)
	}
	renamed := map[ID]string{}
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		_, notTenants := ParseDatabase(name)
		if id := markedAs(comment); id != nil && notTenants != nil && !keptPattern.MatchString(name) {
			renamed[*id] = name
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for renamed databases on server %s: %w", s.cfg.Name, err)
	}
	return renamed, nil
}

// NotificationQueue is how full the server's queue of NOTIFY is, from 0 to 1. All databases of a server share it: one session
// that has listened and then stays in a transaction keeps it from being emptied, and at 1 every NOTIFY on the server fails.
func (s *Server) NotificationQueue(ctx context.Context) (usage float64, err error) {
	if err := s.maintenance.QueryRow(ctx, "select pg_notification_queue_usage()").Scan(&usage); err != nil {
		return 0, fmt.Errorf("look at the notification queue of server %s: %w", s.cfg.Name, err)
	}
	return usage, nil
}

// SchemaOwner is the role that owns the schema public of a tenant's database; empty when the schema was dropped.
func (s *Server) SchemaOwner(ctx context.Context, id ID) (owner string, err error) {
	err = s.inside(ctx, id, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `
			select coalesce((select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'public'), '')`).Scan(&owner)
	})
	if err != nil {
		return "", fmt.Errorf("look at the schema public of database %s: %w", id.Database(), err)
	}
	return owner, nil
}
