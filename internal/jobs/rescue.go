package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// River gives a job whose process died to another only after a time that no attempt may exceed, since it cannot
// distinguish a dead process from a slow one: many minutes, in which a tenant may be without its database. So a
// worker of a re-provisioning holds an advisory lock of the job on a session of its own, and a running job whose lock
// is free is made available again. A process that lost only that session continues beside the next one: the tenant's
// lock separates them. The same is true for a worker that sends a mail, for which somebody waits; the mail's row
// separates two of them.

// rescueEvery is how often a process looks for jobs without a worker, and the minimum age of their attempt: taking a
// job and taking its lock are two steps.
var rescueEvery = killpoint.ScaleTime(5 * time.Second)

// jobLockPrefix and a job's id are the name of its lock.
const jobLockPrefix = "homeroom job "

// withJobLock runs f while this process holds the job's lock.
func withJobLock(ctx context.Context, pool *pgxpool.Pool, job int64, f func() error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to lock job %d: %w", job, err)
	}
	defer conn.Release()
	id := postgres.NamedLock(jobLockPrefix + strconv.FormatInt(job, 10))
	if err := postgres.Lock(ctx, conn.Conn(), id, 0); err != nil {
		return fmt.Errorf("lock job %d: %w", job, err)
	}
	defer postgres.Unlock(ctx, conn.Conn(), id)
	return f()
}

// rescue makes jobs available again whose process has died, until ctx ends.
func (r *Runner) rescue(ctx context.Context) {
	ticker := time.NewTicker(rescueEvery)
	defer ticker.Stop()
	for {
		if err := rescueOnce(ctx, r.pool); err != nil && ctx.Err() == nil {
			r.logger.Warn("look for jobs whose process has died", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func rescueOnce(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, `
		select id
		from `+schema+`.river_job
		where state = 'running' and kind = any($1) and attempted_at < now() - $2::interval`,
		[]string{ReprovisionTenant{}.Kind(), SendMail{}.Kind()}, rescueEvery)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	for _, id := range ids {
		// This statement holds the lock: no other process can hold it, or take the job, while it runs.
		_, failed := pool.Exec(ctx, `
			update `+schema+`.river_job
			set state = 'available', scheduled_at = now()
			where id = $1 and state = 'running' and pg_try_advisory_xact_lock(hashtextextended($2::text || $1::bigint, 0))`,
			id, jobLockPrefix)
		err = errors.Join(err, failed)
	}
	return err
}
