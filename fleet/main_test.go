package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// files are three versions of a schema. The third fails where a tenant has a pupil without a name.
var files = []string{
	"create table pupils (name text);",
	"alter table pupils add column class text;",
	"alter table pupils alter column name set not null;",
}

// undo are their down files.
var undo = []string{
	"drop table pupils;",
	"alter table pupils drop column class;",
	"alter table pupils alter column name drop not null;",
}

// schema is the set of the first n files.
func schema(t *testing.T, n int) *migrations.Set {
	t.Helper()
	return schemaOf(t, files[:n])
}

func schemaOf(t *testing.T, files []string) *migrations.Set {
	t.Helper()
	dir := fstest.MapFS{}
	for i, sql := range files {
		dir[fmt.Sprintf("%06d_step.up.sql", i+1)] = &fstest.MapFile{Data: []byte(sql)}
		dir[fmt.Sprintf("%06d_step.down.sql", i+1)] = &fstest.MapFile{Data: []byte(undo[min(i, len(undo)-1)])}
	}
	set, err := migrations.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// bundle is a catalog with tenants on a server.
type bundle struct {
	catalog *catalog.Store
	ids     []tenant.ID
}

// setup makes tenants at version 2.
func setup(t *testing.T, tenants int) *bundle {
	t.Helper()
	url := pgtest.Clone(t, "catalog", func(ctx context.Context, url string) error {
		store, err := catalog.Open(ctx, catalog.Config{URL: url})
		if err == nil {
			store.Close()
		}
		return err
	})
	b := &bundle{}
	var err error
	if b.catalog, err = catalog.Open(t.Context(), catalog.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.catalog.Close)
	if err := b.catalog.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	server := open(t, schema(t, 2))
	for range tenants {
		id := tenant.NewID()
		if err := b.catalog.InsertSpare(t.Context(), catalog.NewSpare{ID: id.UUID(), Server: "main", Database: id.Database(), Lineage: schema(t, 2).Lineage()}); err != nil {
			t.Fatal(err)
		}
		result, err := server.Ensure(t.Context(), id, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.catalog.MarkSpareBuilt(t.Context(), id.UUID(), catalog.Health{Version: result.Version, Fingerprint: result.Fingerprint}, json.RawMessage(`[]`)); err != nil {
			t.Fatal(err)
		}
		b.ids = append(b.ids, id)
	}
	return b
}

func open(t *testing.T, set *migrations.Set) *tenant.Server { return openWith(t, set, 0) }

// impatient makes a server whose migrations wait for no lock.
func openWithoutLockWait(t *testing.T, set *migrations.Set) *tenant.Server {
	return openWith(t, set, 50*time.Millisecond)
}

func openWith(t *testing.T, set *migrations.Set, lockTimeout time.Duration) *tenant.Server {
	t.Helper()
	server, err := tenant.Open(tenant.Config{
		URL: secret.String(pgtest.Server(t).URL("postgres")), Key: bytes.Repeat([]byte{3}, 32), Migrations: set,
		MigrateLockTimeout: lockTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// fleet makes the fleet of a program with this schema.
func (b *bundle) fleet(t *testing.T, set *migrations.Set) *fleet.Fleet {
	t.Helper()
	all, err := fleet.New(fleet.Config{
		Catalog: b.catalog, Servers: fleet.OnServers(tenant.Servers{"main": open(t, set)}), Concurrency: 4, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// exec runs a statement in a tenant's database.
func exec(t *testing.T, id tenant.ID, sql string) {
	t.Helper()
	pgtest.Exec(t, pgtest.Server(t).URL(id.Database()), sql)
}

// version reads the version in the tenant's own database.
func version(t *testing.T, id tenant.ID) (v int) {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Server(t).URL(id.Database()))
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "select version from schema_migrations where not dirty").Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
