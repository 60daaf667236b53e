package tenant

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
)

// ErrOtherCluster means that a server's URL connects to another Postgres cluster than the one with its tenants.
var ErrOtherCluster = errors.New("this is another Postgres cluster than the one that holds the tenants of this server")

// cluster is the identifier that a server's cluster must have; 0 allows any.
type cluster struct{ expected atomic.Uint64 }

// ExpectCluster makes every new connection fail with [ErrOtherCluster] unless it is to the cluster with this identifier. 0 allows
// any cluster. Call it before the server is used.
func (s *Server) ExpectCluster(identifier uint64) { s.cluster.expected.Store(identifier) }

// OpenAnyCluster opens the same server without the check of [Server.ExpectCluster]. The caller closes it.
func (s *Server) OpenAnyCluster() (*Server, error) { return Open(s.cfg) }

// SystemIdentifier returns the identifier of the server's cluster: initdb chooses it, a standby and a physical backup
// have their primary's, and pg_upgrade creates a new one. It is 0 if our role may not read it.
func (s *Server) SystemIdentifier(ctx context.Context) (uint64, error) {
	conn, err := s.lookups.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	return systemIdentifier(ctx, conn.Conn())
}

// checkCluster checks the cluster of each new connection.
func (s *Server) checkCluster(ctx context.Context, conn *pgx.Conn) error {
	expected := s.cluster.expected.Load()
	if expected == 0 {
		return nil
	}
	identifier, err := systemIdentifier(ctx, conn)
	if err != nil || identifier == 0 || identifier == expected {
		return err
	}
	return fmt.Errorf("server %s: %w: its system identifier is %d, not %d", s.cfg.Name, ErrOtherCluster, identifier, expected)
}

// systemIdentifier reads a cluster's identifier; 0 if our role may not read it.
func systemIdentifier(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	var identifier int64
	err := conn.QueryRow(ctx, "select system_identifier from pg_control_system()").Scan(&identifier)
	if postgres.IsCode(err, "42501") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the system identifier: %w", err)
	}
	return uint64(identifier), nil
}
