package jobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Unfinished is a job that is running or waiting.
type Unfinished struct {
	ID          int64
	Kind, State string
	// TenantID is the tenant of the job, if it has one.
	TenantID *uuid.UUID
	// Stuck is true if it has been running longer than any attempt may: its process has died and no other has taken it.
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

// Cancel prevents further attempts of a job. It does not change a finished one.
func (q *Queue) Cancel(ctx context.Context, id int64) error {
	if _, err := q.client.JobCancel(ctx, id); err != nil {
		return fmt.Errorf("cancel job %d: %w", id, err)
	}
	return nil
}
