package tenant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Renamed returns the databases that have a tenant's comment, but neither its name nor that of an archive: somebody has renamed
// them. Their data is still there.
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
		if id := markedAs(comment); id != nil && notTenants != nil && !archivePattern.MatchString(name) {
			renamed[*id] = name
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for renamed databases on server %s: %w", s.cfg.Name, err)
	}
	return renamed, nil
}
