// Package catalog knows which tenants exist, on which server, for whom, and how far each sign-up has come.
//
// Its rows are the truth that everything else follows. A row is written before its database, role or identity is
// created, so that a crash leaves a row without a thing, which is then finished or released, and never a thing without
// a row. A write has a …Tx twin if a caller must commit it together with something else. Every change of state names
// the state (and, for a sign-up, the lease) that it expects, so that a late worker changes nothing.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/postgres"
	"homeroom/migrations"
)

// Store reads and writes the catalog. It is safe for use by many goroutines.
type Store struct {
	pool            pool
	versionMismatch string
}

// Config configures a Store.
type Config struct {
	// URL is the Postgres URL of the catalog's database. Its role must own the database, or be able to create it.
	URL string
	// MaxConns is how many connections this process opens to the catalog at most. Defaults to 20.
	MaxConns int32
	// Warm is how many connections are open from the start. Every connection then prepares the statements of a sign-up
	// before it is used. Defaults to 0.
	Warm int32
	// SkipMigrations leaves the schema of the catalog at its version. [Store.VersionMismatch] reports whether that is
	// this program's.
	SkipMigrations bool
}

// Open connects to the catalog, creates its database if it is missing and its role may, and migrates its schema to the
// newest version. Processes that open it at the same time wait for one another. A catalog that a newer program has
// migrated further is used as it is.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	poolConfig, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the catalog's URL: %w", withoutSecrets(err))
	}
	postgres.DetectLoss(poolConfig.ConnConfig)
	poolConfig.MaxConns = 20
	if cfg.MaxConns > 0 {
		poolConfig.MaxConns = cfg.MaxConns
	}
	var differs string
	if cfg.SkipMigrations {
		differs, err = compareVersions(ctx, poolConfig.ConnConfig)
	} else {
		err = migrate(ctx, poolConfig.ConnConfig)
	}
	if err != nil {
		return nil, err
	}
	setParams(poolConfig.ConnConfig, statementTimeout)
	if cfg.Warm > 0 {
		poolConfig.MinConns, poolConfig.AfterConnect = min(cfg.Warm, poolConfig.MaxConns), prepare
	}
	connections, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("connect to the catalog: %w", err)
	}
	s := &Store{pool: pool{connections}, versionMismatch: differs}
	if err := s.warm(ctx, min(cfg.Warm, poolConfig.MaxConns)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// statementTimeout limits a statement of the pool whose caller is gone.
const statementTimeout = 2 * time.Minute

// setParams makes a session independent of the settings of the server, the database and the role: our transactions are
// written for read committed, a migration has no time limit, and a session that holds a lock may be idle. Settings in
// the URL are kept.
func setParams(cfg *pgx.ConnConfig, statementTimeout time.Duration) {
	for name, value := range map[string]string{
		"application_name":                    "homeroom",
		"default_transaction_isolation":       "read committed",
		"idle_in_transaction_session_timeout": "5min",
		"idle_session_timeout":                "0",
		"lock_timeout":                        "0",
		"random_page_cost":                    "1.1", // the catalog is small, and in memory: a plan from when a table was empty stays good
		"statement_timeout":                   strconv.FormatInt(statementTimeout.Milliseconds(), 10),
	} {
		if _, said := cfg.RuntimeParams[name]; !said {
			cfg.RuntimeParams[name] = value
		}
	}
}

// VersionMismatch returns how the version of a catalog that was opened without migrations differs from this program's,
// and what to do; empty if it does not. A newer catalog can be read safely; an older one lacks what only this program
// knows.
func (s *Store) VersionMismatch() string { return s.versionMismatch }

// compareVersions reads the version of the schema, and changes nothing.
func compareVersions(ctx context.Context, cfg *pgx.ConnConfig) (string, error) {
	cfg = cfg.Copy()
	setParams(cfg, 0)
	conn, err := postgres.Connect(ctx, cfg)
	if err != nil {
		return "", fmt.Errorf("connect to the catalog: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := postgres.CheckDirect(ctx, conn); err != nil {
		return "", err
	}
	ours := migrations.Catalog()
	status, err := ours.Status(ctx, conn)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the version of the catalog: %w", err)
	case status.State == migrations.Current:
		return "", nil
	case status.Version == 0:
		return "", errors.New("the catalog is empty: homeroom serve and homeroom migrate create it")
	case status.State == migrations.Ahead:
		return fmt.Sprintf("the catalog is at version %d, and this program supports %d: use the newer program", status.Version, ours.Latest()), nil
	}
	return fmt.Sprintf("the catalog is at version %d, and this program needs %d: homeroom serve or homeroom migrate upgrades it",
		status.Version, ours.Latest()), nil
}

// migrate migrates the schema on its own connection.
func migrate(ctx context.Context, cfg *pgx.ConnConfig) error {
	cfg = cfg.Copy()
	setParams(cfg, 0)
	conn, err := postgres.Connect(ctx, cfg)
	if postgres.IsCode(err, "3D000") { // invalid_catalog_name: the database does not exist
		if err := createDatabase(ctx, cfg); err != nil {
			return err
		}
		conn, err = postgres.Connect(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("connect to the catalog: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := postgres.CheckDirect(ctx, conn); err != nil {
		return err
	}
	if _, err := migrations.Catalog().Up(ctx, conn); err != nil {
		return fmt.Errorf("migrate the catalog: %w", err)
	}
	return closeToPublic(ctx, conn)
}

// closeToPublic revokes CONNECT from PUBLIC, which has it on a new database, because the tenants' roles may be on the
// same server. Only the owner can revoke it; for other roles the database stays as its owner wants it.
func closeToPublic(ctx context.Context, conn *pgx.Conn) error {
	var open bool
	var name string
	err := conn.QueryRow(ctx, `
		select current_database(),
			has_database_privilege('public', oid, 'connect') and pg_has_role(current_user, datdba, 'usage')
		from pg_database
		where datname = current_database()`).Scan(&name, &open)
	if err != nil {
		return fmt.Errorf("read who has CONNECT on the catalog: %w", err)
	}
	if !open {
		return nil
	}
	// Two processes that change a database's privileges at the same moment cause an error: the lock lasts as long as
	// the message, which is one transaction.
	_, err = conn.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended('homeroom close catalog', 0)); "+
		"revoke connect, temporary on database "+pgx.Identifier{name}.Sanitize()+" from public")
	if err != nil {
		return fmt.Errorf("revoke CONNECT on the catalog from PUBLIC: %w", err)
	}
	return nil
}

// createDatabase creates the catalog's own database, from the maintenance database of the same server.
func createDatabase(ctx context.Context, cfg *pgx.ConnConfig) error {
	maintenance := cfg.Copy()
	maintenance.Database = "postgres"
	conn, err := postgres.Connect(ctx, maintenance)
	if err != nil {
		return fmt.Errorf("connect to database postgres to create the catalog's: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{cfg.Database}.Sanitize())
	// Another process may have created it meanwhile: Postgres reports 42P04 afterwards, and 23505 at the same moment.
	if err != nil && !postgres.IsCode(err, "42P04") && !postgres.IsCode(err, "23505") {
		return fmt.Errorf("create the catalog's database %s: %w", cfg.Database, err)
	}
	return nil
}

// Close waits for the connections in use and closes them.
func (s *Store) Close() { s.pool.Close() }

// Pool returns the connections, for packages that use the catalog's database and its transactions (the job queue).
func (s *Store) Pool() *pgxpool.Pool { return s.pool.Pool }

// ErrReadOnly means that the catalog accepts no writes: it is a standby, or its server has been made read-only, as
// managed ones are when their disk is full.
var ErrReadOnly = errors.New("the catalog is read-only")

// Ping checks that the catalog answers, and accepts writes. It fails with [ErrReadOnly] if it does not.
func (s *Store) Ping(ctx context.Context) error {
	var readOnly bool
	err := s.pool.QueryRow(ctx, `select current_setting('transaction_read_only')::bool`).Scan(&readOnly)
	if err == nil && readOnly {
		err = ErrReadOnly
	}
	return err
}

// InTx runs f in a transaction, and commits it unless f fails. If Postgres aborts it in favour of another session, f is
// called again: its effects outside of the transaction must then be the same.
func (s *Store) InTx(ctx context.Context, f func(pgx.Tx) error) error {
	return repeat(ctx, func() error { return pgx.BeginFunc(ctx, s.pool, f) })
}

// querier are the methods that a pool and a transaction have in common.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// one reads the single row of a query as a T, matching columns and fields by name.
func one[T any](ctx context.Context, q querier, sql string, args ...any) (T, error) {
	return collect(ctx, q, sql, args, func(rows pgx.Rows) (T, error) {
		return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	})
}

// many reads all rows of a query as Ts.
func many[T any](ctx context.Context, q querier, sql string, args ...any) ([]T, error) {
	return collect(ctx, q, sql, args, func(rows pgx.Rows) ([]T, error) {
		return pgx.CollectRows(rows, pgx.RowToStructByName[T])
	})
}

// withoutSecrets removes the URL that pgx quotes in its parse errors, since it may contain a password.
func withoutSecrets(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("it is not a Postgres URL such as postgres://user:password@host:5432/database")
	}
	return err
}
