package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// secretOverlap is how long the old secret is still used after a rotation.
const secretOverlap = "interval '24 hours'" //nolint:gosec // a length of time

// WebhookEndpoint is an external address that gets events.
type WebhookEndpoint struct {
	ID          uuid.UUID
	URL         string
	Description string
	// Events are the event types that it subscribes to; none means all.
	Events []string
	// Rotation identifies the secret.
	Rotation int
	// RotatedAt is nil while it has its first secret; PreviousUntil is nil unless the old one is still used too.
	RotatedAt     *time.Time
	PreviousUntil *time.Time
	Enabled       bool
	// DisabledBecause is nil while it is enabled.
	DisabledBecause *string
	CreatedBy       string
	CreatedAt       time.Time
}

const endpointColumns = `id, url, description, events, rotation, rotated_at,
	case when rotated_at + ` + secretOverlap + ` > now() then rotated_at + ` + secretOverlap + ` end as previous_until,
	enabled, disabled_because, created_by, created_at`

// NewWebhookEndpoint is an endpoint to insert.
type NewWebhookEndpoint struct {
	ID               uuid.UUID
	URL, Description string
	Events           []string
	CreatedBy        string
}

// AddWebhookTx inserts an endpoint in the caller's transaction.
func (s *Store) AddWebhookTx(ctx context.Context, tx pgx.Tx, endpoint NewWebhookEndpoint) (WebhookEndpoint, error) {
	added, err := one[WebhookEndpoint](ctx, tx, `
		insert into webhook_endpoints (id, url, description, events, created_by)
		values ($1, $2, $3, $4, $5)
		returning `+endpointColumns,
		endpoint.ID, endpoint.URL, endpoint.Description, emptyNotNil(endpoint.Events), endpoint.CreatedBy)
	if err != nil {
		return WebhookEndpoint{}, fmt.Errorf("add webhook: %w", known(err))
	}
	return added, nil
}

// WebhookChange is a change of an endpoint; nil fields stay as they are.
type WebhookChange struct {
	URL, Description *string
	Events           *[]string
	// Enabled with false needs DisabledBecause.
	Enabled         *bool
	DisabledBecause string
}

// ChangeWebhookTx changes an endpoint in the caller's transaction. The pending deliveries of one that is disabled
// become dead: replay those that are still needed after enabling it again.
func (s *Store) ChangeWebhookTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, change WebhookChange) (WebhookEndpoint, error) {
	var events []string // nil becomes null, which changes nothing
	if change.Events != nil {
		events = emptyNotNil(*change.Events)
	}
	changed, err := one[WebhookEndpoint](ctx, tx, `
		update webhook_endpoints
		set url = coalesce($2, url), description = coalesce($3, description), events = coalesce($4, events),
			enabled = coalesce($5, enabled),
			disabled_because = case when coalesce($5, enabled) then null else coalesce(disabled_because, $6) end
		where id = $1
		returning `+endpointColumns,
		id, change.URL, change.Description, events, change.Enabled, change.DisabledBecause)
	if err == nil && change.Enabled != nil && !*change.Enabled {
		_, err = tx.Exec(ctx, `
			update webhook_deliveries
			set state = 'dead', next_attempt_at = null, last_problem = 'the webhook was disabled'
			where endpoint_id = $1 and state = 'pending'`, id)
	}
	if err != nil {
		return WebhookEndpoint{}, fmt.Errorf("change webhook %s: %w", id, known(err))
	}
	return changed, nil
}

// RotateWebhookTx gives an endpoint a new secret, in the caller's transaction. The old one is used too for a while.
func (s *Store) RotateWebhookTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) (WebhookEndpoint, error) {
	rotated, err := one[WebhookEndpoint](ctx, tx, `
		update webhook_endpoints set rotation = rotation + 1, rotated_at = now() where id = $1 returning `+endpointColumns, id)
	if err != nil {
		return WebhookEndpoint{}, fmt.Errorf("rotate the secret of webhook %s: %w", id, known(err))
	}
	return rotated, nil
}

// RemoveWebhookTx removes an endpoint with all its deliveries, in the caller's transaction.
func (s *Store) RemoveWebhookTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	tag, err := tx.Exec(ctx, `delete from webhook_endpoints where id = $1`, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove webhook %s: %w", id, err)
	}
	return nil
}

// Webhook finds an endpoint.
func (s *Store) Webhook(ctx context.Context, id uuid.UUID) (WebhookEndpoint, error) {
	endpoint, err := one[WebhookEndpoint](ctx, s.pool, `select `+endpointColumns+` from webhook_endpoints where id = $1`, id)
	if err != nil {
		return WebhookEndpoint{}, fmt.Errorf("find webhook %s: %w", id, known(err))
	}
	return endpoint, nil
}

var webhookList = list[WebhookEndpoint]{
	query: `select ` + endpointColumns + ` from webhook_endpoints where true`, key: "id", newestFirst: true,
	id: func(e WebhookEndpoint) uuid.UUID { return e.ID },
}

// Webhooks lists endpoints, newest first. It fails with [ErrBadCursor].
func (s *Store) Webhooks(ctx context.Context, cursor string, limit int) (Page[WebhookEndpoint], error) {
	endpoints, err := webhookList.page(ctx, s.pool, cursor, limit)
	if err != nil {
		return Page[WebhookEndpoint]{}, fmt.Errorf("list webhooks: %w", err)
	}
	return endpoints, nil
}
