package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"homeroom/webhook"
)

// webhooksQueue is a queue of its own: slow receivers must not delay sign-ups.
const webhooksQueue = "webhooks"

// webhookWorkers is the number of parallel requests to receivers per process.
const webhookWorkers = 16

// DeliverWebhook delivers an event to an endpoint.
type DeliverWebhook struct {
	DeliveryID uuid.UUID `json:"delivery_id"`
}

// Kind implements river.JobArgs.
func (DeliverWebhook) Kind() string { return "deliver_webhook" }

var _ webhook.Queue = (*Queue)(nil)

// DeliverWebhooksTx implements [webhook.Queue].
func (q *Queue) DeliverWebhooksTx(ctx context.Context, tx pgx.Tx, deliveries []uuid.UUID, delay time.Duration) error {
	if len(deliveries) == 0 {
		return nil
	}
	jobs := make([]river.InsertManyParams, len(deliveries))
	for i, id := range deliveries {
		opts := &river.InsertOpts{Queue: webhooksQueue}
		if delay > 0 {
			opts.ScheduledAt = time.Now().Add(delay)
		}
		jobs[i] = river.InsertManyParams{Args: DeliverWebhook{DeliveryID: id}, InsertOpts: opts}
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("queue %d deliveries: %w", len(deliveries), err)
	}
	return nil
}

// addWebhooks adds the worker that calls the service.
func addWebhooks(work *work, service *webhook.Service) {
	work.queues[webhooksQueue] = river.QueueConfig{MaxWorkers: webhookWorkers}
	river.AddWorker(work.workers, river.WorkFunc(func(ctx context.Context, job *river.Job[DeliverWebhook]) error {
		wait, err := service.Deliver(ctx, job.Args.DeliveryID)
		if err == nil && wait > 0 {
			return river.JobSnooze(wait)
		}
		return err
	}))
}
