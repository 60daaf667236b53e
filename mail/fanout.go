package mail

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// Kind is the kind of a mail.
type Kind string

// The kinds of mails.
const (
	// Activation asks to confirm an address; ActivationResent is another link for it.
	Activation       Kind = "activation"
	ActivationResent Kind = "activation_resent"
	// AlreadyRegistered says that an account with this address exists.
	AlreadyRegistered Kind = "already_registered"
	// Invitation invites a person to sign up.
	Invitation Kind = "invitation"
	// SchoolReady says that the school is ready.
	SchoolReady Kind = "school_ready"
	// Waiting says that an operator reviews a sign-up; Rejected that they have rejected it.
	Waiting  Kind = "waiting"
	Rejected Kind = "rejected"
	// SetPassword asks to choose a password.
	SetPassword Kind = "set_password"
)

// Kinds are all kinds.
var Kinds = []Kind{Activation, ActivationResent, AlreadyRegistered, Invitation, SchoolReady, Waiting, Rejected, SetPassword}

// eventKinds are the kinds of mails by event type. Other events cause no mail.
var eventKinds = map[string]Kind{
	catalog.SignupAwaitingVerification: Activation,
	catalog.SignupAwaitingApproval:     Waiting,
	catalog.SignupRejected:             Rejected,
	catalog.SignupRepeated:             AlreadyRegistered,
	catalog.InvitationCreated:          Invitation,
	catalog.TenantReady:                SchoolReady,
}

// repeatInterval is the least interval between two mails of kind [AlreadyRegistered] to one address: anybody can cause
// them.
const repeatInterval = time.Hour

// mailContent is the data of a mail's row.
type mailContent struct {
	Name         string     `json:"name,omitempty"`
	SchoolName   string     `json:"schoolName,omitempty"`
	Slug         string     `json:"slug,omitempty"`
	Role         string     `json:"role,omitempty"`
	InvitedBy    string     `json:"invitedBy,omitempty"`
	InvitationID *uuid.UUID `json:"invitationId,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
}

// FanOutTx inserts the mails of events, and the jobs that send them.
func (s *Service) FanOutTx(ctx context.Context, tx pgx.Tx, events []catalog.OutboxEvent) error {
	for _, event := range events {
		kind, ok := eventKinds[event.Type]
		if !ok {
			continue
		}
		if kind == Activation && event.SignupID != nil {
			before, err := s.cfg.Catalog.HasEarlierMailTx(ctx, tx, string(Activation), *event.SignupID, event.ID)
			if err != nil {
				return err
			}
			if before {
				kind = ActivationResent
			}
		}
		if err := s.EnqueueTx(ctx, tx, kind, event); err != nil {
			return err
		}
	}
	return nil
}

// EnqueueTx inserts a mail about an event whose data is a [catalog.Notification], or for [SchoolReady] the sign-up's
// result. An event without a valid address causes no mail, so that it does not block the others.
func (s *Service) EnqueueTx(ctx context.Context, tx pgx.Tx, kind Kind, event catalog.OutboxEvent) error {
	notice, content, err := s.read(ctx, tx, kind, event)
	if err != nil {
		return err
	}
	if !isPlain(notice.Email) {
		s.cfg.Logger.Warn("an event names no address for its mail", "event", event.ID, "type", event.Type)
		return nil
	}
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("write the content of the mail of event %s: %w", event.ID, err)
	}
	mail := catalog.NewMail{
		EventID: event.ID, Kind: string(kind), SignupID: event.SignupID, Recipient: notice.Email, Locale: notice.Locale, Data: data,
	}
	if kind == AlreadyRegistered {
		mail.Quiet = repeatInterval
	}
	id, made, err := s.cfg.Catalog.AddMailTx(ctx, tx, mail)
	if err != nil || !made {
		return err
	}
	return s.cfg.Queue.SendMailTx(ctx, tx, id)
}

// read returns the recipient and the content of an event's mail. It treats data that cannot be parsed as empty.
func (s *Service) read(ctx context.Context, tx pgx.Tx, kind Kind, event catalog.OutboxEvent) (catalog.Notification, mailContent, error) {
	var notice catalog.Notification
	if kind == SchoolReady {
		return s.readResult(ctx, tx, event)
	}
	_ = json.Unmarshal(event.Data, &notice)
	content := mailContent{ExpiresAt: notice.ExpiresAt}
	switch kind {
	case Invitation: // the inviting person is known
		content.SchoolName, content.Role, content.InvitedBy = notice.SchoolName, notice.Role, notice.InvitedBy
		content.InvitationID = notice.InvitationID
	case SetPassword, Waiting, Rejected, AlreadyRegistered:
		content.ExpiresAt = nil // it is the sign-up's, and has no meaning for the person
	}
	return notice, content, nil
}

// readResult reads the result of a sign-up, in the form of package signup.
func (s *Service) readResult(ctx context.Context, tx pgx.Tx, event catalog.OutboxEvent) (catalog.Notification, mailContent, error) {
	var result struct {
		User struct {
			ID              uuid.UUID
			Email           string
			EmailVerified   bool
			GivenName, Name string
		}
		School struct{ Name, Slug string }
	}
	_ = json.Unmarshal(event.Data, &result)
	locale, err := s.cfg.Catalog.LocaleTx(ctx, tx, result.User.ID)
	if err != nil {
		return catalog.Notification{}, mailContent{}, err
	}
	notice, content := catalog.Notification{Email: result.User.Email, Locale: locale}, mailContent{}
	if result.User.EmailVerified { // otherwise anybody may have written these texts
		content = mailContent{Name: cmp.Or(result.User.GivenName, result.User.Name), SchoolName: result.School.Name, Slug: result.School.Slug}
	}
	return notice, content, nil
}
