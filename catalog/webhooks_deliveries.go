package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// DeliveryState is the state of a delivery.
type DeliveryState string

// The states of a delivery. Only a replay changes the last two.
const (
	// DeliveryPending: it is to be sent, now or later.
	DeliveryPending DeliveryState = "pending"
	// DeliveryDelivered: the endpoint has accepted it.
	DeliveryDelivered DeliveryState = "delivered"
	// DeliveryDead: no further attempt is made.
	DeliveryDead DeliveryState = "dead"
)

// DeliveryStates are all states of a delivery.
var DeliveryStates = []DeliveryState{DeliveryPending, DeliveryDelivered, DeliveryDead}

// Delivery is an event on its way to an endpoint.
type Delivery struct {
	ID, EventID, EndpointID uuid.UUID
	EventType               string
	State                   DeliveryState
	// Attempts is how many attempts have begun.
	Attempts int
	// NextAttemptAt is nil unless it is pending.
	NextAttemptAt *time.Time
	// AttemptedAt is when the last attempt began, EndedAt when the last attempt whose end is known has ended.
	AttemptedAt, EndedAt *time.Time
	// LastStatus is the status of the endpoint's answer, nil if there was none; LastProblem is nil after a success.
	LastStatus  *int
	LastProblem *string
	CreatedAt   time.Time
}

const deliveryColumns = `webhook_deliveries.id, event_id, endpoint_id, type as event_type, state, attempts, next_attempt_at,
	attempted_at, ended_at, last_status, last_problem, webhook_deliveries.created_at`

// NewDelivery is a delivery to insert.
type NewDelivery struct{ ID, EventID, EndpointID uuid.UUID }

// SubscribersTx finds the endpoints that subscribe to some of these types, with the types of each. It locks them until
// the caller's transaction ends.
func (s *Store) SubscribersTx(ctx context.Context, tx pgx.Tx, types []string) ([]WebhookEndpoint, error) {
	endpoints, err := many[WebhookEndpoint](ctx, tx, `
		select `+endpointColumns+`
		from webhook_endpoints
		where enabled and (events = '{}' or events && $1)
		order by id
		for share`, types)
	if err != nil {
		return nil, fmt.Errorf("find webhooks for events: %w", err)
	}
	return endpoints, nil
}

// AddDeliveriesTx inserts deliveries in the caller's transaction, and returns those that did not exist yet.
func (s *Store) AddDeliveriesTx(ctx context.Context, tx pgx.Tx, deliveries []NewDelivery) ([]uuid.UUID, error) {
	ids, events, endpoints := make([]uuid.UUID, len(deliveries)), make([]uuid.UUID, len(deliveries)), make([]uuid.UUID, len(deliveries))
	for i, d := range deliveries {
		ids[i], events[i], endpoints[i] = d.ID, d.EventID, d.EndpointID
	}
	rows, err := tx.Query(ctx, `
		insert into webhook_deliveries (id, event_id, endpoint_id)
		select * from unnest($1::uuid[], $2::uuid[], $3::uuid[])
		on conflict do nothing
		returning id`, ids, events, endpoints)
	if err != nil {
		return nil, fmt.Errorf("add deliveries: %w", err)
	}
	added, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("add deliveries: %w", err)
	}
	return added, nil
}

const deliverySelect = `
	select ` + deliveryColumns + `
	from webhook_deliveries
	join outbox_events on outbox_events.id = event_id
	where endpoint_id = $1`

var deliveryList = list[Delivery]{
	query: deliverySelect + ` and ($2 = '' or state = $2)`, key: "webhook_deliveries.id", newestFirst: true,
	id: func(d Delivery) uuid.UUID { return d.ID },
}

// Deliveries lists deliveries to an endpoint, newest first. An empty state lists all. It fails with [ErrBadCursor].
func (s *Store) Deliveries(ctx context.Context, endpoint uuid.UUID, state DeliveryState, cursor string, limit int) (Page[Delivery], error) {
	deliveries, err := deliveryList.page(ctx, s.pool, cursor, limit, endpoint, string(state))
	if err != nil {
		return Page[Delivery]{}, fmt.Errorf("list deliveries to webhook %s: %w", endpoint, err)
	}
	return deliveries, nil
}

// Delivery finds a delivery to an endpoint.
func (s *Store) Delivery(ctx context.Context, endpoint, id uuid.UUID) (Delivery, error) {
	delivery, err := one[Delivery](ctx, s.pool, deliverySelect+` and webhook_deliveries.id = $2`, endpoint, id)
	if err != nil {
		return Delivery{}, fmt.Errorf("find delivery %s: %w", id, known(err))
	}
	return delivery, nil
}

// ReplayTx sends a delivery again, in the caller's transaction: at once, and with all attempts of a new one. It fails
// with [ErrStateChanged] if it is being sent now, or its endpoint is disabled.
func (s *Store) ReplayTx(ctx context.Context, tx pgx.Tx, endpoint, id uuid.UUID) error {
	return changeOne(ctx, tx, "replay delivery", id, `
		update webhook_deliveries
		set state = 'pending', next_attempt_at = now(), attempts_before = attempts
		from webhook_endpoints
		where webhook_deliveries.id = $1 and endpoint_id = $2 and webhook_endpoints.id = endpoint_id and enabled
			and not (state = 'pending' and attempted_at is not null and attempted_at > coalesce(ended_at, '-infinity')
				and next_attempt_at > now())`, id, endpoint)
}
