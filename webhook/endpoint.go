package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/secret"
)

// EndpointParams are the parameters of a new endpoint.
type EndpointParams struct {
	URL, Description string
	// Events are the event types that it subscribes to; none means all.
	Events []string
}

// Add adds an endpoint, and returns it with its secret. It fails with an *[InvalidError].
func (s *Service) Add(ctx context.Context, actor catalog.Actor, params EndpointParams) (catalog.WebhookEndpoint, secret.String, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return catalog.WebhookEndpoint{}, "", fmt.Errorf("create an id: %w", err)
	}
	var endpoint catalog.WebhookEndpoint
	if err := s.check(&params.URL, &params.Description, &params.Events); err != nil {
		return endpoint, "", err
	}
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		endpoint, err = s.cfg.Catalog.AddWebhookTx(ctx, tx, catalog.NewWebhookEndpoint{
			ID: id, URL: params.URL, Description: params.Description, Events: params.Events, CreatedBy: actor.Name,
		})
		if err != nil {
			return err
		}
		return s.record(ctx, tx, actor, "webhook.add", id, nil)
	})
	if err != nil {
		return endpoint, "", err
	}
	return endpoint, s.Secret(endpoint), nil
}

// Change is a change of an endpoint; nil fields stay as they are.
type Change struct {
	URL, Description *string
	Events           *[]string
	Enabled          *bool
}

// Change changes an endpoint. It fails with an *[InvalidError] or [catalog.ErrNotFound].
func (s *Service) Change(ctx context.Context, actor catalog.Actor, id uuid.UUID, change Change) (catalog.WebhookEndpoint, error) {
	var endpoint catalog.WebhookEndpoint
	if err := s.check(change.URL, change.Description, change.Events); err != nil {
		return endpoint, err
	}
	action := "webhook.change"
	if change.Enabled != nil {
		action = map[bool]string{true: "webhook.enable", false: "webhook.disable"}[*change.Enabled]
	}
	err := s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		endpoint, err = s.cfg.Catalog.ChangeWebhookTx(ctx, tx, id, catalog.WebhookChange{
			URL: change.URL, Description: change.Description, Events: change.Events, Enabled: change.Enabled,
			DisabledBecause: "disabled by " + actor.Name,
		})
		if err != nil {
			return err
		}
		return s.record(ctx, tx, actor, action, id, nil)
	})
	return endpoint, err
}

// Remove removes an endpoint with all its deliveries. It fails with [catalog.ErrNotFound].
func (s *Service) Remove(ctx context.Context, actor catalog.Actor, id uuid.UUID) error {
	return s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.RemoveWebhookTx(ctx, tx, id); err != nil {
			return err
		}
		return s.record(ctx, tx, actor, "webhook.remove", id, nil)
	})
}

// Rotate gives an endpoint a new secret, and returns it. Requests are signed with the old one too for a day. It fails with
// [catalog.ErrNotFound].
func (s *Service) Rotate(ctx context.Context, actor catalog.Actor, id uuid.UUID) (catalog.WebhookEndpoint, secret.String, error) {
	var endpoint catalog.WebhookEndpoint
	err := s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		if endpoint, err = s.cfg.Catalog.RotateWebhookTx(ctx, tx, id); err != nil {
			return err
		}
		return s.record(ctx, tx, actor, "webhook.rotate", id, nil)
	})
	if err != nil {
		return endpoint, "", err
	}
	return endpoint, s.Secret(endpoint), nil
}

// ErrNotReplayable means that a delivery cannot be sent again now.
var ErrNotReplayable = errors.New("the webhook is disabled, or the delivery is being sent at this moment")

// Replay sends a delivery again, whatever its state is, at once and with all its attempts. It fails with [ErrNotReplayable] or
// [catalog.ErrNotFound].
func (s *Service) Replay(ctx context.Context, actor catalog.Actor, endpoint, id uuid.UUID) (catalog.Delivery, error) {
	if _, err := s.cfg.Catalog.Delivery(ctx, endpoint, id); err != nil {
		return catalog.Delivery{}, err
	}
	err := s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ReplayTx(ctx, tx, endpoint, id); err != nil {
			return err
		}
		if err := s.record(ctx, tx, actor, "webhook.replay", endpoint, map[string]any{"delivery": id}); err != nil {
			return err
		}
		return s.cfg.Queue.DeliverWebhooksTx(ctx, tx, []uuid.UUID{id}, 0)
	})
	if errors.Is(err, catalog.ErrStateChanged) {
		return catalog.Delivery{}, ErrNotReplayable
	}
	if err != nil {
		return catalog.Delivery{}, err
	}
	return s.cfg.Catalog.Delivery(ctx, endpoint, id)
}

// Ping sends an event of the type ping once, also to a disabled endpoint. It stores no delivery. It fails with
// [catalog.ErrNotFound]; the receiver's response is in the outcome.
func (s *Service) Ping(ctx context.Context, actor catalog.Actor, id uuid.UUID) (Outcome, error) {
	endpoint, err := s.cfg.Catalog.Webhook(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	now := time.Now()
	text, err := body(catalog.OutboxEvent{Type: pingEvent, CreatedAt: now, Data: json.RawMessage(`{"webhook":"` + id.String() + `"}`)})
	if err != nil {
		return Outcome{}, err
	}
	outcome, err := s.send(ctx, message{id: uuid.NewString(), endpoint: endpoint, body: text, at: now})
	if err != nil {
		return Outcome{}, fmt.Errorf("ping webhook %s: %w", id, err)
	}
	return outcome, s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		return s.record(ctx, tx, actor, "webhook.ping", id, map[string]any{"status": outcome.Status})
	})
}

// record writes an audit event about an endpoint. It omits the URL, which may contain a token.
func (s *Service) record(ctx context.Context, tx pgx.Tx, actor catalog.Actor, action string, id uuid.UUID, more map[string]any) error {
	details := map[string]any{"webhook": id}
	maps.Copy(details, more)
	return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(actor, action).With(details))
}
