package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/migrations"
	"homeroom/tenant"
)

// migrateAll migrates the tenants that have no outcome in the run yet, and then those that have come since, until there
// are none: an older program may still be adding some.
func (f *Fleet) migrateAll(ctx context.Context, run uuid.UUID, options Options, servers []string) error {
	row, err := f.cfg.Catalog.RunByID(ctx, run)
	if err != nil {
		return err
	}
	counter := &counter{tell: options.Progress, started: time.Now()}
	counter.progress = Progress{Done: row.Done, Failed: row.Failed, Total: row.Total}
	for {
		behind, err := f.behind(ctx, options, servers, run)
		if err != nil || len(behind) == 0 {
			return err
		}
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(f.cfg.Concurrency)
		for _, t := range behind {
			group.Go(func() error { return f.migrateOne(inner, run, t, counter) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
}

// migrateOne migrates a tenant and records the outcome. Its error ends the run: the catalog cannot be written, or ctx
// has ended.
func (f *Fleet) migrateOne(ctx context.Context, run uuid.UUID, t catalog.Tenant, counter *counter) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	started := time.Now()
	result, err := f.try(ctx, t)
	if ctx.Err() != nil {
		return ctx.Err() // interrupted, which says nothing of the tenant
	}
	outcome := catalog.Outcome{
		TenantID: t.ID, Database: t.Database, State: "done",
		FromVersion: t.SchemaVersion, ToVersion: result.To, DurationMS: time.Since(started).Milliseconds(),
	}
	if t.Slug != "" {
		outcome.Slug = &t.Slug
	}
	if err != nil {
		problem := err.Error()
		outcome.State, outcome.Problem, outcome.ToVersion = "failed", &problem, max(result.To, t.SchemaVersion)
		f.cfg.Logger.Error("migrate a tenant", "tenant", t.ID, "slug", t.Slug, "database", t.Database, "cause", err)
	}
	err = f.cfg.Catalog.RecordOutcome(ctx, run, outcome, err != nil && !passing(err))
	if errors.Is(err, catalog.ErrStateChanged) {
		return nil // another process, which took us for dead, has recorded it
	}
	if err != nil {
		return err
	}
	counter.count(outcome.State)
	return nil
}

// try migrates a tenant, again when the cause is likely to pass.
func (f *Fleet) try(ctx context.Context, t catalog.Tenant) (migrations.Result, error) {
	server, err := f.cfg.Servers.Get(t.Server)
	if err != nil {
		return migrations.Result{}, err
	}
	for attempt := 1; ; attempt++ {
		result, err := server.Migrate(ctx, tenant.ID(t.ID))
		if err == nil || !passing(err) || attempt == 3 {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, ctx.Err()
		case <-time.After(time.Duration(attempt) * 500 * time.Millisecond):
		}
	}
}

// passing tells causes that lie outside the tenant: a lock somebody holds, a server that does not answer, a deadlock. They
// fail the tenant in this run, and do not quarantine it.
func passing(err error) bool {
	if errors.Is(err, tenant.ErrBusy) {
		return true
	}
	var state *migrations.StateError
	if errors.As(err, &state) {
		return false
	}
	// lock_not_available, serialization_failure, deadlock_detected; and object_not_in_prerequisite_state and
	// read_only_sql_transaction: a database that is closed for a while, a server that is a standby now.
	return postgres.IsCode(err, "55P03", "40001", "40P01", "55000", "25006") || postgres.Unreachable(err)
}

// counter counts outcomes and tells of each.
type counter struct {
	mu       sync.Mutex
	progress Progress
	started  time.Time
	tell     func(Progress)
}

func (c *counter) count(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == "done" {
		c.progress.Done++
	} else {
		c.progress.Failed++
	}
	c.progress.Total = max(c.progress.Total, c.progress.Done+c.progress.Failed)
	c.progress.Elapsed = time.Since(c.started)
	if c.tell != nil {
		c.tell(c.progress)
	}
}
