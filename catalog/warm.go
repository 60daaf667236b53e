package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// signupStatements are the statements for which a person who signs up a school waits.
func signupStatements(ctx context.Context) ([]string, error) {
	statements := []string{takeAllowances, recordIdentity, finishSignup}
	for _, claim := range []string{claimSpare, placeTenant} {
		sql, _, err := ReserveParams{}.args().RewriteQuery(ctx, nil, claim+reserveRest, nil)
		if err != nil {
			return nil, fmt.Errorf("write a statement: %w", err)
		}
		statements = append(statements, sql)
	}
	return statements, nil
}

// prepare prepares the statements of a sign-up in a new session, so that no sign-up waits for that.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	statements, err := signupStatements(ctx)
	if err != nil {
		return err
	}
	for _, sql := range statements {
		if _, err := conn.Prepare(ctx, sql, sql); err != nil {
			return fmt.Errorf("prepare a statement: %w", err)
		}
	}
	return nil
}

// warm opens this number of connections.
func (s *Store) warm(ctx context.Context, connections int32) error {
	for range connections {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return fmt.Errorf("connect to the catalog: %w", err)
		}
		defer conn.Release() // only when all are open, so that each is another one
	}
	return nil
}
