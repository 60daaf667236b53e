package tenant

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
)

// ErrOtherCluster says that a server's URL leads to another Postgres cluster than the one that holds its tenants.
var ErrOtherCluster = errors.New("this is another Postgres cluster than the one that holds the tenants of this server")

// cluster is the identifier that a server's cluster must have; 0 takes any.
type cluster struct{ expected atomic.Uint64 }

// ExpectCluster has every new connection to the server refused, with [ErrOtherCluster], unless it leads to the cluster of this
// identifier. 0 expects nothing. Call it before the server is used.
func (s *Server) ExpectCluster(identifier uint64) { s.cluster.expected.Store(identifier) }

// OpenAnyCluster opens the same server without expecting a cluster, to look at what is where its URL leads. The caller closes it.
func (s *Server) OpenAnyCluster() (*Server, error) { return Open(s.cfg) }

// Cluster is the identifier of the server's cluster: Postgres chooses it at initdb, a standby and a physical backup have their
// primary's, and pg_upgrade makes a new one. It is 0 where our role may not ask.
func (s *Server) SystemIdentifier(ctx context.Context) (uint64, error) {
	conn, err := s.lookups.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	defer conn.Release()
	return systemIdentifier(ctx, conn.Conn())
}

// checkCluster is called for each new connection.
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

// systemIdentifier asks a cluster for its identifier, and returns 0 where our role may not ask.
func systemIdentifier(ctx context.Context, conn *pgx.Conn) (uint64, error) {
	var identifier int64
	err := conn.QueryRow(ctx, "select system_identifier from pg_control_system()").Scan(&identifier)
	if postgres.IsCode(err, "42501") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the system identifier: %w", err)
	}
	return uint64(identifier), nil
}
