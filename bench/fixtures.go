package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/tenant"
)

// fixtureTenants is a fleet of tenants and the schema they have. All sections but the sign-ups share one.
type fixtureTenants struct {
	*testbed
	ours      *homeroom
	schema    string // a folder of migrations, which grows
	databases []string
	latest    uint
	// behind are the databases that the variant before did not migrate, and the SQL that they lack.
	behind     []string
	behindWith string
}

// openFixtureTenants creates the testbed's tenants, on the first call.
func openFixtureTenants(ctx context.Context, b *testbed) (*fixtureTenants, error) {
	if b.tenantsFixture != nil {
		return b.tenantsFixture, nil
	}
	p := &fixtureTenants{testbed: b, schema: filepath.Join(b.folder, "schema")}
	if err := os.CopyFS(p.schema, os.DirFS(b.migrations)); err != nil {
		return nil, fmt.Errorf("copy migrations: %w", err)
	}
	var err error
	if p.ours, err = newHomeroom(ctx, b, "catalog_of_park", p.schema, b.tenants); err != nil {
		return nil, err
	}
	p.latest = p.ours.servers.Migrations().Latest()
	b.tenantsFixture = p // from now on the testbed closes it
	if err := p.build(ctx); err != nil {
		return nil, err
	}
	rows, err := p.ours.catalog.Pool().Query(ctx, "select database from tenants order by database")
	if err == nil {
		p.databases, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return p, nil
}

// build creates the tenants as the spare pool refiller does. fsync is off, since nothing is measured: in the end the files
// are the same as with fsync.
func (p *fixtureTenants) build(ctx context.Context) error {
	p.logf("making %d tenants", p.tenants)
	began := time.Now()
	if err := p.withoutSync(ctx, p.ours.signup.RefillSpares); err != nil {
		return err
	}
	p.logf("made %d tenants in %s", p.tenants, time.Since(began).Round(time.Second))
	return nil
}

// withoutSync runs f while fsync is off, and then writes the kernel's caches to disk.
func (b *testbed) withoutSync(ctx context.Context, f func(ctx context.Context) error) error {
	if err := b.setting(ctx, "fsync", "off"); err != nil {
		return err
	}
	if err := f(ctx); err != nil {
		return err
	}
	if err := b.checkpoint(ctx); err != nil {
		return err
	}
	if err := b.setting(ctx, "fsync", "on"); err != nil {
		return err
	}
	syncDisks()
	return nil
}

// fill adds rows of current tenants to a catalog: copies of a real one's row, with other ids. It returns the names of
// their databases, which do not exist.
func (p *fixtureTenants) fill(ctx context.Context, store *catalog.Store, rows int) ([]string, error) {
	var row string
	if err := p.ours.catalog.Pool().QueryRow(ctx, "select to_jsonb(tenants)::text from tenants limit 1").Scan(&row); err != nil {
		return nil, fmt.Errorf("read a tenant: %w", err)
	}
	ids, databases := make([]string, rows), make([]string, rows)
	for i := range ids {
		id := tenant.NewID()
		ids[i], databases[i] = id.String(), id.Database()
	}
	_, err := store.Pool().Exec(ctx, `
		insert into tenants
		select copy.*
		from unnest($2::text[], $3::text[]) as other (id, database),
			jsonb_populate_record(null::tenants, $1::jsonb || jsonb_build_object('id', id, 'database', database)) as copy`,
		row, ids, databases)
	if err != nil {
		return nil, fmt.Errorf("fill a catalog with rows of tenants: %w", err)
	}
	return databases, nil
}

// check does the work of `homeroom serve --migrate` at its start: it opens a new connection to the server,
// checks that the template exists, and finds the tenants that are behind.
func (p *fixtureTenants) check(store *catalog.Store) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		server, err := newServer(p.testbed, p.schema)
		if err != nil {
			return 0, err
		}
		defer server.Close()
		report, err := p.run(ctx, store, server, fleet.Options{})
		if err == nil && report.Run.Total != 0 {
			err = fmt.Errorf("%d tenants were behind", report.Run.Total)
		}
		return 0, err
	}
}

func (p *fixtureTenants) run(ctx context.Context, store *catalog.Store, server *tenant.Server, o fleet.Options) (fleet.Report, error) {
	all, err := fleet.New(fleet.Config{
		Catalog: store, Servers: fleet.OnServers(tenant.Servers{server.Name(): server}), Concurrency: mostClients, Logger: p.ours.logger,
	})
	if err != nil {
		return fleet.Report{}, err
	}
	o.By = "bench"
	return all.Run(ctx, o)
}
