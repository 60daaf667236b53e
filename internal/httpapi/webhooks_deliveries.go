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
		Summary:     "List the deliveries to a webhook",
		Description: "Newest first, in pages. Deliveries are kept for 30 days.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.listDeliveries)
	register(s, who, huma.Operation{
		OperationID: "replayWebhookDelivery", Method: http.MethodPost, Path: "/webhooks/{id}/deliveries/{delivery}/replay", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Send a delivery again",
		Description: "In any state: at once, and with as many attempts as a new one. Its `webhook-id` is the same, so that a receiver that already has " +
			"it can recognise it. The body is empty, or an object without members.",
		DefaultStatus: http.StatusAccepted,
		Errors:        []int{http.StatusNotFound},
	}, s.postReplay)
	register(s, who, huma.Operation{
		OperationID: "pingWebhook", Method: http.MethodPost, Path: "/webhooks/{id}/ping", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Try a webhook",
		Description: "Sends one event of the type `ping` at once, also to a disabled webhook, and answers with the result. It is not a delivery: it is " +
			"neither stored nor repeated. The body is empty, or an object without members.",
		Errors: []int{http.StatusNotFound},
	}, s.postPing)
}

// WebhookDelivery is a delivery of an event to a webhook.
type WebhookDelivery struct {
	ID            uuid.UUID             `json:"id" doc:"The delivery's id, which is the webhook-id of every attempt."`
	EventID       uuid.UUID             `json:"eventId" doc:"The event, which has a delivery for each webhook."`
	EventType     string                `json:"eventType" doc:"The type of the event." example:"tenant.ready"`
	State         catalog.DeliveryState `json:"state" doc:"pending is sent again until it arrives; dead is not sent again."`
	Attempts      int                   `json:"attempts" doc:"The number of attempts." example:"2"`
	NextAttemptAt *time.Time            `json:"nextAttemptAt,omitempty" doc:"The time of the next attempt; absent unless it is pending. During an attempt, the time after which that attempt counts as lost."`
	AttemptedAt   *time.Time            `json:"attemptedAt,omitempty" doc:"The time of the last attempt."`
	EndedAt       *time.Time            `json:"endedAt,omitempty" doc:"The end of the last attempt with a known result."`
	LastStatus    *int                  `json:"lastStatus,omitempty" doc:"The HTTP status of the last answer; absent without an answer." example:"500"`
	LastProblem   string                `json:"lastProblem,omitempty" doc:"Why the last attempt failed." example:"it answered 500"`
	CreatedAt     time.Time             `json:"createdAt" doc:"When it was created."`
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
	State catalog.DeliveryState `query:"state" doc:"Only deliveries in this state."`
	Limit int                   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The size of a page."`
}

// DeliveryPage is a page of the list.
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

// Ping is the result of a ping.
type Ping struct {
	Delivered  bool   `json:"delivered" doc:"Whether the receiver has accepted it."`
	Status     int    `json:"status,omitempty" doc:"The HTTP status of the answer; absent without an answer." example:"204"`
	Problem    string `json:"problem,omitempty" doc:"Why it failed." example:"its certificate is not good"`
	DurationMS int64  `json:"durationMs" doc:"The duration." example:"87"`
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
