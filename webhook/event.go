package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// Events returns the event types that endpoints can subscribe to. All others are internal.
func Events() []string {
	return []string{
		catalog.UserCreated, catalog.OrganizationCreated, catalog.SessionCreated, catalog.TenantReady, catalog.TenantFailed,
		catalog.TenantSuspended, catalog.TenantDeleted, catalog.MigrationFinished,
	}
}

// pingEvent is the event type of [Service.Ping].
const pingEvent = "ping"

// payload is the body of a request.
type payload struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

func body(event catalog.OutboxEvent) ([]byte, error) {
	text, err := json.Marshal(payload{event.Type, event.CreatedAt.UTC(), event.Data})
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", event.ID, err)
	}
	return text, nil
}

// FanOutTx inserts a delivery and a job for each event and each endpoint that subscribes to it, in the transaction
// that removes the events from the outbox.
func (s *Service) FanOutTx(ctx context.Context, tx pgx.Tx, events []catalog.OutboxEvent) error {
	outside := Events()
	var types []string
	for _, event := range events {
		if slices.Contains(outside, event.Type) {
			types = append(types, event.Type)
		}
	}
	if len(types) == 0 {
		return nil
	}
	endpoints, err := s.cfg.Catalog.SubscribersTx(ctx, tx, types)
	if err != nil {
		return err
	}
	var deliveries []catalog.NewDelivery
	for _, event := range events {
		for _, endpoint := range endpoints {
			if slices.Contains(types, event.Type) && subscribes(endpoint, event.Type) {
				id, err := uuid.NewV7()
				if err != nil {
					return fmt.Errorf("create an id: %w", err)
				}
				deliveries = append(deliveries, catalog.NewDelivery{ID: id, EventID: event.ID, EndpointID: endpoint.ID})
			}
		}
	}
	if len(deliveries) == 0 {
		return nil
	}
	added, err := s.cfg.Catalog.AddDeliveriesTx(ctx, tx, deliveries)
	if err != nil {
		return err
	}
	return s.cfg.Queue.DeliverWebhooksTx(ctx, tx, added, 0)
}

func subscribes(endpoint catalog.WebhookEndpoint, event string) bool {
	return len(endpoint.Events) == 0 || slices.Contains(endpoint.Events, event)
}
