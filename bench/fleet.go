package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/migrations"
	"homeroom/tenant"
)

// park is a fleet of tenants and the schema they have. Two sections share it.
type park struct {
	*bed
	ours      *homeroom
	schema    string // a folder of migrations, which grows
	databases []string
	latest    uint
}

// openPark makes as many tenants as the flags ask for, the first time it is called.
func openPark(ctx context.Context, b *bed) (*park, error) {
	if b.park != nil {
		return b.park, nil
	}
	p := &park{bed: b, schema: filepath.Join(b.folder, "schema")}
	if err := os.CopyFS(p.schema, os.DirFS(b.migrations)); err != nil {
		return nil, fmt.Errorf("copy migrations: %w", err)
	}
	set, err := migrations.Load(os.DirFS(p.schema))
	if err != nil {
		return nil, err
	}
	p.latest = set.Latest()
	if p.ours, err = newHomeroom(ctx, b, "catalog_of_park", set, b.tenants); err != nil {
		return nil, err
	}
	b.say("making %d tenants", b.tenants)
	b.park = p // from now on the bed closes it
	if err := p.ours.signup.FillSpares(ctx); err != nil {
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

// startup measures what a start costs when every tenant is up to date.
func startup(ctx context.Context, b *bed) (results, error) {
	p, err := openPark(ctx, b)
	if err != nil {
		return results{}, err
	}
	large, err := p.largeCatalog(ctx)
	if err != nil {
		return results{}, err
	}
	defer large.Close()
	all := []*contestant{
		{name: fmt.Sprintf("fleet.Run, %d current tenants", b.tenants), work: p.check(p.ours.catalog)},
		{name: fmt.Sprintf("fleet.Run, %d current tenants (rows only)", b.catalog), work: p.check(large)},
		{name: fmt.Sprintf("stock driver in a loop, %d current tenants", b.tenants), work: p.stockLoop},
	}
	for _, c := range all {
		c.clients, c.pieces = 1, 1
	}
	found, err := b.race(ctx, "START-UP, NOTHING TO MIGRATE", nil, all)
	if err != nil {
		return results{}, err
	}
	took := func(i int) float64 { return found.lines[i].Median }
	found.verdicts = []verdict{
		atLeast("start-up check, faster than the stock driver in a loop", took(2)/took(0), "×", 100),
		atMost(fmt.Sprintf("start-up check of %d current tenants", b.catalog), took(1), "ms", 1000),
	}
	return found, nil
}

// largeCatalog is a catalog of many tenants that are up to date: the row of a real one, with other ids. The check does not
// open their databases, so they need none.
func (p *park) largeCatalog(ctx context.Context) (*catalog.Store, error) {
	if err := p.newDatabase(ctx, "catalog_of_many"); err != nil {
		return nil, err
	}
	store, err := catalog.Open(ctx, catalog.Config{URL: p.postgres.URL("catalog_of_many")})
	if err != nil {
		return nil, err
	}
	if err := p.fill(ctx, store); err != nil {
		store.Close()
		return nil, fmt.Errorf("fill the large catalog: %w", err)
	}
	return store, nil
}

func (p *park) fill(ctx context.Context, store *catalog.Store) error {
	if err := store.RegisterServers(ctx, p.ours.servers.Names()); err != nil {
		return err
	}
	var row string
	if err := p.ours.catalog.Pool().QueryRow(ctx, "select to_jsonb(tenants)::text from tenants limit 1").Scan(&row); err != nil {
		return err
	}
	ids, databases := make([]string, p.catalog), make([]string, p.catalog)
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
	return err
}

// check is what `homeroom serve --migrate` does at its start once the catalog is open: it connects to the server anew,
// looks whether the template is there, and asks which tenants are behind.
func (p *park) check(store *catalog.Store) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		set, err := migrations.Load(os.DirFS(p.schema))
		if err != nil {
			return 0, err
		}
		server, err := newServer(p.bed, set)
		if err != nil {
			return 0, err
		}
		defer server.Close()
		report, err := p.run(ctx, store, server)
		if err == nil && report.Run.Total != 0 {
			err = fmt.Errorf("%d tenants were behind", report.Run.Total)
		}
		return 0, err
	}
}

func (p *park) run(ctx context.Context, store *catalog.Store, server *tenant.Server) (fleet.Report, error) {
	all, err := fleet.New(fleet.Config{
		Catalog: store, Servers: tenant.Servers{server.Name(): server}, Concurrency: mostClients, Logger: p.ours.logger,
	})
	if err != nil {
		return fleet.Report{}, err
	}
	return all.Run(ctx, fleet.Options{By: "bench"})
}

// stockLoop opens every tenant with golang-migrate, one after the other, as services do at their start.
func (p *park) stockLoop(ctx context.Context) (time.Duration, error) {
	for _, database := range p.databases {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := stockUp(p.schema, p.postgres.URL(database)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// migrateFleet measures one new migration over all tenants. The contestants share the tenants: each turn has a file of its
// own, so that each really migrates.
func migrateFleet(ctx context.Context, b *bed) (results, error) {
	p, err := openPark(ctx, b)
	if err != nil {
		return results{}, err
	}
	all := []*contestant{
		{name: "fleet.Run, 8 at a time, new template included", ownName: "  the tenants alone", clients: 1, work: p.runFleet},
		{name: "stock driver in a loop", clients: 1, work: p.stockLoop},
		{name: "bare SQL, 8 at a time", clients: 1, work: p.bareSQL},
	}
	for _, c := range all {
		c.pieces, c.units, c.prepare = 1, len(p.databases), p.addMigration
	}
	found, err := b.race(ctx, fmt.Sprintf("ONE MIGRATION OF %d TENANTS", len(p.databases)), nil, all)
	if err != nil {
		return results{}, err
	}
	ours, alone, stock, bare := found.lines[0].Median, found.lines[1].Median, found.lines[2].Median, found.lines[3].Median
	found.verdicts = []verdict{
		atLeast("fleet migration, rate over bare SQL's with the same parallelism", 100*bare/alone, "%", 80),
		atLeast("  the new template, made once for a server, included", 100*bare/ours, "%", 0),
	}
	found.verdicts = append(found.verdicts, eachRound(perSecond(all[0].own), perSecond(all[2].total))...)
	found.verdicts = append(found.verdicts, atLeast("fleet migration, faster than the stock driver in a loop", stock/ours, "×", 0))
	return found, nil
}

// perSecond turns times into rates.
func perSecond(took []time.Duration) []float64 {
	rates := make([]float64, len(took))
	for i, d := range took {
		rates[i] = 1 / d.Seconds()
	}
	return rates
}

// addMigration adds a file such as every release of a product brings.
func (p *park) addMigration(context.Context) error {
	p.latest++
	name := fmt.Sprintf("%06d_bench.up.sql", p.latest)
	if err := os.WriteFile(filepath.Join(p.schema, name), []byte(p.sql()), 0o600); err != nil {
		return fmt.Errorf("write migration: %w", err)
	}
	return nil
}

func (p *park) sql() string {
	return fmt.Sprintf(`create table bench_%d (
	id bigint generated always as identity primary key,
	name text not null,
	created_at timestamptz not null default now()
);
create index on bench_%[1]d (name);
`, p.latest)
}

// runFleet is our way. What it needs for the new template, once for a server, is told apart.
func (p *park) runFleet(ctx context.Context) (template time.Duration, err error) {
	began := time.Now()
	set, err := migrations.Load(os.DirFS(p.schema))
	if err != nil {
		return 0, err
	}
	server, err := newServer(p.bed, set)
	if err != nil {
		return 0, err
	}
	defer server.Close()
	if err := server.Prepare(ctx); err != nil {
		return 0, err
	}
	template = time.Since(began)
	report, err := p.run(ctx, p.ours.catalog, server)
	if err == nil && report.Run.Done != len(p.databases) {
		err = fmt.Errorf("%d of %d tenants were migrated", report.Run.Done, len(p.databases))
	}
	return template, err
}

// bareSQL is the floor: the same SQL and the same version row, in one message to each database.
func (p *park) bareSQL(ctx context.Context) (time.Duration, error) {
	message := fmt.Sprintf("begin; %s update schema_migrations set version = %d; commit", p.sql(), p.latest)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostClients)
	for _, database := range p.databases {
		group.Go(func() error {
			conn, err := pgx.Connect(ctx, p.postgres.URL(database))
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			_, err = conn.Exec(ctx, message)
			return err
		})
	}
	return 0, group.Wait()
}
