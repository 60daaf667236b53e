// Package retention deletes rows of the catalog whose retention time is over.
//
// It works in small batches with a pause after each, waits for no lock, and locks nothing that a sign-up needs. One
// process at a time does it. Rows that are left after a crash are deleted the next time.
package retention

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
)

// Config configures a Sweeper. A retention time of zero means forever.
type Config struct {
	Catalog *catalog.Store
	// Signups is the retention time of sign-ups that ended without a school, and of invitations that ended.
	Signups time.Duration
	// Events is the retention time of events, their deliveries to webhooks, and mails.
	Events time.Duration
	// Runs is the retention time of runs over the fleet, with their outcomes of each tenant.
	Runs time.Duration
	// Audit is the retention time of audit events.
	Audit time.Duration
	// Batch is the largest number of rows that one statement deletes. Defaults to 1000.
	Batch int
	// Pause is the time between two full batches. Defaults to 100 ms.
	Pause time.Duration
	// Logger logs what was deleted, and failures. Defaults to slog.Default().
	Logger *slog.Logger
}

const (
	// lock is held by the process that sweeps.
	lock = "retention"
	// sweepTimeout bounds a pass. The next pass continues.
	sweepTimeout = time.Hour
)

// The first pass begins soon after the start, so that processes which do not live long delete as well.
var (
	firstSweep = killpoint.ScaleTime(10 * time.Second)
	sweepEvery = killpoint.ScaleTime(time.Minute)
)

// rule is the retention time of the rows of a table.
type rule struct {
	table catalog.Table
	keep  time.Duration
	// often: rows are deleted all the time, which is not worth a line in the log.
	often bool
}

// Sweeper deletes old rows.
type Sweeper struct {
	cfg   Config
	rules []rule
}

// New makes a Sweeper.
func New(cfg Config) (*Sweeper, error) {
	if cfg.Catalog == nil {
		return nil, errors.New("the sweeper needs a catalog")
	}
	cfg.Batch = cmp.Or(cfg.Batch, 1000)
	cfg.Pause = cmp.Or(cfg.Pause, 100*time.Millisecond)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Sweeper{cfg: cfg, rules: []rule{{table: catalog.AllowancesTable, often: true}}}
	for _, r := range []rule{
		{table: catalog.SignupsTable, keep: cfg.Signups},
		{table: catalog.InvitationsTable, keep: cfg.Signups},
		{table: catalog.MailsTable, keep: cfg.Events},
		{table: catalog.OutboxTable, keep: cfg.Events},
		{table: catalog.OutcomesTable, keep: cfg.Runs}, // outcomes are deleted before their runs
		{table: catalog.RunsTable, keep: cfg.Runs},
		{table: catalog.AuditTable, keep: cfg.Audit},
	} {
		if r.keep > 0 {
			s.rules = append(s.rules, r)
		}
	}
	return s, nil
}

// Run sweeps at intervals, until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	for next := firstSweep; wait.For(ctx, next) == nil; next = sweepEvery {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("delete old rows", "error", err)
		}
	}
}

// Sweep deletes all old rows, unless another process is doing so. A failure for one table does not stop the others.
func (s *Sweeper) Sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	_, err := s.cfg.Catalog.Exclusive(ctx, lock, func(ctx context.Context) (failed error) {
		for _, r := range s.rules {
			deleted, err := s.sweepTable(ctx, r)
			if deleted > 0 && !r.often {
				s.cfg.Logger.Info("deleted old rows", "table", r.table, "count", deleted)
			}
			failed = errors.Join(failed, err)
		}
		return failed
	})
	return err
}

// sweepTable deletes the old rows of a table, and returns their number.
func (s *Sweeper) sweepTable(ctx context.Context, r rule) (deleted int64, err error) {
	for {
		n, err := s.cfg.Catalog.DeleteOld(ctx, r.table, r.keep, s.cfg.Batch)
		deleted += n
		if err != nil || n < int64(s.cfg.Batch) || wait.For(ctx, s.cfg.Pause) != nil {
			return deleted, err
		}
	}
}
