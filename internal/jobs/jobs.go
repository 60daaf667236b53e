// Package jobs runs the durable work: River's queue in the catalog's database.
//
// A job is an alarm clock, never the truth: its arguments are ids, the catalog's rows say what there is to do, and the
// reconciler of the package signup would get there without it, only later.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"homeroom/signup"
)

// schema keeps River's tables apart from the catalog's.
const schema = "river"

// FinishSignup settles a sign-up whose process may have died.
type FinishSignup struct {
	SignupID uuid.UUID `json:"signup_id"`
}

// Kind implements river.JobArgs.
func (FinishSignup) Kind() string { return "finish_signup" }

// ReprovisionTenant runs every provisioning step of a tenant again.
type ReprovisionTenant struct {
	TenantID uuid.UUID `json:"tenant_id"`
	// Kept is the name under which the old database is kept; empty leaves it where it is.
	Kept string `json:"kept,omitempty"`
}

// Kind implements river.JobArgs.
func (ReprovisionTenant) Kind() string { return "reprovision_tenant" }

// Queue takes jobs. It runs none.
type Queue struct {
	client *river.Client[pgx.Tx]
}

var _ signup.Queue = (*Queue)(nil)

// NewQueue makes a Queue.
func NewQueue(pool *pgxpool.Pool) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema})
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Queue{client}, nil
}

// FinishSignupTx implements [signup.Queue].
func (q *Queue) FinishSignupTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, delay time.Duration) error {
	_, err := q.client.InsertTx(ctx, tx, FinishSignup{SignupID: id}, &river.InsertOpts{ScheduledAt: time.Now().Add(delay)})
	if err != nil {
		return fmt.Errorf("queue the end of sign-up %s: %w", id, err)
	}
	return nil
}

// ReprovisionTx implements [signup.Queue].
func (q *Queue) ReprovisionTx(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, kept string) error {
	_, err := q.client.InsertTx(ctx, tx, ReprovisionTenant{TenantID: tenant, Kept: kept}, &river.InsertOpts{MaxAttempts: 100})
	if err != nil {
		return fmt.Errorf("queue the provisioning of tenant %s: %w", tenant, err)
	}
	return nil
}

// Runner works on jobs.
type Runner struct {
	client *river.Client[pgx.Tx]
	pool   *pgxpool.Pool
	logger *slog.Logger
	// stopRescue ends the look for jobs whose process has died.
	stopRescue context.CancelFunc
}

const (
	// jobTimeout bounds one attempt. It is above everything that provisioning waits for by itself.
	jobTimeout = 10 * time.Minute
	// rescueAfter is when River gives a job whose process died to another. It must be above jobTimeout, since River cannot
	// tell a dead process from a slow one. For jobs that cannot wait as long see rescue.
	rescueAfter = 12 * time.Minute
)

// NewRunner makes a Runner that calls the service.
func NewRunner(pool *pgxpool.Pool, service *signup.Service, logger *slog.Logger) (*Runner, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[FinishSignup]) error {
		return service.Settle(ctx, job.Args.SignupID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ReprovisionTenant]) error {
		err := holding(ctx, pool, job.ID, func() error { return service.RunReprovision(ctx, job.Args.TenantID, job.Args.Kept) })
		if signup.NeedsPerson(err) {
			return river.JobCancel(err) // the tenant is quarantined, with the cause
		}
		return err
	}))
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:               schema,
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		Workers:              workers,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: rescueAfter,
		RetryPolicy:          soon{},
		Logger:               logger,
	})
	if err != nil {
		return nil, fmt.Errorf("make the job runner: %w", err)
	}
	return &Runner{client: client, pool: pool, logger: logger, stopRescue: func() {}}, nil
}

// Start begins to work. It returns at once.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.client.Start(ctx); err != nil {
		return fmt.Errorf("start the job runner: %w", err)
	}
	ctx, r.stopRescue = context.WithCancel(ctx)
	go r.rescue(ctx)
	return nil
}

// Stop lets the jobs that run end, and cancels them when ctx ends first. Those are done again later.
func (r *Runner) Stop(ctx context.Context) error {
	r.stopRescue()
	if err := r.client.Stop(ctx); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.client.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop the job runner: %w", err)
	}
	return nil
}

// Stopped is closed once the runner has stopped, by Stop or by itself.
func (r *Runner) Stopped() <-chan struct{} { return r.client.Stopped() }
