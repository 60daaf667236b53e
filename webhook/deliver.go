package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// recordTimeout limits the recording of an outcome, which is done even if the caller's context has ended.
const recordTimeout = 10 * time.Second

// Deliver sends a delivery if it is due, and then the deliveries of the same school that were waiting for it. It
// returns how long the delivery must still wait; zero if nothing is left to do, or another job exists for it. An error
// is the catalog's: the delivery stays due.
func (s *Service) Deliver(ctx context.Context, id uuid.UUID) (wait time.Duration, err error) {
	attempt, wait, err := s.cfg.Catalog.BeginAttempt(ctx, id, s.lease())
	for attempt != nil && err == nil {
		wait = 0 // the deliveries that follow have their own jobs
		killpoint.Here("webhook.attempt_begun")
		if err = s.attempt(ctx, *attempt); err != nil {
			break
		}
		if id, err = s.cfg.Catalog.NextInOrder(ctx, *attempt); err != nil {
			break
		}
		attempt, _, err = s.cfg.Catalog.BeginAttempt(ctx, id, s.lease())
	}
	if errors.Is(err, catalog.ErrNotFound) { // no delivery has waited, or it was removed with its endpoint
		err = nil
	}
	return wait, err
}

// attempt sends a delivery once, and records the outcome.
func (s *Service) attempt(ctx context.Context, attempt catalog.Attempt) error {
	text, err := body(attempt.Event)
	if err != nil {
		return err
	}
	outcome, err := s.send(ctx, message{
		id: attempt.DeliveryID.String(), endpoint: attempt.Endpoint, body: text, at: attempt.At,
	})
	if err != nil {
		return fmt.Errorf("send delivery %s: %w", attempt.DeliveryID, err)
	}
	killpoint.Here("webhook.sent")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if outcome.OK() {
		err = s.cfg.Catalog.Delivered(ctx, attempt, outcome.Status)
	} else {
		err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error { return s.recordFailure(ctx, tx, attempt, outcome) })
	}
	if errors.Is(err, catalog.ErrStateChanged) { // another attempt has begun, or the webhook was disabled
		return nil
	}
	if err == nil {
		killpoint.Here("webhook.recorded")
	}
	return err
}

// recordFailure schedules the next attempt, or marks the delivery as failed after the last one.
func (s *Service) recordFailure(ctx context.Context, tx pgx.Tx, attempt catalog.Attempt, outcome Outcome) error {
	failure := catalog.AttemptFailure{Problem: outcome.Problem}
	if outcome.Status != 0 {
		failure.Status = &outcome.Status
	}
	delay, more := retryDelay(attempt.Round, outcome.retryAfter)
	if more && !outcome.gone() {
		if err := s.cfg.Catalog.RetryLaterTx(ctx, tx, attempt, failure, delay); err != nil {
			return err
		}
		return s.cfg.Queue.DeliverWebhooksTx(ctx, tx, []uuid.UUID{attempt.DeliveryID}, delay)
	}
	log := s.cfg.Logger.With("webhook", attempt.Endpoint.ID, "delivery", attempt.DeliveryID, "event", attempt.Event.Type)
	if err := s.cfg.Catalog.MarkDeadTx(ctx, tx, attempt, failure); err != nil {
		return err
	}
	if !outcome.gone() {
		log.Warn("delivery failed, no attempts are left", "attempts", attempt.Number, "problem", outcome.Problem)
		return nil
	}
	return s.disableGone(ctx, tx, attempt.Endpoint, log)
}

// disableGone disables an endpoint that answered 410 Gone.
func (s *Service) disableGone(ctx context.Context, tx pgx.Tx, endpoint catalog.WebhookEndpoint, log *slog.Logger) error {
	off := false
	_, err := s.cfg.Catalog.ChangeWebhookTx(ctx, tx, endpoint.ID, catalog.WebhookChange{
		Enabled: &off, DisabledBecause: "it answered 410, which means that it is gone for good",
	})
	if err != nil {
		return err
	}
	log.Warn("disabled a webhook that answered 410")
	return s.record(ctx, tx, catalog.Actor{Name: "homeroom"}, "webhook.disable", endpoint.ID, nil)
}

const (
	// sweepEvery is the interval of [Service.Sweep], for deliveries whose job was lost or whose process has died.
	sweepEvery = 10 * time.Second
	// sweepAfter is how long they must be overdue, so that their jobs run first.
	sweepAfter = 15 * time.Second
	// sweepLimit is how many deliveries one sweep sends, and sweepAtOnce how many of them at the same time.
	sweepLimit, sweepAtOnce = 200, 8
)

// Reconcile sends overdue deliveries, until ctx ends.
func (s *Service) Reconcile(ctx context.Context) error {
	ticker := time.NewTicker(killpoint.ScaleTime(sweepEvery))
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx, killpoint.ScaleTime(sweepAfter)); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("send overdue deliveries", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sweep sends the deliveries that are overdue for at least that long.
func (s *Service) Sweep(ctx context.Context, overdue time.Duration) error {
	ids, err := s.cfg.Catalog.OverdueDeliveries(ctx, overdue, sweepLimit)
	if err != nil {
		return err
	}
	var group errgroup.Group // a failure does not cancel the others
	group.SetLimit(sweepAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			_, err := s.Deliver(ctx, id)
			return err
		})
	}
	return group.Wait()
}
