package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The types of events. Public ones have the same names in webhooks.
const (
	// UserCreated: a person has an identity and a membership at a school. Data is the sign-up's result.
	UserCreated = "user.created"
	// OrganizationCreated: a school exists. Data is the sign-up's result.
	OrganizationCreated = "organization.created"
	// SessionCreated: a person was logged in right after signing up. Data has userId.
	SessionCreated = "session.created"
	// TenantReady: a school's database can be used. Data is the sign-up's result.
	TenantReady = "tenant.ready"
	// TenantFailed: a tenant was quarantined, or its sign-up waits for an operator. Data has a reason.
	TenantFailed = "tenant.failed"
	// TenantSuspended and TenantDeleted: an operator took a school out of use.
	TenantSuspended = "tenant.suspended"
	TenantDeleted   = "tenant.deleted"
	// MigrationFinished: a run over the fleet has ended. Data has runId, state, toVersion, total, done, failed.
	MigrationFinished = "migration.finished"

	// SignupAwaitingVerification: a sign-up waits until its e-mail is confirmed. Data is a [Notification].
	SignupAwaitingVerification = "signup.awaiting_verification"
	// SignupAwaitingApproval: it waits for an operator. Data is a [Notification].
	SignupAwaitingApproval = "signup.awaiting_approval"
	// SignupRejected: an operator has rejected it. Data is a [Notification].
	SignupRejected = "signup.rejected"
	// SignupRepeated: somebody signed up with the e-mail of an existing account. Data is a [Notification].
	SignupRepeated = "signup.repeated"
	// InvitationCreated: somebody was invited, or is to be reminded. Data is a [Notification].
	InvitationCreated = "invitation.created"
)

// Notification is the data of an event about which a person gets a mail. It contains no secret: links are created with
// the mail.
type Notification struct {
	Email string `json:"email"`
	// Locale is the person's language; empty means the service's default.
	Locale     string `json:"locale,omitempty"`
	Name       string `json:"name,omitempty"`
	SchoolName string `json:"schoolName,omitempty"`
	// InvitationID, Role and InvitedBy are those of an invitation.
	InvitationID *uuid.UUID `json:"invitationId,omitempty"`
	Role         string     `json:"role,omitempty"`
	InvitedBy    string     `json:"invitedBy,omitempty"`
	// ExpiresAt is when the link or the invitation expires.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// signupNotification is the [Notification] of a sign-up in SQL, by the columns of its row and of its user's. In Go it is
// [NotifySignup].
const signupNotification = `jsonb_strip_nulls(jsonb_build_object('email', email, 'locale', locale,
	'name', coalesce(given_name, name), 'schoolName', school_name, 'expiresAt', check_at))`

// NotifySignup is an event about which the person behind a sign-up gets a mail.
func NotifySignup(kind string, signup Signup, user User) OutboxEvent {
	return Notification{
		Email: user.Email, Locale: user.Locale, Name: cmp.Or(user.GivenName, user.Name), SchoolName: signup.SchoolName, ExpiresAt: signup.CheckAt,
	}.event(OutboxEvent{Type: kind, SignupID: &signup.ID})
}

// NotifyInvitation is the event about which an invited person gets a mail.
func NotifyInvitation(i Invitation, schoolName, invitedBy string) OutboxEvent {
	return Notification{
		Email: i.Email, Locale: i.Locale, SchoolName: schoolName, InvitationID: &i.ID, Role: i.Role, InvitedBy: invitedBy, ExpiresAt: &i.ExpiresAt,
	}.event(OutboxEvent{Type: InvitationCreated, TenantID: i.TenantID})
}

func (n Notification) event(event OutboxEvent) OutboxEvent {
	data, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprint(err)) // only strings and times
	}
	event.Data = data
	return event
}

// OutboxEvent is an event, to be relayed once.
type OutboxEvent struct {
	ID uuid.UUID
	// Number defines the order.
	Number    int64
	Type      string
	TenantID  *uuid.UUID
	SignupID  *uuid.UUID
	Data      json.RawMessage
	CreatedAt time.Time
}

// EmitTx inserts an event in the caller's transaction, so that it is published if and only if that commits.
func (s *Store) EmitTx(ctx context.Context, tx pgx.Tx, event OutboxEvent) error {
	return emit(ctx, tx, event)
}

// Emit is [Store.EmitTx] in a transaction of its own.
func (s *Store) Emit(ctx context.Context, event OutboxEvent) error { return emit(ctx, s.pool, event) }

func emit(ctx context.Context, q querier, event OutboxEvent) error {
	data := event.Data
	if data == nil {
		data = json.RawMessage(`{}`)
	}
	_, err := q.Exec(ctx, `insert into outbox_events (type, tenant_id, signup_id, data) values ($1, $2, $3, $4)`,
		event.Type, event.TenantID, event.SignupID, data)
	if err != nil {
		return fmt.Errorf("emit event %s: %w", event.Type, err)
	}
	return nil
}

// RelayEvents passes the oldest events that no other process relays, at most limit, to f, and marks them as relayed in
// f's transaction: what f writes there happens exactly once for each. It returns how many there were.
func (s *Store) RelayEvents(ctx context.Context, limit int, f func(tx pgx.Tx, events []OutboxEvent) error) (int, error) {
	var relayed int
	err := s.InTx(ctx, func(tx pgx.Tx) error {
		relayed = 0
		events, err := many[OutboxEvent](ctx, tx, `
			select id, number, type, tenant_id, signup_id, data, created_at
			from outbox_events
			where relayed_at is null
			order by number
			for update skip locked
			limit $1`, limit)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := f(tx, events); err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(events))
		for i, event := range events {
			ids[i] = event.ID
		}
		relayed = len(events)
		_, err = tx.Exec(ctx, `update outbox_events set relayed_at = now() where id = any($1)`, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("relay events: %w", err)
	}
	return relayed, nil
}

// outboxEventByID finds an event, relayed or not.
func (s *Store) outboxEventByID(ctx context.Context, id uuid.UUID) (OutboxEvent, error) {
	event, err := one[OutboxEvent](ctx, s.pool, `
		select id, number, type, tenant_id, signup_id, data, created_at from outbox_events where id = $1`, id)
	if err != nil {
		return OutboxEvent{}, fmt.Errorf("find event %s: %w", id, known(err))
	}
	return event, nil
}
