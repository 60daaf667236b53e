package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrRunActive says that another fleet run has not finished.
var ErrRunActive = errors.New("another migration run is active")

// Run is one pass over the fleet.
type Run struct {
	ID        uuid.UUID
	State     string // running, done or failed
	ToVersion uint
	// Total is how many tenants were behind when it began.
	Total     int
	StartedBy string
	// OnlyTenants are the tenants it was narrowed to; empty is the whole fleet.
	OnlyTenants []string
	Problem     *string
	StartedAt   time.Time
	// FinishedAt is nil while it runs.
	FinishedAt *time.Time
	// Done and Failed count its outcomes so far.
	Done, Failed int
}

const runSelect = `
	select id, state, to_version, total, started_by, only_tenants, problem, started_at, finished_at,
		(select count(*) from migration_outcomes where run_id = migration_runs.id and state = 'done') as done,
		(select count(*) from migration_outcomes where run_id = migration_runs.id and state = 'failed') as failed
	from migration_runs`

// Outcome is how a run ended for one tenant.
type Outcome struct {
	TenantID uuid.UUID
	Database string
	Slug     *string
	State    string // done or failed
	// FromVersion and ToVersion are the versions before and after; they are equal where nothing was applied.
	FromVersion, ToVersion uint
	// Problem is the cause of a failure.
	Problem    *string
	DurationMS int64
	FinishedAt time.Time
}

// BehindFilter chooses the tenants of a run.
type BehindFilter struct {
	// Lineage names the migrations, Version the version to reach. Tenants of other migrations are never behind.
	Lineage string
	Version uint
	// Servers are the servers this process can reach.
	Servers []string
	// Only narrows to tenants with one of these ids, slugs or database names; empty is all.
	Only []string
	// SkipQuarantined leaves out those that wait for a person.
	SkipQuarantined bool
	// NotIn leaves out tenants that have an outcome in this run; the zero UUID leaves out none.
	NotIn uuid.UUID
}

// Behind lists the tenants whose database is older than the version, schools before spares, oldest version first. The
// ones that are up to date cost nothing. Quarantined ones are among them: a run is their way back.
func (s *Store) Behind(ctx context.Context, filter BehindFilter) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where schema_version < $1 and lineage = $5
			and (state in ('spare', 'reserved', 'ready', 'suspended') or state = 'quarantined' and not $6)
			and server = any($2)
			and (cardinality($3::text[]) = 0 or slug = any($3) or database = any($3) or id::text = any($3))
			and not exists (select from migration_outcomes where run_id = $4 and tenant_id = tenants.id)
		order by (name is null), schema_version, created_at, id`,
		filter.Version, filter.Servers, emptyNotNil(filter.Only), filter.NotIn, filter.Lineage, filter.SkipQuarantined)
	if err != nil {
		return nil, fmt.Errorf("list tenants behind version %d: %w", filter.Version, err)
	}
	return tenants, nil
}

// emptyNotNil keeps pgx from sending null for a list that is nil.
func emptyNotNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// StartRun writes the row of a run that is narrowed to these tenants, or to none. It fails with [ErrRunActive] as long as
// another runs.
func (s *Store) StartRun(ctx context.Context, id uuid.UUID, version uint, total int, by string, only []string) error {
	_, err := s.pool.Exec(ctx, `
		insert into migration_runs (id, to_version, total, started_by, only_tenants)
		values ($1, $2, $3, $4, $5)`, id, version, total, by, emptyNotNil(only))
	if err != nil {
		return fmt.Errorf("start migration run: %w", known(err))
	}
	return nil
}

// FinishRun ends a run; an empty problem means that it looked at every tenant.
func (s *Store) FinishRun(ctx context.Context, id uuid.UUID, problem string) error {
	return changeOne(ctx, s.pool, "finish migration run", id, `
		update migration_runs
		set state = case when $2 = '' then 'done' else 'failed' end, problem = nullif($2, ''), finished_at = now()
		where id = $1 and state = 'running'`, id, problem)
}

// ActiveRun finds the run that has not finished, or [ErrNotFound].
func (s *Store) ActiveRun(ctx context.Context) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+` where state = 'running'`)
	if err != nil {
		return Run{}, fmt.Errorf("find the active migration run: %w", known(err))
	}
	return run, nil
}

// DoneSince finds the newest run of the whole fleet to this version that ended well after the time, or [ErrNotFound].
func (s *Store) DoneSince(ctx context.Context, since time.Time, version uint) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+`
		where state = 'done' and to_version = $2 and finished_at >= $1 and only_tenants = '{}'
		order by finished_at desc
		limit 1`, since, version)
	if err != nil {
		return Run{}, fmt.Errorf("find a finished migration run: %w", known(err))
	}
	return run, nil
}

// Now is the clock that decides.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.pool.QueryRow(ctx, "select now()").Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read the catalog's clock: %w", err)
	}
	return now, nil
}

// RunByID finds a run.
func (s *Store) RunByID(ctx context.Context, id uuid.UUID) (Run, error) {
	run, err := one[Run](ctx, s.pool, runSelect+` where id = $1`, id)
	if err != nil {
		return Run{}, fmt.Errorf("find migration run %s: %w", id, known(err))
	}
	return run, nil
}

// Outcomes lists how a run ended for its tenants: failures first.
func (s *Store) Outcomes(ctx context.Context, run uuid.UUID) ([]Outcome, error) {
	outcomes, err := many[Outcome](ctx, s.pool, `
		select tenant_id, database, slug, state, from_version, to_version, problem, duration_ms, finished_at
		from migration_outcomes
		where run_id = $1
		order by state desc, finished_at, tenant_id`, run)
	if err != nil {
		return nil, fmt.Errorf("list outcomes of run %s: %w", run, err)
	}
	return outcomes, nil
}

// RecordOutcome writes how a run ended for a tenant, together with what follows for the tenant: its new version and the
// end of a quarantine, or, when quarantine is set, a quarantine with the problem as its cause.
func (s *Store) RecordOutcome(ctx context.Context, run uuid.UUID, outcome Outcome, quarantine bool) error {
	return s.InTx(ctx, func(tx pgx.Tx) error { return s.RecordOutcomeTx(ctx, tx, run, outcome, quarantine) })
}

// RecordOutcomeTx is [Store.RecordOutcome] in the caller's transaction.
func (s *Store) RecordOutcomeTx(ctx context.Context, tx pgx.Tx, run uuid.UUID, outcome Outcome, quarantine bool) error {
	var err error
	switch {
	case outcome.Problem == nil:
		err = s.HealthyTx(ctx, tx, outcome.TenantID, outcome.ToVersion)
	case quarantine:
		err = s.QuarantineTx(ctx, tx, outcome.TenantID, *outcome.Problem)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into migration_outcomes (run_id, tenant_id, database, slug, state, from_version, to_version, problem, duration_ms)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		run, outcome.TenantID, outcome.Database, outcome.Slug, outcome.State, outcome.FromVersion, outcome.ToVersion,
		outcome.Problem, outcome.DurationMS)
	if err != nil {
		return fmt.Errorf("record outcome of tenant %s: %w", outcome.TenantID, known(err))
	}
	return nil
}
