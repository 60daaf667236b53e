// Package tenant makes and keeps one tenant's database on a Postgres server: its name, its template, its login role, its
// migrations, and the pools that open it.
//
// Whatever it does to a tenant's structure happens under a lock on that tenant, is looked at before and after, and may be
// done again: a process that dies leaves work which the next call finishes. It knows nothing of schools and sign-ups.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/postgres"
	"homeroom/internal/secret"
	"homeroom/migrations"
)

// The roles that all tenants of a server share. Neither can log in.
const (
	// ownerRole owns the tenants' databases and everything the migrations make. A tenant that owned its database could
	// open it to others again.
	ownerRole = "homeroom_owner"
	// groupRole has the rights inside a tenant's database: data yes, structure no. Which database a tenant may enter is
	// decided by the database's own CONNECT right, which the group has nowhere.
	groupRole = "homeroom_tenant"
)

// maintenanceDatabase is where databases are made and where the locks live: advisory locks are per database, so all
// processes must use the same.
const maintenanceDatabase = "postgres"

// Config says where a server is and how tenants are made on it.
type Config struct {
	// Name is the server's name in the catalog. Defaults to "main".
	Name string
	// URL is a direct (not pooled) URL of the server. Its role needs CREATEDB and CREATEROLE; its database does not
	// matter.
	URL secret.String
	// Key is the secret from which the tenants' passwords are derived: 32 bytes or more.
	Key []byte
	// Migrations is the schema of a tenant. Defaults to the embedded one.
	Migrations *migrations.Set
	// Parallel bounds how many tenants are created, migrated or repaired at the same time by this process.
	// Defaults to 8.
	Parallel int
	// ConnectionLimit is how many connections a tenant's role may have, from all its clients. Defaults to 20.
	ConnectionLimit int
	// LockTimeout bounds the wait for another process's work on the same tenant. Defaults to 30 s.
	LockTimeout time.Duration
	// MigrateLockTimeout is how long a migration may wait for a table's lock, and make the tenant's readers wait behind
	// it. It then fails with SQLSTATE 55P03 and may be tried again. Defaults to 2 s.
	MigrateLockTimeout time.Duration
	// CreateTimeout bounds one statement outside the migrations, CREATE DATABASE among them. Defaults to 2 min.
	CreateTimeout time.Duration
	// MinFreeDisk is how many bytes must be free on the server's disk for another database to be made there; see
	// [ErrDiskLow]. Defaults to 0: no floor.
	MinFreeDisk int64
	// Vet is asked before tenants are made or migrated with the migrations; its error is why they must not be. Defaults to nil:
	// nothing is asked.
	Vet func(ctx context.Context) error
	// Logger is where warnings go. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "main"
	}
	if c.Migrations == nil {
		c.Migrations = migrations.Tenant()
	}
	if c.Parallel == 0 {
		c.Parallel = 8
	}
	if c.ConnectionLimit == 0 {
		c.ConnectionLimit = 20
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = 30 * time.Second
	}
	if c.MigrateLockTimeout == 0 {
		c.MigrateLockTimeout = 2 * time.Second
	}
	if c.CreateTimeout == 0 {
		c.CreateTimeout = 2 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	if len(c.Key) < 32 {
		return errors.New("the tenant key is shorter than 32 bytes: make one with `openssl rand -base64 32`")
	}
	u, err := url.Parse(c.URL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return fmt.Errorf("the URL of server %s is not of the form postgres://user:password@host:5432/postgres", c.Name)
	}
	return nil
}

// Server is a Postgres server that holds tenants. It may be used from many goroutines.
type Server struct {
	cfg Config
	// maintenance has at most cfg.Parallel connections, each of which may hold one tenant's lock.
	maintenance *pgxpool.Pool
	// clones has an element for each database that is being cloned.
	clones chan struct{}
	// lookups has the connections for short queries, so that those do not wait for a long work's end.
	lookups *pgxpool.Pool
	// prepared guards what [Server.Prepare] does once.
	prepared sync.Mutex
	ready    bool
	// reference is the template's schema, once ready.
	reference Schema
	// disk is what was last measured.
	disk          disk
	cluster       cluster
	cloneContents cloneContents
}

// MaxClones is how many databases this process makes on a server at the same time. More take longer in sum: they wait for the
// same disk and the same write-ahead log.
const MaxClones = 3

const (
	// maxLookups is how many connections to a server there are for short queries.
	maxLookups = 4
	// lookupTimeout bounds such a query.
	lookupTimeout = 5 * time.Second
)

// Open makes a Server. It connects only when it is used.
func Open(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	poolConfig, err := pgxpool.ParseConfig(cfg.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the URL of server %s: it is not a Postgres URL", cfg.Name)
	}
	poolConfig.MaxConns = int32(cfg.Parallel)
	poolConfig.ConnConfig.Database = maintenanceDatabase
	postgres.DetectLoss(poolConfig.ConnConfig)
	setParams(poolConfig.ConnConfig, cfg.LockTimeout, cfg.CreateTimeout)
	s := &Server{cfg: cfg, clones: make(chan struct{}, MaxClones)}
	poolConfig.AfterConnect = s.checkCluster
	if s.maintenance, err = pgxpool.NewWithConfig(context.Background(), poolConfig); err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", cfg.Name, err)
	}
	lookups := poolConfig.Copy()
	lookups.MaxConns = maxLookups
	setParams(lookups.ConnConfig, lookupTimeout, lookupTimeout)
	if s.lookups, err = pgxpool.NewWithConfig(context.Background(), lookups); err != nil {
		s.maintenance.Close()
		return nil, fmt.Errorf("connect to server %s: %w", cfg.Name, err)
	}
	return s, nil
}

// setParams gives a connection the settings that bound its waits, whatever the server's, the database's or the role's own are: a
// session that holds a lock is idle while another one fills a template. A search_path of the URL is left out: what the
// migrations make belongs where the tenants' roles look for it. client_connection_check_interval makes the server
// give up a statement, a CREATE DATABASE for example, soon after we died; until it has noticed, the tenant's lock, held
// by the same connection, keeps everybody else out.
func setParams(conn *pgx.ConnConfig, lockTimeout, statementTimeout time.Duration) {
	params := conn.RuntimeParams
	delete(params, "search_path")
	params["application_name"] = "homeroom"
	params["client_connection_check_interval"] = "250ms"
	params["lock_timeout"] = milliseconds(lockTimeout)
	params["statement_timeout"] = milliseconds(statementTimeout)
	params["idle_session_timeout"] = "0"
	params["idle_in_transaction_session_timeout"] = "0"
	params["quote_all_identifiers"] = "off" // it would be written into what we set and compare
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// Name is the server's name in the catalog.
func (s *Server) Name() string { return s.cfg.Name }

// Migrations is the schema that its tenants get.
func (s *Server) Migrations() *migrations.Set { return s.cfg.Migrations }

// Ping tells whether the server answers.
func (s *Server) Ping(ctx context.Context) error {
	if err := s.maintenance.Ping(ctx); err != nil {
		return fmt.Errorf("connect to server %s: %w", s.cfg.Name, err)
	}
	return nil
}

// Close closes its connections.
func (s *Server) Close() {
	s.lookups.Close()
	s.maintenance.Close()
}

// connect opens a connection of its own to a database, acting as the owner of what is in it.
func (s *Server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return s.connectAs(ctx, database, ownerRole)
}

// connectAs is connect acting as another role, or as our own where role is empty.
func (s *Server) connectAs(ctx context.Context, database, role string) (*pgx.Conn, error) {
	cfg := s.maintenance.Config().ConnConfig
	cfg.Database = database
	setParams(cfg, s.cfg.MigrateLockTimeout, 0) // a migration takes as long as it takes
	if role != "" {
		cfg.RuntimeParams["role"] = role
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	return conn, nil
}
