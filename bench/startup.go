package main

import (
	"context"
	"fmt"
	"time"

	"homeroom/catalog"
)

// startup measures a start when every tenant is up to date.
func startup(ctx context.Context, b *testbed) (results, error) {
	p, err := openFixtureTenants(ctx, b)
	if err != nil {
		return results{}, err
	}
	large, err := p.largeCatalog(ctx)
	if err != nil {
		return results{}, err
	}
	defer large.Close()
	few := len(p.few())
	all := []*variant{
		{name: fmt.Sprintf("fleet.Run, %d current tenants", b.tenants), work: p.check(p.ours.catalog)},
		{name: fmt.Sprintf("fleet.Run, %d current tenants (rows only)", b.catalog), work: p.check(large)},
		{name: fmt.Sprintf("stock driver in a loop, %d of them", few), work: p.stockLoop},
	}
	for _, c := range all {
		c.clients, c.pieces = 1, 1
	}
	found, err := b.race(ctx, "START-UP, NOTHING TO MIGRATE", b.rounds, nil, all)
	if err != nil {
		return results{}, err
	}
	took := func(i int) float64 { return found.lines[i].Median }
	stock := took(2) * float64(b.tenants) / float64(few)
	found.verdicts = []verdict{
		atLeast(fmt.Sprintf("start-up check of %d tenants, faster than the stock driver", b.tenants), stock/took(0), "×", 100),
		atMost(fmt.Sprintf("start-up check of %d current tenants", b.catalog), took(1), "ms", 1000),
	}
	return found, nil
}

// largeCatalog makes a catalog of many tenants that are up to date. The check does not open their databases, so they
// have none.
func (p *fixtureTenants) largeCatalog(ctx context.Context) (*catalog.Store, error) {
	if err := p.newDatabase(ctx, "catalog_of_many"); err != nil {
		return nil, err
	}
	store, err := catalog.Open(ctx, catalog.Config{URL: p.postgres.URL("catalog_of_many")})
	if err != nil {
		return nil, err
	}
	if err = store.RegisterServers(ctx, p.ours.servers.Names()); err == nil {
		_, err = p.fill(ctx, store, p.catalog)
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// few are the tenants with which the stock driver is measured: its time grows with their number, and with all of them
// a turn would take minutes.
func (p *fixtureTenants) few() []string { return p.databases[:min(len(p.databases), 100)] }

// stockLoop opens databases with golang-migrate, one after the other, as services do at their start.
func (p *fixtureTenants) stockLoop(ctx context.Context) (time.Duration, error) {
	for _, database := range p.few() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := migrateStock(p.schema, p.postgres.URL(database)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
