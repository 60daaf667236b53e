package jobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Unfinished is a job that runs, or that will.
type Unfinished struct {
	ID          int64
	Kind, State string
	// TenantID is what it is about, if it is about a tenant.
	TenantID *uuid.UUID
	// Stuck: it has been running for longer than any attempt may, so that its process has died and no other has taken it up.
	Stuck bool
}

// ListUnfinished lists the jobs that are not finished, by the clock of the catalog's server.
func ListUnfinished(ctx context.Context, pool *pgxpool.Pool) ([]Unfinished, error) {
	rows, err := pool.Query(ctx, `
		select id, kind, state::text, (args->>'tenant_id')::uuid as tenant_id,
			state = 'running' and attempted_at < now() - interval '15 minutes' as stuck
		from `+schema+`.river_job
		where finalized_at is null
		order by id`)
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByName[Unfinished])
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	return jobs, nil
}

// Cancel keeps a job from being tried again. One that has ended stays as it is.
func (q *Queue) Cancel(ctx context.Context, id int64) error {
	if _, err := q.client.JobCancel(ctx, id); err != nil {
		return fmt.Errorf("cancel job %d: %w", id, err)
	}
	return nil
}
