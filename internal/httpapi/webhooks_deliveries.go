package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/messages"
)

func (s *server) registerDeliveries() {
	who := withPermission(manageWebhooks)
	register(s, who, huma.Operation{
		OperationID: "listWebhookDeliveries", Method: http.MethodGet, Path: "/webhooks/{id}/deliveries", Tags: []string{tagWebhooks},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "List what a webhook was told",
		Description: "Newest first, in pages. Deliveries are kept for 30 days.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.listDeliveries)
	register(s, who, huma.Operation{
		OperationID: "replayWebhookDelivery", Method: http.MethodPost, Path: "/webhooks/{id}/deliveries/{delivery}/replay", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Send a delivery again",
		Description: "Whatever has become of it: at once, and with as many attempts as a new one. Its `webhook-id` is the same, so that a receiver which has " +
			"it can tell. The body is empty, or an object without members.",
		DefaultStatus: http.StatusAccepted,
		Errors:        []int{http.StatusNotFound},
	}, s.postReplay)
	register(s, who, huma.Operation{
		OperationID: "pingWebhook", Method: http.MethodPost, Path: "/webhooks/{id}/ping", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Try a webhook",
		Description: "Sends an event of the type `ping` at once, and once, even where the webhook is disabled, and tells how that went. It is no delivery: it is " +
			"not kept, and not repeated. The body is empty, or an object without members.",
		Errors: []int{http.StatusNotFound},
	}, s.postPing)
}

// WebhookDelivery is an event on its way to a webhook.
type WebhookDelivery struct {
	ID            uuid.UUID             `json:"id" doc:"The delivery's id, which is the webhook-id of every attempt."`
	EventID       uuid.UUID             `json:"eventId" doc:"The event, which has a delivery for each webhook."`
	EventType     string                `json:"eventType" doc:"What has happened." example:"tenant.ready"`
	State         catalog.DeliveryState `json:"state" doc:"pending is sent again until it arrives; dead was given up."`
	Attempts      int                   `json:"attempts" doc:"How often it was sent." example:"2"`
	NextAttemptAt *time.Time            `json:"nextAttemptAt,omitempty" doc:"When it is sent next; absent unless it is pending. While it is being sent, when that is taken for lost."`
	AttemptedAt   *time.Time            `json:"attemptedAt,omitempty" doc:"When it was sent last."`
	EndedAt       *time.Time            `json:"endedAt,omitempty" doc:"When the outcome of an attempt was known last."`
	LastStatus    *int                  `json:"lastStatus,omitempty" doc:"The HTTP status that was answered last; absent where there was no answer." example:"500"`
	LastProblem   string                `json:"lastProblem,omitempty" doc:"Why that was no success." example:"it answered 500"`
	CreatedAt     time.Time             `json:"createdAt" doc:"When it was made of the event."`
}

func deliveryOf(row catalog.Delivery) WebhookDelivery {
	return WebhookDelivery{
		ID: row.ID, EventID: row.EventID, EventType: row.EventType, State: row.State, Attempts: row.Attempts,
		NextAttemptAt: utc(row.NextAttemptAt), AttemptedAt: utc(row.AttemptedAt), EndedAt: utc(row.EndedAt),
		LastStatus: row.LastStatus, LastProblem: orZero(row.LastProblem), CreatedAt: row.CreatedAt.UTC(),
	}
}

type listDeliveriesInput struct {
	WebhookPath
	PageInput
	State catalog.DeliveryState `query:"state" doc:"Only these."`
	Limit int                   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to list."`
}

// DeliveryPage is a part of the list.
type DeliveryPage struct {
	Deliveries []WebhookDelivery `json:"deliveries" doc:"The deliveries."`
	NextCursor string            `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type listDeliveriesOutput struct{ Body DeliveryPage }

func (s *server) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*listDeliveriesOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Catalog.Webhook(ctx, id); err != nil {
		return nil, err
	}
	found, err := s.cfg.Catalog.Deliveries(ctx, id, in.State, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, deliveryOf)
	return &listDeliveriesOutput{DeliveryPage{shown, next}}, nil
}

type replayInput struct {
	WebhookPath
	Delivery string `path:"delivery" doc:"The delivery's id." example:"0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
	Body     *noMembers
}

type deliveryOutput struct{ Body WebhookDelivery }

func (s *server) postReplay(ctx context.Context, in *replayInput) (*deliveryOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	delivery, err := parseID(in.Delivery, messages.ID("detail.no_delivery"))
	if err != nil {
		return nil, err
	}
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	row, err := s.cfg.Webhooks.Replay(ctx, actor(ctx), id, delivery)
	if err != nil {
		return nil, webhookError(err)
	}
	return &deliveryOutput{deliveryOf(row)}, nil
}

type pingInput struct {
	WebhookPath
	Body *noMembers
}

// Ping is how trying a webhook went.
type Ping struct {
	Delivered  bool   `json:"delivered" doc:"Whether the receiver has taken it."`
	Status     int    `json:"status,omitempty" doc:"The HTTP status that it answered; absent where it did not." example:"204"`
	Problem    string `json:"problem,omitempty" doc:"Why that is no success." example:"its certificate is not good"`
	DurationMS int64  `json:"durationMs" doc:"How long it took." example:"87"`
}

type pingOutput struct{ Body Ping }

func (s *server) postPing(ctx context.Context, in *pingInput) (*pingOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	outcome, err := s.cfg.Webhooks.Ping(ctx, actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &pingOutput{Ping{
		Delivered: outcome.OK(), Status: outcome.Status, Problem: outcome.Problem, DurationMS: outcome.Took.Milliseconds(),
	}}, nil
}
