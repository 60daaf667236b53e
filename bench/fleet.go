package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/fleet"
)

// migrateFleet measures one new migration over all tenants. The variants share the tenants: each turn has a file of its
// own, so that each really migrates.
func migrateFleet(ctx context.Context, b *testbed) (results, error) {
	p, err := openFixtureTenants(ctx, b)
	if err != nil {
		return results{}, err
	}
	few := len(p.few())
	all := []*variant{
		{name: "fleet.Run, 8 at a time, new template included", ownName: "  the tenants alone", work: p.runFleet(fleet.Options{})},
		{name: "fleet.Run without canaries, as above", ownName: "  the tenants alone", work: p.runFleet(fleet.Options{Canaries: new(0)})},
		{name: "bare SQL, 8 at a time", work: p.bareSQL},
		{name: fmt.Sprintf("stock driver in a loop, %d of them", few), work: p.stockTurn},
	}
	for _, c := range all {
		c.clients, c.pieces, c.units, c.prepare = 1, 1, len(p.databases), p.addMigration
	}
	all[3].units = few
	found, err := b.race(ctx, fmt.Sprintf("ONE MIGRATION OF %d TENANTS", len(p.databases)), b.longRounds(), nil, all)
	if err != nil {
		return results{}, err
	}
	found.verdicts = judgeFleet(all[0], all[1], all[2], all[3])
	return found, nil
}

// longRounds is the number of rounds of a section with long rounds.
func (b *testbed) longRounds() int {
	if b.tenants < 500 {
		return b.rounds
	}
	return max(min(b.rounds, 3), b.rounds/2)
}

func judgeFleet(ours, oneWave, bare, stock *variant) []verdict {
	over := func(rate, other []float64) float64 { return 100 * median(rate) / median(other) }
	alone, waveless, floor := perSecond(ours.own), perSecond(oneWave.own), perSecond(bare.total)
	verdicts := []verdict{atLeast("fleet migration, rate over bare SQL's with the same parallelism", over(alone, floor), "%", 80)}
	verdicts = append(verdicts, eachRound(alone, floor, "%")...)
	verdicts = append(verdicts, atLeast("the same without canaries", over(waveless, floor), "%", 0))
	verdicts = append(verdicts, eachRound(waveless, floor, "%")...)
	return append(verdicts,
		atLeast("the same, the new template, made once for a server, included", over(perSecond(ours.total), floor), "%", 0),
		atLeast("fleet migration, rate over the stock driver's in a loop", median(ours.rates)/median(stock.rates), "×", 0))
}

// perSecond turns times into rates.
func perSecond(took []time.Duration) []float64 {
	rates := make([]float64, len(took))
	for i, d := range took {
		rates[i] = 1 / d.Seconds()
	}
	return rates
}

// addMigration adds a migration, to tenants that have all migrations before it.
func (p *fixtureTenants) addMigration(ctx context.Context) error {
	if err := migrateBare(ctx, p.testbed, p.behind, p.behindWith); err != nil {
		return fmt.Errorf("migrate the other tenants: %w", err)
	}
	p.behind = nil
	p.latest++
	name := fmt.Sprintf("%06d_bench.up.sql", p.latest)
	if err := os.WriteFile(filepath.Join(p.schema, name), []byte(p.sql()), 0o600); err != nil {
		return fmt.Errorf("write migration: %w", err)
	}
	return nil
}

func (p *fixtureTenants) sql() string {
	return fmt.Sprintf(`create table bench_%d (
	id bigint generated always as identity primary key,
	name text not null,
	created_at timestamptz not null default now()
);
create index on bench_%[1]d (name);
`, p.latest)
}

// message is the SQL and the version row, in one message.
func (p *fixtureTenants) message() string {
	return fmt.Sprintf("begin; %s update schema_migrations set version = %d; commit", p.sql(), p.latest)
}

// runFleet migrates as `homeroom serve --migrate` does. The time of the new template, once for a server, is measured
// separately.
func (p *fixtureTenants) runFleet(o fleet.Options) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (template time.Duration, err error) {
		began := time.Now()
		server, err := newServer(p.testbed, p.schema)
		if err != nil {
			return 0, err
		}
		defer server.Close()
		if err := server.Prepare(ctx); err != nil {
			return 0, err
		}
		template = time.Since(began)
		report, err := p.run(ctx, p.ours.catalog, server, o)
		if err == nil && report.Run.Done != len(p.databases) {
			err = fmt.Errorf("%d of %d tenants were migrated", report.Run.Done, len(p.databases))
		}
		return template, err
	}
}

// bareSQL is the lower bound: the same SQL and the same version row, in one message to each database, as the owner of
// the tables in it: a table of another role would lack the default privileges of the tenant's role.
func (p *fixtureTenants) bareSQL(ctx context.Context) (time.Duration, error) {
	return 0, migrateBare(ctx, p.testbed, p.databases, p.message())
}

// stockTurn migrates only some tenants; the others are migrated before the next turn, which is not measured.
func (p *fixtureTenants) stockTurn(ctx context.Context) (time.Duration, error) {
	p.behind, p.behindWith = p.databases[len(p.few()):], p.message()
	return p.stockLoop(ctx)
}

func migrateBare(ctx context.Context, b *testbed, databases []string, message string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostClients)
	for _, database := range databases {
		group.Go(func() error {
			cfg, err := pgx.ParseConfig(b.postgres.URL(database))
			if err != nil {
				return err
			}
			cfg.RuntimeParams["role"] = "homeroom_owner"
			conn, err := pgx.ConnectConfig(ctx, cfg)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			_, err = conn.Exec(ctx, message)
			return err
		})
	}
	return group.Wait()
}
