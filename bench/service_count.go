package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/wait"
)

// countWait is how long Postgres may take to update its statistics.
var countWait = 11 * time.Second

// counters are the server's statistics.
type counters struct {
	Commits, Syncs, WAL float64
}

// count counts the database's work for a sign-up, with all background work of the service except refilling: the work
// in the same time without sign-ups is subtracted.
func (s *served) count(ctx context.Context) ([]verdict, error) {
	s.logf("counting what a sign-up costs")
	conn, err := s.catalog.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	const keeper = "hashtextextended('homeroom spares of server main', 0)" // the refiller's lock
	if _, err := conn.Exec(ctx, "select pg_advisory_lock("+keeper+")"); err != nil {
		return nil, fmt.Errorf("lock out the spare pool refiller: %w", err)
	}
	n := max(s.spares/4, 1)
	var at [3]counters
	for i := range at {
		if i == 1 {
			for range n {
				if _, _, err := s.front.post(ctx); err != nil {
					return nil, err
				}
			}
		}
		if err := wait.For(ctx, countWait); err != nil {
			return nil, err
		}
		if at[i], err = s.counters(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_unlock("+keeper+")"); err != nil {
		return nil, err
	}
	each := func(value func(counters) float64) float64 {
		return (value(at[1]) - value(at[0]) - (value(at[2]) - value(at[1]))) / float64(n)
	}
	found := []verdict{
		atLeast("  transactions in the catalog for a sign-up, all in all", each(func(c counters) float64 { return c.Commits }), "", 0),
		atLeast("  waits for the disk (WAL fsyncs) for a sign-up, all in all", each(func(c counters) float64 { return c.Syncs }), "", 0),
		atLeast("  WAL for a sign-up, all in all", each(func(c counters) float64 { return c.WAL })/1024, "kB", 0),
	}
	for _, v := range found {
		s.logf("%s: %s %s", strings.TrimSpace(v.What), digits(v.Value), v.Unit)
	}
	return found, nil
}

// counters reads the counters. Postgres 18 counts fsyncs in another view.
func (s *served) counters(ctx context.Context) (counters, error) {
	rows, err := s.catalog.Query(ctx, `
		select (select xact_commit from pg_stat_database where datname = current_database())::float8 as commits,
			coalesce((select to_jsonb(pg_stat_wal) ->> 'wal_sync' from pg_stat_wal)::float8, 0) as syncs,
			(pg_current_wal_insert_lsn() - '0/0')::float8 as wal`)
	if err != nil {
		return counters{}, fmt.Errorf("read the counters: %w", err)
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[counters])
}
