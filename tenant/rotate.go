package tenant

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// Rotate sets the password of a tenant's role to that of a rotation, under the tenant's lock. It reads the rotation
// after it has the lock, so that the later rotation's password stays after two concurrent calls. With endSessions it
// ends the sessions of the role, including those that were opened with a stolen password; without it they continue. It
// is idempotent.
func (s *Server) Rotate(ctx context.Context, id ID, rotation func(ctx context.Context) (int, error), endSessions bool) error {
	err := s.locked(ctx, id.String(), func(conn *pgx.Conn) error {
		present, err := rotation(ctx)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, s.setPassword(id, present)); err != nil {
			return fmt.Errorf("set the password of role %s: %w", id.Database(), err)
		}
		killpoint.Here("tenant.rotated")
		if err := s.login(ctx, id, present); postgres.IsCode(err, "28P01") { // invalid_password
			return fmt.Errorf("connect with the new password: %w", err)
		}
		if !endSessions {
			return nil
		}
		return endSessionsOf(ctx, conn, id)
	})
	if err != nil {
		return fmt.Errorf("rotate the password of tenant %s: %w", id, err)
	}
	return nil
}

// endSessionsOf ends the sessions of a tenant's role.
func endSessionsOf(ctx context.Context, conn *pgx.Conn, id ID) error {
	_, err := conn.Exec(ctx, "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1", id.Database())
	if postgres.IsCode(err, "42501") { // insufficient_privilege
		err = errors.Join(err, sessionsError(ctx, conn, id.Database()))
	}
	if err != nil {
		return fmt.Errorf("end the sessions of role %s: %w", id.Database(), err)
	}
	return nil
}
