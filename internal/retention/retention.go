// Package retention deletes the rows of the catalog that are kept for a time only, once that is over.
//
// It works in small batches with a pause after each, waits for no lock, and locks nothing that a sign-up needs. One process does
// it at a time. A crash leaves rows that are deleted the next time.
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

// Config is what a Sweeper needs. How long something is kept is for ever where it is zero.
type Config struct {
	Catalog *catalog.Store
	// Signups is how long sign-ups that ended without a school are kept, and invitations that ended.
	Signups time.Duration
	// Events is how long is kept what was told: events, their deliveries to webhooks, and mails.
	Events time.Duration
	// Runs is how long runs over the fleet are kept, with how they went for each tenant.
	Runs time.Duration
	// Audit is how long is kept what somebody did.
	Audit time.Duration
	// Batch is how many rows one statement deletes at most. Defaults to 1000.
	Batch int
	// Pause is how long it waits after each full batch. Defaults to 100 ms.
	Pause time.Duration
	// Logger is told what was deleted, and what goes wrong. Defaults to slog.Default().
	Logger *slog.Logger
}

const (
	// lock is held by the process that sweeps.
	lock = "retention"
	// sweepTimeout bounds a pass. The next goes on where it was.
	sweepTimeout = time.Hour
)

// The first pass begins soon after the start, so that processes which do not live long delete too.
var (
	firstSweep = killpoint.ScaleTime(10 * time.Second)
	sweepEvery = killpoint.ScaleTime(time.Minute)
)

// rule is how long the rows of a table are kept.
type rule struct {
	table catalog.Table
	keep  time.Duration
	// often: it happens all the time, and is not worth a line in the log.
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
		{table: catalog.OutcomesTable, keep: cfg.Runs}, // before their runs
		{table: catalog.RunsTable, keep: cfg.Runs},
		{table: catalog.AuditTable, keep: cfg.Audit},
	} {
		if r.keep > 0 {
			s.rules = append(s.rules, r)
		}
	}
	return s, nil
}

// Run sweeps now and then, until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	for next := firstSweep; wait.For(ctx, next) == nil; next = sweepEvery {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("delete old rows", "error", err)
		}
	}
}

// Sweep deletes all old rows, unless another process is about it. What fails for one table does not keep the others.
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

// sweepTable deletes the old rows of a table, and returns how many.
func (s *Sweeper) sweepTable(ctx context.Context, r rule) (deleted int64, err error) {
	for {
		n, err := s.cfg.Catalog.DeleteOld(ctx, r.table, r.keep, s.cfg.Batch)
		deleted += n
		if err != nil || n < int64(s.cfg.Batch) || wait.For(ctx, s.cfg.Pause) != nil {
			return deleted, err
		}
	}
}
