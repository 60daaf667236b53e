package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// MailState is the state of a mail.
type MailState string

// The states of a mail. Only an operator can change the last two.
const (
	// MailQueued: it is to be sent, for the first time or again. It has certainly not been sent.
	MailQueued MailState = "queued"
	// MailSending: its text is being sent. If the process dies now the mail stays in this state, and becomes unknown.
	MailSending MailState = "sending"
	// MailSent: the mail server has accepted it.
	MailSent MailState = "sent"
	// MailFailed: the mail server has rejected it, or it was retried for too long. It has certainly not been sent.
	MailFailed MailState = "failed"
	// MailUnknown: the mail server's reply was lost. It may have been sent, so it is not sent again.
	MailUnknown MailState = "unknown"
)

// Mail is a mail to a person about an event.
type Mail struct {
	ID, EventID uuid.UUID
	Kind        string
	// SignupID is the sign-up that it is about, if any.
	SignupID  *uuid.UUID
	Recipient string
	// Locale is the recipient's language; empty means the service's default.
	Locale string
	// Data is the content of the mail. It contains no link and no token.
	Data  json.RawMessage
	State MailState
	// Attempts is how many attempts to send it have begun; it identifies the present holder.
	Attempts   int
	Problem    *string
	CreatedAt  time.Time
	FinishedAt *time.Time
	// ReadAt is when the row was read, by the catalog's clock.
	ReadAt time.Time
}

const mailColumns = `id, event_id, kind, signup_id, recipient, coalesce(locale, '') as locale, data, state, attempts, problem,
	created_at, finished_at, now() as read_at`

// NewMail is a mail to insert.
type NewMail struct {
	EventID           uuid.UUID
	Kind              string
	SignupID          *uuid.UUID
	Recipient, Locale string
	Data              json.RawMessage
	// Quiet omits the mail if the recipient got one of this kind within this time. Defaults to never.
	Quiet time.Duration
}

// AddMailTx inserts a mail, once for an event and kind. made is false if it exists already, or is omitted.
func (s *Store) AddMailTx(ctx context.Context, tx pgx.Tx, m NewMail) (id uuid.UUID, made bool, err error) {
	err = tx.QueryRow(ctx, `
		insert into mails (event_id, kind, signup_id, recipient, locale, data)
		select $1, $2, $3, $4, nullif($5, ''), $6
		where not exists (
			select from mails where recipient = $4 and kind = $2 and created_at > now() - $7::interval)
		on conflict (event_id, kind) do nothing
		returning id`,
		m.EventID, m.Kind, m.SignupID, m.Recipient, m.Locale, m.Data, m.Quiet).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, false, nil
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("write the mail of event %s: %w", m.EventID, err)
	}
	return id, true, nil
}

// HasEarlierMailTx reports whether a sign-up has a mail of this kind about an earlier event.
func (s *Store) HasEarlierMailTx(ctx context.Context, tx pgx.Tx, kind string, signup, event uuid.UUID) (bool, error) {
	var has bool
	err := tx.QueryRow(ctx, `
		select exists (select from mails where signup_id = $1 and kind = $2 and event_id <> $3)`, signup, kind, event).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("find earlier mails of sign-up %s: %w", signup, err)
	}
	return has, nil
}

// LocaleTx returns a user's language; empty means the service's default.
func (s *Store) LocaleTx(ctx context.Context, tx pgx.Tx, user uuid.UUID) (string, error) {
	var locale string
	err := tx.QueryRow(ctx, `select coalesce(locale, '') from users where id = $1`, user).Scan(&locale)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("find the language of user %s: %w", user, err)
	}
	return locale, nil
}

// MailByID finds a mail.
func (s *Store) MailByID(ctx context.Context, id uuid.UUID) (Mail, error) {
	mail, err := one[Mail](ctx, s.pool, `select `+mailColumns+` from mails where id = $1`, id)
	if err != nil {
		return Mail{}, fmt.Errorf("find mail %s: %w", id, known(err))
	}
	return mail, nil
}

// LeaseMail leases a queued mail that no process has, to send it within this time. It fails with [ErrStateChanged] if
// there is no such mail.
func (s *Store) LeaseMail(ctx context.Context, id uuid.UUID, hold time.Duration) (Mail, error) {
	mail, err := one[Mail](ctx, s.pool, `
		update mails
		set attempts = attempts + 1, held_until = now() + $2::interval
		where id = $1 and state = 'queued' and (held_until is null or held_until <= now())
		returning `+mailColumns, id, hold)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrStateChanged
	}
	if err != nil {
		return Mail{}, fmt.Errorf("take mail %s: %w", id, err)
	}
	return mail, nil
}

// StartSending records that the text of a mail is about to be sent, which may take this long. It fails with
// [ErrStateChanged] if the mail does not belong to the holder any more: then it may not be sent.
func (s *Store) StartSending(ctx context.Context, m Mail, hold time.Duration) error {
	return s.changeMail(ctx, m, `
		update mails
		set state = 'sending', held_until = now() + $3::interval
		where id = $1 and attempts = $2 and state = 'queued' and held_until > now()`, hold)
}

// RequeueMail queues a mail again that has certainly not been sent.
func (s *Store) RequeueMail(ctx context.Context, m Mail, problem string) error {
	return s.changeMail(ctx, m, `
		update mails
		set state = 'queued', held_until = null, problem = $3
		where id = $1 and attempts = $2 and state in ('queued', 'sending')`, problem)
}

// FinishMail records the final state of a mail. A holder that is late may still record that an unknown mail was sent.
func (s *Store) FinishMail(ctx context.Context, m Mail, state MailState, problem string) error {
	return s.changeMail(ctx, m, `
		update mails
		set state = $3, problem = nullif($4, ''), held_until = null, finished_at = now()
		where id = $1 and attempts = $2 and (state in ('queued', 'sending') or state = 'unknown' and $3 <> 'unknown')`,
		state, problem)
}

func (s *Store) changeMail(ctx context.Context, m Mail, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, append([]any{m.ID, m.Attempts}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrStateChanged
	}
	if err != nil {
		return fmt.Errorf("change mail %s: %w", m.ID, err)
	}
	return nil
}

// MarkMailsUnknown marks mails as unknown whose sender died while it sent their text, and returns how many. They may
// have been sent.
func (s *Store) MarkMailsUnknown(ctx context.Context) (int64, error) {
	tag, err := s.pool.Exec(ctx, `
		update mails
		set state = 'unknown', held_until = null, finished_at = now(), problem = 'whoever sent it has died before the answer'
		where state = 'sending' and held_until <= now()`)
	if err != nil {
		return 0, fmt.Errorf("mark lost mails as unknown: %w", err)
	}
	return tag.RowsAffected(), nil
}

// ResendMailTx queues a failed or unknown mail again, for an operator. It fails with [ErrStateChanged].
func (s *Store) ResendMailTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	tag, err := tx.Exec(ctx, `
		update mails set state = 'queued', held_until = null, finished_at = null
		where id = $1 and state in ('failed', 'unknown')`, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrStateChanged
	}
	if err != nil {
		return fmt.Errorf("queue mail %s again: %w", id, err)
	}
	return nil
}
