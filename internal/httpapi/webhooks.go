package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/webhook"
)

// manageWebhooks is the permission for webhooks: its owner decides where events are sent.
const manageWebhooks = "manage:webhooks"

func (s *server) registerWebhooks() {
	who := withPermission(manageWebhooks)
	register(s, who, huma.Operation{
		OperationID: "listWebhooks", Method: http.MethodGet, Path: "/webhooks", Tags: []string{tagWebhooks},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "List the webhooks",
		Description: "Newest first, in pages, without their secrets.",
		Errors:      []int{http.StatusUnprocessableEntity},
	}, s.listWebhooks)
	register(s, who, huma.Operation{
		OperationID: "getWebhook", Method: http.MethodGet, Path: "/webhooks/{id}", Tags: []string{tagWebhooks},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "Read a webhook",
		Description: "The answer does not contain its secret: `POST /webhooks/{id}/rotate` makes a new one, and the command `homeroom webhook show --secret` prints it.",
		Errors:      []int{http.StatusNotFound},
	}, s.getWebhook)
	s.registerWebhookChanges()
	s.registerDeliveries()
}

// Webhook is an external address that receives events.
type Webhook struct {
	ID                  uuid.UUID  `json:"id" doc:"The webhook's id."`
	URL                 string     `json:"url" doc:"The URL that events are posted to."`
	Description         string     `json:"description,omitempty" doc:"A description for people." example:"Billing"`
	Events              []string   `json:"events" doc:"The types of events that it receives; an empty list means all."`
	Enabled             bool       `json:"enabled" doc:"Whether it receives events."`
	DisabledBecause     string     `json:"disabledBecause,omitempty" doc:"Why it is disabled."`
	CreatedBy           string     `json:"createdBy" doc:"Who added it." example:"auth0|0199…"`
	CreatedAt           time.Time  `json:"createdAt" doc:"When it was added."`
	RotatedAt           *time.Time `json:"rotatedAt,omitempty" doc:"When it got its current secret; absent for the first one."`
	PreviousSecretUntil *time.Time `json:"previousSecretUntil,omitempty" doc:"Until when requests are also signed with the previous secret; absent if they are not."`
}

func webhookOf(row catalog.WebhookEndpoint) Webhook {
	return Webhook{
		ID: row.ID, URL: row.URL, Description: row.Description, Events: row.Events, Enabled: row.Enabled, CreatedBy: row.CreatedBy,
		CreatedAt: row.CreatedAt.UTC(), RotatedAt: utc(row.RotatedAt), PreviousSecretUntil: utc(row.PreviousUntil),
		DisabledBecause: orZero(row.DisabledBecause),
	}
}

// WebhookPath names a webhook. It is exported, since huma does not read unexported embedded structs.
type WebhookPath struct {
	ID string `path:"id" doc:"The webhook's id." example:"0199c1b0-7d2e-7aa0-b9a1-0f6f3c1e2d4b"`
}

// id returns the id in the path. A text that is not an id is answered like an unknown id.
func (p WebhookPath) id() (uuid.UUID, error) {
	return parseID(p.ID, messages.ID("detail.no_webhook"))
}

// webhookError maps the errors that only webhooks have.
func webhookError(err error) error {
	var invalid *webhook.InvalidError
	switch {
	case errors.As(err, &invalid):
		fields := make([]problem.Field, len(invalid.Fields))
		for i, field := range invalid.Fields {
			fields[i] = problem.Field(field)
		}
		return problem.Invalid(fields...)
	case errors.Is(err, webhook.ErrNotReplayable):
		return problem.Invalid(problem.Field{Field: "delivery", Code: "wrong_state", Message: messages.ID("detail.delivery_held")})
	}
	return err
}

type webhookOutput struct{ Body Webhook }

func (s *server) getWebhook(ctx context.Context, in *WebhookPath) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	row, err := s.cfg.Catalog.Webhook(ctx, id)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{webhookOf(row)}, nil
}

// WebhookPage is a page of the list.
type WebhookPage struct {
	Webhooks   []Webhook `json:"webhooks" doc:"The webhooks."`
	NextCursor string    `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type listWebhooksOutput struct{ Body WebhookPage }

func (s *server) listWebhooks(ctx context.Context, in *ListInput) (*listWebhooksOutput, error) {
	found, err := s.cfg.Catalog.Webhooks(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, webhookOf)
	return &listWebhooksOutput{WebhookPage{shown, next}}, nil
}
