package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/mail"
	"homeroom/messages"
)

// choosesLater reports whether people choose their passwords after they have signed up, with a link in a mail.
func (c config) choosesLater() bool {
	return c.IdentityProvider == "auth0" && c.Auth0Login == auth0.LoginTicket
}

// ticketLasts is how long a link for choosing a password is valid.
const ticketLasts = 5 * 24 * time.Hour

// links makes the links in mails.
type links struct{ *app }

var _ mail.Links = links{}

// Activation implements mail.Links.
func (l links) Activation(signup uuid.UUID) string {
	return l.cfg.publicURL() + "/activate?token=" + url.QueryEscape(l.signup.ActivationToken(signup))
}

// Invitation implements mail.Links.
func (l links) Invitation(invitation uuid.UUID) string {
	return l.cfg.publicURL() + "/invitation?token=" + url.QueryEscape(l.signup.InvitationToken(invitation))
}

// Login implements mail.Links.
func (l links) Login() string { return l.cfg.AppURL }

// PasswordSet implements mail.Links.
func (l links) PasswordSet(ctx context.Context, signup uuid.UUID) (string, error) {
	ticketer, ok := l.identity.(identity.PasswordResetLinker)
	if !ok {
		return "", errors.New("this identity provider makes no links for choosing a password")
	}
	row, err := l.catalog.Signup(ctx, signup)
	if err != nil {
		return "", err
	}
	user, err := l.catalog.UserByID(ctx, row.UserID)
	if err != nil {
		return "", err
	}
	ticket, err := ticketer.PasswordResetLink(ctx, user.IdentityID, cmp.Or(l.cfg.AppURL, l.cfg.publicURL()), ticketLasts)
	return ticket.Reveal(), err
}

// askForPasswords sends a mail to everybody who has an account with a password that nobody knows, with a link for
// choosing one.
func (a *app) askForPasswords(ctx context.Context, tx pgx.Tx, events []catalog.OutboxEvent) error {
	for _, event := range events {
		if event.Type != catalog.UserCreated {
			continue
		}
		var result struct{ User struct{ ID uuid.UUID } }
		if err := json.Unmarshal(event.Data, &result); err != nil {
			return fmt.Errorf("read event %s: %w", event.ID, err)
		}
		user, err := a.catalog.UserByID(ctx, result.User.ID)
		if errors.Is(err, catalog.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		event.Data, err = json.Marshal(catalog.Notification{Email: user.Email, Locale: user.Locale, Name: cmp.Or(user.GivenName, user.Name)})
		if err != nil {
			return err
		}
		if err := a.mails.EnqueueTx(ctx, tx, mail.SetPassword, event); err != nil {
			return err
		}
	}
	return nil
}

// texts reads the texts of mails and pages.
func (c PeopleConfig) texts() (*messages.Texts, error) {
	return messages.New(messages.Config{Dir: c.Messages, Default: c.Language})
}

// newMails makes the mail service, or returns nil where no mail server is configured.
func (a *app) newMails(queue mail.Queue) (*mail.Service, error) {
	c := a.cfg
	if c.SMTPURL == "" {
		return nil, nil
	}
	return mail.New(mail.Config{
		Catalog: a.catalog, Queue: queue, Links: links{a}, URL: c.SMTPURL, From: c.MailFrom, ReplyTo: c.MailReplyTo, Product: c.Product,
		Templates: c.MailTemplates, Texts: a.texts, Logger: a.logger,
	})
}
