// Package tenant creates, migrates and repairs tenants' databases on a Postgres server: name, template, role, schema
// and pools.
//
// It changes a tenant's database under a lock on that tenant, checks the state before and after, and every change is
// idempotent: the next call finishes what a process that died has left unfinished. It knows nothing about schools and
// sign-ups.
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
	"homeroom/internal/setting"
	"homeroom/migrations"
)

// The roles that all tenants of a server share. Neither can log in.
const (
	// ownerRole owns the tenants' databases and everything that the migrations create. A tenant that owned its database
	// could grant CONNECT to others.
	ownerRole = "homeroom_owner"
	// groupRole has the privileges inside a tenant's database: on data, not on structure. It has CONNECT on no
	// database: each database grants that to its own tenant's role.
	groupRole = "homeroom_tenant"
)

// maintenanceDatabase is where CREATE DATABASE runs and advisory locks are taken. They are per database, so all processes must
// use the same.
const maintenanceDatabase = "postgres"

// Config describes a server and how tenants are created on it.
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
	// Parallel is how many tenants this process creates, migrates or repairs at the same time. Defaults to 8.
	Parallel int
	// ConnectionLimit is how many connections a tenant's role may have, from all its clients. Defaults to 20.
	ConnectionLimit int
	// LockTimeout bounds the wait for another process's work on the same tenant. Defaults to 30 s.
	LockTimeout time.Duration
	// MigrateLockTimeout is how long a migration may wait for a table's lock, while the tenant's readers queue behind it. It
	// then fails with SQLSTATE 55P03, and can be retried. Defaults to 2 s.
	MigrateLockTimeout time.Duration
	// CreateTimeout bounds one statement outside the migrations, CREATE DATABASE among them. Defaults to 2 min.
	CreateTimeout time.Duration
	// MinFreeDisk is how many bytes must be free on the server's disk before another database is created there; see
	// [ErrDiskLow]. Defaults to 0: no minimum.
	MinFreeDisk int64
	// Vet checks the migrations before tenants are created or migrated with them; its error stops that. Defaults to nil: no
	// check.
	Vet func(ctx context.Context) error
	// Settings names the settings of the servers' URLs in advice for operators. Defaults to "Servers.<name>".
	Settings setting.Names
	// Logger logs warnings. Defaults to slog.Default().
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
		return errors.New("the tenant key is shorter than 32 bytes: create one with `openssl rand -base64 32`")
	}
	u, err := url.Parse(c.URL.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return fmt.Errorf("the URL of server %s is not of the form postgres://user:password@host:5432/postgres", c.Name)
	}
	return nil
}

// Server is a Postgres server with tenants' databases. It is safe for concurrent use.
type Server struct {
	cfg Config
	// maintenance has at most cfg.Parallel connections, each of which may hold one tenant's lock.
	maintenance *pgxpool.Pool
	// clones has an element for each database that is being cloned.
	clones chan struct{}
	// lookups has the connections for short queries, so that they do not wait for long operations.
	lookups *pgxpool.Pool
	// prepared guards the one-time work of [Server.Prepare].
	prepared sync.Mutex
	ready    bool
	// reference is the template's schema, once ready.
	reference Schema
	// disk is the last measurement.
	disk          disk
	cluster       cluster
	cloneContents cloneContents
}

// MaxClones is how many databases this process creates on a server at the same time. More wait for the same disk and the same
// write-ahead log: of 3, 5 and 8 at a time, 5 were the fastest on 2 cores (63, 69 and 55 a second).
const MaxClones = 5

const (
	// maxLookups is how many connections to a server there are for short queries.
	maxLookups = 4
	// lookupTimeout bounds such a query.
	lookupTimeout = 5 * time.Second
)

// Open returns a Server. It connects only when it is used.
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

// setParams sets a connection's timeouts, regardless of those of the server, the database or the role: a session that
// holds a lock is idle while another one fills a template. It removes a search_path of the URL: the migrations' tables
// belong in the schema that the tenants' roles use. With client_connection_check_interval the server cancels a
// statement, such as CREATE DATABASE, soon after this process has died; until then the tenant's lock, held by the same
// connection, excludes other processes.
func setParams(conn *pgx.ConnConfig, lockTimeout, statementTimeout time.Duration) {
	params := conn.RuntimeParams
	delete(params, "search_path")
	params["application_name"] = "homeroom"
	params["client_connection_check_interval"] = "250ms"
	params["lock_timeout"] = milliseconds(lockTimeout)
	params["statement_timeout"] = milliseconds(statementTimeout)
	params["idle_session_timeout"] = "0"
	params["idle_in_transaction_session_timeout"] = "0"
	params["quote_all_identifiers"] = "off" // it would change the definitions that are set and compared
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// Name returns the server's name in the catalog.
func (s *Server) Name() string { return s.cfg.Name }

// Migrations returns the migrations of its tenants.
func (s *Server) Migrations() *migrations.Set { return s.cfg.Migrations }

// Ping fails when the server does not answer.
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

// connect opens a new connection to a database, with the owner's role.
func (s *Server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return s.connectAs(ctx, database, ownerRole)
}

// connectAs is connect with another role; with our own if role is empty.
func (s *Server) connectAs(ctx context.Context, database, role string) (*pgx.Conn, error) {
	cfg := s.maintenance.Config().ConnConfig
	cfg.Database = database
	setParams(cfg, s.cfg.MigrateLockTimeout, 0) // a migration has no time limit
	if role != "" {
		cfg.RuntimeParams["role"] = role
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	return conn, nil
}
