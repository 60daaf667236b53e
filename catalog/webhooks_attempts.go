package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Attempt is a delivery that its holder sends now, with all its data.
type Attempt struct {
	DeliveryID uuid.UUID
	Endpoint   WebhookEndpoint
	Event      OutboxEvent
	// Number counts the attempts of the delivery from 1, Round those since it was new or replayed.
	Number, Round int
	// At is when it began, by the catalog's clock.
	At time.Time
}

// orderingWindow is how long an event of a school waits for the first attempt at an older event of the same school.
const orderingWindow = "interval '1 minute'"

// olderDeliveries finds deliveries to the same endpoint, of older events of the same school, whose first attempt has
// not ended.
const olderDeliveries = `
	select from webhook_deliveries older
	join outbox_events older_event on older_event.id = older.event_id
	where older.endpoint_id = webhook_deliveries.endpoint_id and older.state = 'pending' and older.ended_at is null
		and older.created_at > now() - ` + orderingWindow + `
		and older_event.tenant_id = outbox_events.tenant_id and older_event.number < outbox_events.number`

// BeginAttempt leases a delivery that is due, and counts the attempt before it is made. If the attempt is nil there is
// nothing to do: at all if wait is 0, else before that time has passed. It fails with [ErrNotFound].
//
// The first attempts at the events of one school are made one after the other, so that a working endpoint gets them in
// order.
func (s *Store) BeginAttempt(ctx context.Context, id uuid.UUID, lease time.Duration) (attempt *Attempt, wait time.Duration, err error) {
	begun, err := one[begunAttempt](ctx, s.pool, `
		update webhook_deliveries
		set attempts = attempts + 1, attempted_at = now(), next_attempt_at = now() + $2::interval
		from webhook_endpoints, outbox_events
		where webhook_deliveries.id = $1 and state = 'pending' and next_attempt_at <= now()
			and webhook_endpoints.id = endpoint_id and enabled and outbox_events.id = event_id
			and (ended_at is not null or not exists (`+olderDeliveries+`))
		returning webhook_deliveries.id as delivery_id, endpoint_id, event_id, attempts as number, attempts - attempts_before as round,
			attempted_at as at`, id, lease)
	if errors.Is(err, pgx.ErrNoRows) {
		wait, err = s.timeUntilDue(ctx, id)
		return nil, wait, err
	}
	if err != nil {
		return nil, 0, fmt.Errorf("begin to send delivery %s: %w", id, err)
	}
	attempt = &Attempt{DeliveryID: begun.DeliveryID, Number: begun.Number, Round: begun.Round, At: begun.At}
	if attempt.Endpoint, err = s.Webhook(ctx, begun.EndpointID); err != nil {
		return nil, 0, err
	}
	attempt.Event, err = s.outboxEventByID(ctx, begun.EventID)
	return attempt, 0, err
}

// begunAttempt is an attempt before its endpoint and its event have been read.
type begunAttempt struct {
	DeliveryID, EndpointID, EventID uuid.UUID
	Number, Round                   int
	At                              time.Time
}

// timeUntilDue returns how long a delivery that could not be begun has to wait; zero if it waits for nothing.
func (s *Store) timeUntilDue(ctx context.Context, id uuid.UUID) (time.Duration, error) {
	var wait time.Duration
	err := s.pool.QueryRow(ctx, `
		select case when state = 'pending' and enabled then greatest(next_attempt_at - now(), interval '1 s') else interval '0' end
		from webhook_deliveries
		join webhook_endpoints on webhook_endpoints.id = endpoint_id
		where webhook_deliveries.id = $1`, id).Scan(&wait)
	if err != nil {
		return 0, fmt.Errorf("read delivery %s: %w", id, known(err))
	}
	return wait, nil
}

// NextInOrder finds the delivery that has waited for the first attempt at this one, or [ErrNotFound].
func (s *Store) NextInOrder(ctx context.Context, done Attempt) (uuid.UUID, error) {
	var id uuid.UUID
	err := s.pool.QueryRow(ctx, `
		select webhook_deliveries.id
		from webhook_deliveries
		join outbox_events on outbox_events.id = event_id
		where endpoint_id = $1 and tenant_id = $2 and number > $3 and state = 'pending' and attempts = 0
			and ended_at is null
		order by number
		limit 1`, done.Endpoint.ID, done.Event.TenantID, done.Event.Number).Scan(&id)
	if err != nil {
		return uuid.Nil, fmt.Errorf("find the delivery after %s: %w", done.DeliveryID, known(err))
	}
	return id, nil
}

// Delivered records that the endpoint has accepted it. An attempt whose lease has expired may still record that.
func (s *Store) Delivered(ctx context.Context, attempt Attempt, status int) error {
	_, err := s.pool.Exec(ctx, `
		update webhook_deliveries
		set state = 'delivered', next_attempt_at = null, last_status = $2, last_problem = null, ended_at = now()
		where id = $1 and state <> 'delivered'`, attempt.DeliveryID, status)
	if err != nil {
		return fmt.Errorf("record that delivery %s has arrived: %w", attempt.DeliveryID, err)
	}
	return nil
}

// AttemptFailure is why an attempt has failed, without secrets, and the status of the endpoint's answer, nil if there
// was none.
type AttemptFailure struct {
	Status  *int
	Problem string
}

// RetryLaterTx records a failed attempt, and when the next one is due, in the caller's transaction. It fails with
// [ErrStateChanged] if another attempt has the delivery by now, or it has ended.
func (s *Store) RetryLaterTx(ctx context.Context, tx pgx.Tx, attempt Attempt, failure AttemptFailure, delay time.Duration) error {
	return changeOne(ctx, tx, "put off delivery", attempt.DeliveryID, `
		update webhook_deliveries
		set next_attempt_at = now() + $3::interval, last_status = $4, last_problem = $5, ended_at = now()
		where id = $1 and attempts = $2 and state = 'pending'`,
		attempt.DeliveryID, attempt.Number, delay, failure.Status, failure.Problem)
}

// MarkDeadTx records a failed attempt as the last one, in the caller's transaction. It fails with [ErrStateChanged] if
// another attempt has the delivery by now, or it has ended.
func (s *Store) MarkDeadTx(ctx context.Context, tx pgx.Tx, attempt Attempt, failure AttemptFailure) error {
	return changeOne(ctx, tx, "give up delivery", attempt.DeliveryID, `
		update webhook_deliveries
		set state = 'dead', next_attempt_at = null, last_status = $3, last_problem = $4, ended_at = now()
		where id = $1 and attempts = $2 and state = 'pending'`,
		attempt.DeliveryID, attempt.Number, failure.Status, failure.Problem)
}

// OverdueDeliveries finds deliveries that are overdue for longer than that, the longest first, at most limit.
func (s *Store) OverdueDeliveries(ctx context.Context, since time.Duration, limit int) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, `
		select webhook_deliveries.id
		from webhook_deliveries
		join webhook_endpoints on webhook_endpoints.id = endpoint_id
		where state = 'pending' and next_attempt_at < now() - $1::interval and enabled
		order by next_attempt_at, webhook_deliveries.id
		limit $2`, since, limit)
	if err != nil {
		return nil, fmt.Errorf("find overdue deliveries: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("find overdue deliveries: %w", err)
	}
	return ids, nil
}
