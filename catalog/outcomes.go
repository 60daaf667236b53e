package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Outcome is the result of a run for one tenant.
type Outcome struct {
	TenantID uuid.UUID
	Database string
	Slug     *string
	State    string // done or failed
	// FromVersion and ToVersion are the versions before and after; they are equal if nothing was applied.
	FromVersion, ToVersion uint
	// Problem is the cause of a failure. It is the same text for every tenant with the same cause.
	Problem    *string
	DurationMS int64
	// Attempts is how often it was tried.
	Attempts int
	// Counts reports whether a failure was caused by the migration: then it quarantines the tenant, and counts against
	// the run's error budget. A lock of another session does neither.
	Counts     bool
	FinishedAt time.Time
}

// RecordOutcomes records the results of a run for some tenants, together with the consequences for them: a new version
// and the end of a quarantine, or a quarantine with the problem as its cause. A schema that has changed has an unknown
// fingerprint until it is inspected. It is one statement. It does not replace an outcome that another process has
// recorded, which considered this one dead, and a tenant that is being replaced stays quarantined.
func (s *Store) RecordOutcomes(ctx context.Context, run uuid.UUID, outcomes []Outcome) error {
	rows := make([]map[string]any, len(outcomes))
	for i, o := range outcomes {
		rows[i] = map[string]any{
			"tenant_id": o.TenantID, "database": o.Database, "slug": o.Slug, "state": o.State, "from_version": o.FromVersion,
			"to_version": o.ToVersion, "problem": o.Problem, "duration_ms": o.DurationMS, "attempts": o.Attempts,
			"counts": o.Counts,
		}
	}
	_, err := s.pool.Exec(ctx, `
		with outcome as (
			insert into migration_outcomes (run_id, tenant_id, database, slug, state, from_version, to_version, problem, duration_ms,
				attempts, counts)
			select $1, tenant_id, database, slug, state, from_version, to_version, problem, duration_ms, attempts, counts
			from jsonb_to_recordset($2::jsonb) as told (tenant_id uuid, database text, slug text, state text, from_version bigint,
				to_version bigint, problem text, duration_ms bigint, attempts integer, counts boolean)
			on conflict do nothing
			returning tenant_id, state, to_version, problem, counts
		), healthy as (
			update tenants
			set schema_version = outcome.to_version,
				fingerprint = case when schema_version = outcome.to_version then fingerprint end,
				held_at = case when run.hold then outcome.to_version end,
				state = case when quarantine_kind = 'replaced' then tenants.state else coalesce(resume_state, tenants.state) end,
				resume_state = case when quarantine_kind = 'replaced' then resume_state end,
				quarantine_cause = case when quarantine_kind = 'replaced' then quarantine_cause end,
				quarantine_kind = case when quarantine_kind = 'replaced' then quarantine_kind end,
				wanted_at = null,
				updated_at = now(), `+keepClaimable+`
			from outcome, migration_runs run
			where tenants.id = outcome.tenant_id and outcome.state = 'done' and tenants.state <> 'deleted'
				and run.id = $1
		)
		update tenants
		set resume_state = coalesce(resume_state, tenants.state), state = 'quarantined', quarantine_kind = 'migration',
			quarantine_cause = outcome.problem, schema_version = outcome.to_version, wanted_at = null, updated_at = now(), `+keepClaimable+`,
			fingerprint = case when schema_version = outcome.to_version then fingerprint end
		from outcome
		where tenants.id = outcome.tenant_id and outcome.state = 'failed' and outcome.counts and tenants.state <> 'deleted'
			and quarantine_kind is distinct from 'replaced'`, run, rows)
	if err != nil {
		return fmt.Errorf("record outcomes of migration run %s: %w", run, known(err))
	}
	return nil
}

const outcomeSelect = `
	select tenant_id, database, slug, state, from_version, to_version, problem, duration_ms, attempts, counts, finished_at
	from migration_outcomes
	where run_id = $1`

// Outcomes lists the results of a run for its tenants: failures first.
func (s *Store) Outcomes(ctx context.Context, run uuid.UUID) ([]Outcome, error) {
	outcomes, err := many[Outcome](ctx, s.pool, outcomeSelect+` order by state desc, finished_at, tenant_id`, run)
	if err != nil {
		return nil, fmt.Errorf("list outcomes of run %s: %w", run, err)
	}
	return outcomes, nil
}

var outcomeList = list[Outcome]{
	query: outcomeSelect + ` and ($2 = '' or state = $2)`, key: "tenant_id", id: func(o Outcome) uuid.UUID { return o.TenantID },
}

// OutcomePage lists outcomes of a run by the id of their tenant. An empty state lists all. It fails with [ErrBadCursor].
func (s *Store) OutcomePage(ctx context.Context, run uuid.UUID, state, cursor string, limit int) (Page[Outcome], error) {
	outcomes, err := outcomeList.page(ctx, s.pool, cursor, limit, run, state)
	if err != nil {
		return Page[Outcome]{}, fmt.Errorf("list outcomes of run %s: %w", run, err)
	}
	return outcomes, nil
}

// FailureGroup are the tenants of a run that failed for the same cause.
type FailureGroup struct {
	Problem string
	Tenants int
	// Examples are up to five of their slugs, or of their databases if no school has them.
	Examples []string
}

// FailureGroups lists the causes for which tenants of a run failed, the most frequent first, at most 20.
func (s *Store) FailureGroups(ctx context.Context, run uuid.UUID) ([]FailureGroup, error) {
	groups, err := many[FailureGroup](ctx, s.pool, `
		select problem, count(*) as tenants,
			(array_agg(coalesce(slug, database) order by finished_at))[1:5] as examples
		from migration_outcomes
		where run_id = $1 and state = 'failed'
		group by problem
		order by count(*) desc, problem
		limit 20`, run)
	if err != nil {
		return nil, fmt.Errorf("group failures of run %s: %w", run, err)
	}
	return groups, nil
}
