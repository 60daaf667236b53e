package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"homeroom/internal/devpg"
)

// testbed is shared by all variants: one Postgres server and one identity provider.
type testbed struct {
	options
	folder   string
	postgres *devpg.Server
	auth0    *simulator
	// admin is the superuser in the maintenance database.
	admin          *pgxpool.Pool
	progress       io.Writer
	tenantsFixture *fixtureTenants // nil until a section needs it
}

// mostClients is the number of clients of the busy variants.
const mostClients = 8

func newTestbed(ctx context.Context, o options, progress io.Writer) (_ *testbed, err error) {
	b := &testbed{options: o, progress: progress}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.migrations, err = filepath.Abs(o.migrations); err != nil {
		return nil, fmt.Errorf("find the migrations: %w", err)
	}
	if b.auth0, err = startSimulator(ctx); err != nil {
		return nil, err
	}
	if b.folder, err = os.MkdirTemp(o.dir, "homeroom-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := os.Chmod(b.folder, 0o711); err != nil { // under root, Postgres is another user, and must be able to enter
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	if err := b.fit(); err != nil {
		return nil, err
	}
	b.logf("starting Postgres in %s", b.folder)
	return b, b.start(ctx)
}

// start starts the server. Settings that trade durability for speed are as in production: fsync, synchronous_commit
// and full_page_writes are on. It allows as many connections as all pools of a service may have.
func (b *testbed) start(ctx context.Context) (err error) {
	b.postgres, err = devpg.Start(ctx, devpg.Config{
		Dir: filepath.Join(b.folder, "postgres"), Settings: map[string]string{"max_connections": "300"}, Notice: b.progress,
	})
	if err == nil {
		b.admin, err = b.pool(ctx, "postgres")
	}
	return err
}

// withOwnServer creates a testbed for a number of tenants with a server of its own, on the same disk, and the same
// identity provider. Its closeServer must be called.
func (b *testbed) withOwnServer(ctx context.Context, tenants int) (_ *testbed, err error) {
	other := &testbed{options: b.options, auth0: b.auth0, progress: b.progress}
	other.tenants, other.folder = tenants, filepath.Join(b.folder, fmt.Sprintf("tenants_%d", tenants))
	if err := os.Mkdir(other.folder, 0o711); err != nil { // Postgres is another user, and must be able to enter
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := other.start(ctx); err != nil {
		return nil, errors.Join(err, other.closeServer())
	}
	return other, nil
}

// setting changes a setting of the server for everybody, without a restart.
func (b *testbed) setting(ctx context.Context, name, value string) error {
	for _, statement := range []string{"alter system set " + name + " = " + value, "select pg_reload_conf()"} {
		if _, err := b.admin.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// close removes everything. It may be called on an incomplete testbed.
func (b *testbed) close() error {
	if b.auth0 != nil {
		_ = b.auth0.close() // it stores nothing
	}
	return b.closeServer()
}

// closeServer removes the server and its folder.
func (b *testbed) closeServer() error {
	var err error
	if b.tenantsFixture != nil {
		b.tenantsFixture.ours.close()
	}
	if b.admin != nil {
		b.admin.Close()
	}
	if b.postgres != nil {
		// The data is deleted, so the server need not write it to disk.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err = errors.Join(b.postgres.Crash(ctx), b.postgres.Stop(ctx))
	}
	if b.folder != "" {
		err = errors.Join(err, os.RemoveAll(b.folder))
	}
	return err
}

func (b *testbed) logf(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

// pool opens a pool and its connections, so that opening them is not measured.
func (b *testbed) pool(ctx context.Context, database string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(b.postgres.URL(database))
	if err != nil {
		return nil, fmt.Errorf("read the URL of database %s: %w", database, err)
	}
	cfg.MaxConns, cfg.MinConns = mostClients, mostClients
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to database %s: %w", database, err)
	}
	return pool, nil
}

// newDatabase makes an empty database for a catalog.
func (b *testbed) newDatabase(ctx context.Context, name string) error {
	if _, err := b.admin.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// checkpoint writes all changes to disk, so that no turn does the work of the one before.
func (b *testbed) checkpoint(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, "checkpoint"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// drop removes databases, and the roles of the same names.
func (b *testbed) drop(ctx context.Context, databases []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, name := range databases {
		group.Go(func() error {
			quoted := pgx.Identifier{name}.Sanitize()
			for _, statement := range []string{"drop database " + quoted + " with (force)", "drop role if exists " + quoted} {
				if _, err := b.admin.Exec(ctx, statement); err != nil {
					return fmt.Errorf("%s: %w", statement, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// databases lists those whose names match a regular expression.
func (b *testbed) databases(ctx context.Context, pattern string) ([]string, error) {
	rows, err := b.admin.Query(ctx, "select datname from pg_database where datname ~ $1", pattern)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// machine describes where the numbers come from.
func (b *testbed) machine(ctx context.Context) machine {
	m := machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, Postgres: b.postgres.Version(),
		Settings: map[string]string{},
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size"} {
		var value string
		if err := b.admin.QueryRow(ctx, "select current_setting($1)", name).Scan(&value); err == nil {
			m.Settings[name] = value
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:1], " ")
	}
	return m
}
