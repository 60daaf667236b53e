package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Event is an entry of the audit log.
type Event struct {
	ID int64
	At time.Time
	// Actor is a user's identity, "operator" at the command line, or "homeroom" for the service itself.
	Actor string
	// Action is a code such as "tenant.reprovision".
	Action    string
	TenantID  *uuid.UUID
	SignupID  *uuid.UUID
	RequestID *string
	Details   json.RawMessage
}

// Actor is the person or program that does something.
type Actor struct {
	// Name is as in [Event].
	Name string
	// RequestID is empty outside an HTTP request.
	RequestID string
}

// NewEvent returns an event of the actor.
func NewEvent(actor Actor, action string) Event {
	event := Event{Actor: actor.Name, Action: action}
	if actor.RequestID != "" {
		event.RequestID = &actor.RequestID
	}
	return event
}

// About returns the event with its tenant and its sign-up; nil means none.
func (e Event) About(tenant, signup *uuid.UUID) Event {
	e.TenantID, e.SignupID = tenant, signup
	return e
}

// With returns the event with further details, which must be encodable as JSON.
func (e Event) With(details any) Event {
	text, err := json.Marshal(details)
	if err != nil {
		panic(fmt.Sprintf("details of event %s: %v", e.Action, err))
	}
	e.Details = text
	return e
}

// Record writes an event.
func (s *Store) Record(ctx context.Context, event Event) error { return record(ctx, s.pool, event) }

// RecordTx is [Store.Record] in the caller's transaction, so that the event commits together with the change that it
// describes.
func (s *Store) RecordTx(ctx context.Context, tx pgx.Tx, event Event) error {
	return record(ctx, tx, event)
}

func record(ctx context.Context, q querier, event Event) error {
	details := event.Details
	if details == nil {
		details = json.RawMessage(`{}`)
	}
	_, err := q.Exec(ctx, `
		insert into audit_events (actor, action, tenant_id, signup_id, request_id, details)
		values ($1, $2, $3, $4, $5, $6)`,
		event.Actor, event.Action, event.TenantID, event.SignupID, event.RequestID, details)
	if err != nil {
		return fmt.Errorf("record event %s: %w", event.Action, known(err))
	}
	return nil
}

// Events lists the newest events of a tenant, at most limit.
func (s *Store) Events(ctx context.Context, tenant uuid.UUID, limit int) ([]Event, error) {
	events, err := many[Event](ctx, s.pool, `
		select id, at, actor, action, tenant_id, signup_id, request_id, details
		from audit_events
		where tenant_id = $1
		order by at desc, id desc
		limit $2`, tenant, limit)
	if err != nil {
		return nil, fmt.Errorf("list events of tenant %s: %w", tenant, err)
	}
	return events, nil
}
