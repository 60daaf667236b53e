// Package jobs runs the durable work: River's queue in the catalog's database.
//
// A job only starts work: its arguments are ids, the catalog's rows hold the work to do, and the
// reconcilers of the packages signup and webhook would do the same work later without it. The package also relays
// events to functions that create jobs of them.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"homeroom/signup"
	"homeroom/webhook"
)

// schema keeps River's tables apart from the catalog's.
const schema = "river"

// Queue inserts jobs. It runs none.
type Queue struct {
	client *river.Client[pgx.Tx]
}

// NewQueue creates a Queue.
func NewQueue(pool *pgxpool.Pool) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema})
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Queue{client}, nil
}

// Runner runs jobs.
type Runner struct {
	client *river.Client[pgx.Tx]
	pool   *pgxpool.Pool
	logger *slog.Logger
	// stopRescue stops the search for jobs whose process has died.
	stopRescue context.CancelFunc
}

const (
	// jobTimeout bounds one attempt. It is above all timeouts of provisioning.
	jobTimeout = 10 * time.Minute
	// rescueAfter is when River gives a job whose process died to another. It must be above jobTimeout, since River cannot
	// tell a dead process from a slow one. For jobs that cannot wait as long see rescue.
	rescueAfter = 12 * time.Minute
	// endedRetention is how long River keeps completed and cancelled jobs, failedRetention those that failed finally. One of the
	// runners deletes older ones, soon after its start and then twice a minute.
	endedRetention, failedRetention = 24 * time.Hour, 7 * 24 * time.Hour
)

// Handlers are the services that the jobs call. Each kind of work has its own queue. Only processes with a handler for it
// take jobs from the queue.
type Handlers struct {
	// Signups re-provisions tenants.
	Signups *signup.Service
	// Webhooks delivers events to endpoints.
	Webhooks *webhook.Service
	// Mails sends mails to people.
	Mails Mailer
}

// NewRunner creates a Runner that calls these handlers.
func NewRunner(pool *pgxpool.Pool, handlers Handlers, logger *slog.Logger) (*Runner, error) {
	work := &work{workers: river.NewWorkers(), queues: map[string]river.QueueConfig{}}
	if handlers.Signups != nil {
		addSignups(work, pool, handlers.Signups)
	}
	if handlers.Webhooks != nil {
		addWebhooks(work, handlers.Webhooks)
	}
	if handlers.Mails != nil {
		addMails(work, pool, handlers.Mails)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:               schema,
		Queues:               work.queues,
		Workers:              work.workers,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: rescueAfter,
		RetryPolicy:          retryPolicy{},
		Logger:               logger,

		CompletedJobRetentionPeriod: endedRetention,
		CancelledJobRetentionPeriod: endedRetention,
		DiscardedJobRetentionPeriod: failedRetention,
	})
	if err != nil {
		return nil, fmt.Errorf("create the job runner: %w", err)
	}
	return &Runner{client: client, pool: pool, logger: logger, stopRescue: func() {}}, nil
}

// work is a runner's workers, and the queues that it takes jobs from.
type work struct {
	workers *river.Workers
	queues  map[string]river.QueueConfig
}

// Start starts the runner. It returns at once.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.client.Start(ctx); err != nil {
		return fmt.Errorf("start the job runner: %w", err)
	}
	ctx, r.stopRescue = context.WithCancel(ctx)
	go r.rescue(ctx)
	return nil
}

// Stop waits for running jobs, and cancels them when ctx ends first. Cancelled jobs run again later.
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
