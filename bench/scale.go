package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// level is a server with a number of tenants, all of them schools, and a service with their catalog.
type level struct {
	*fixtureTenants
	schools   *homeroom
	sparePool *benchSpares
	front     *httpFront
	alone     bool // the server belongs to this level, and is removed with it
}

// scale measures whether sign-ups and the start-up check become slower with the number of tenants. Each level has
// that many databases, on a server of its own, so that the levels take turns as all variants do. The background work
// of a server, autovacuum, which visits each database, only runs during that level's turn.
func scale(ctx context.Context, b *testbed) (_ results, err error) {
	var levels []*level
	defer func() {
		for _, l := range levels {
			err = errors.Join(err, l.close())
		}
	}()
	for _, tenants := range b.scale {
		l, err := b.openLevel(ctx, tenants)
		if err != nil {
			return results{}, err
		}
		levels = append(levels, l)
	}
	var all []*variant
	for _, clients := range []int{1, mostClients} {
		for _, l := range levels {
			all = append(all, &variant{
				name: fmt.Sprintf("sign-up with a spare, %d tenants", l.tenants), ownName: "  our own time of it",
				clients: clients, pieces: len(l.sparePool.databases), prepare: l.prepareLevel(b, levels), work: l.front.signUp,
			})
		}
	}
	for _, l := range levels {
		all = append(all, &variant{
			name: fmt.Sprintf("fleet.Run, %d current tenants", l.tenants), clients: 1, pieces: 4,
			prepare: l.prepareLevel(b, levels), work: l.check(l.schools.catalog),
		})
	}
	found, err := b.race(ctx, "AS THE TENANTS BECOME MORE", 2*b.rounds, nil, all) // short ones
	if err != nil {
		return results{}, err
	}
	n := len(levels)
	found.verdicts = judgeScale(levels, all[:n], all[n:2*n], all[2*n:])
	return found, errors.Join(b.setting(ctx, "autovacuum", "default"), ctx.Err())
}

// openLevel makes a level; the one of the size that all sections share is on the shared server.
func (b *testbed) openLevel(ctx context.Context, tenants int) (_ *level, err error) {
	l := &level{alone: tenants != b.tenants}
	testbed := b
	if l.alone {
		if testbed, err = b.withOwnServer(ctx, tenants); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	l.fixtureTenants = &fixtureTenants{testbed: testbed} // for close, until there is one
	p, err := openFixtureTenants(ctx, testbed)
	if err != nil {
		return nil, err
	}
	l.fixtureTenants = p
	if l.schools, err = newHomeroom(ctx, testbed, "catalog_of_schools", p.schema, 3*testbed.signups); err != nil {
		return nil, err
	}
	spares, err := l.addSchools(ctx)
	if err != nil {
		return nil, err
	}
	l.sparePool = &benchSpares{testbed, l.schools, spares}
	l.front, err = l.schools.serve()
	return l, err
}

// addSchools copies the tenants into the level's catalog, as schools, and adds spares.
func (l *level) addSchools(ctx context.Context) (spares []string, err error) {
	var rows string
	if err := l.ours.catalog.Pool().QueryRow(ctx, "select jsonb_agg(to_jsonb(tenants))::text from tenants").Scan(&rows); err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	_, err = l.schools.catalog.Pool().Exec(ctx, `
		insert into tenants
		select school.*
		from jsonb_array_elements($1::jsonb) with ordinality as tenant (facts, number),
			jsonb_populate_record(null::tenants, facts || jsonb_build_object(
				'state', 'ready', 'name', 'School ' || number, 'slug', 'school-' || number, 'ready_at', now())) as school`, rows)
	if err != nil {
		return nil, fmt.Errorf("copy tenants: %w", err)
	}
	if err := l.withoutSync(ctx, l.schools.signup.RefillSpares); err != nil {
		return nil, err
	}
	made, err := l.schools.catalog.Pool().Query(ctx, "select database from tenants where state = 'spare'")
	if err != nil {
		return nil, fmt.Errorf("list spares: %w", err)
	}
	return pgx.CollectRows(made, pgx.RowTo[string])
}

// prepareLevel prepares a level's turn: its spares are available again, its server has written its caches, and the
// other servers are idle.
func (l *level) prepareLevel(b *testbed, levels []*level) func(context.Context) error {
	return func(ctx context.Context) error {
		resting := []*testbed{b}
		for _, other := range levels {
			resting = append(resting, other.testbed)
		}
		for _, server := range resting {
			value := "off"
			if server == l.testbed {
				value = "on"
			}
			if err := server.setting(ctx, "autovacuum", value); err != nil {
				return err
			}
		}
		if err := l.sparePool.full(ctx); err != nil {
			return err
		}
		return l.checkpoint(ctx)
	}
}

func (l *level) close() error {
	if l.front != nil {
		_ = l.front.server.Close()
	}
	if l.schools != nil {
		l.schools.close()
	}
	if l.alone {
		return l.closeServer()
	}
	return nil
}

// judgeScale compares the largest level with the smallest.
func judgeScale(levels []*level, one, many, checks []*variant) []verdict {
	const most = 1.2 // that many times slower may a sign-up be
	var verdicts []verdict
	last := len(levels) - 1
	for _, of := range []struct {
		all   []*variant
		limit float64
	}{{one, most}, {many, 0}} {
		small, large := of.all[0], of.all[last]
		what := fmt.Sprintf("sign-up, our own time, %d tenants over %d, %s", levels[last].tenants, levels[0].tenants, clientsOf(small))
		verdicts = append(verdicts, atMost(what, ownAt(large, 0.5)/ownAt(small, 0.5), "×", of.limit))
		verdicts = append(verdicts, eachRound(large.ownByRound(), small.ownByRound(), "×")...)
		for i, c := range of.all {
			what := fmt.Sprintf("  its 99th percentile, %d tenants, %s", levels[i].tenants, clientsOf(c))
			verdicts = append(verdicts, atMost(what, ownAt(c, 0.99), "ms", 0))
		}
	}
	for i, c := range checks {
		what := fmt.Sprintf("start-up check of %d tenants with a database each", levels[i].tenants)
		verdicts = append(verdicts, atMost(what, describe("", 0, c.total).Median, "ms", 1000))
	}
	return verdicts
}

func clientsOf(c *variant) string {
	if c.clients == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", c.clients)
}

// ownAt is a percentile of our own time, in milliseconds.
func ownAt(c *variant, p float64) float64 {
	ms := make([]float64, len(c.own))
	for i, d := range c.own {
		ms[i] = float64(d) / float64(time.Millisecond)
	}
	return percentile(ms, p)
}
