package tenant

import (
	"context"
	"fmt"
)

// Superuser tells whether the server's URL belongs to a superuser.
func (s *Server) Superuser(ctx context.Context) (bool, error) {
	var super bool
	err := s.maintenance.QueryRow(ctx, "select rolsuper from pg_roles where rolname = current_user").Scan(&super)
	if err != nil {
		return false, fmt.Errorf("look at our rights on server %s: %w", s.cfg.Name, err)
	}
	return super, nil
}
