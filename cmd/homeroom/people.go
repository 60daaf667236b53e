package main

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/mail"
	"homeroom/messages"
)

// ticketLasts is how long a link with which a person chooses a password is good.
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
	ticketer, ok := l.identity.(identity.Ticketer)
	if !ok {
		return "", errors.New("this identity provider makes no links with which a person chooses a password")
	}
	row, err := l.catalog.Signup(ctx, signup)
	if err != nil {
		return "", err
	}
	user, err := l.catalog.UserByID(ctx, row.UserID)
	if err != nil {
		return "", err
	}
	ticket, err := ticketer.PasswordTicket(ctx, user.IdentityID, or(l.cfg.AppURL, l.cfg.publicURL()), ticketLasts)
	return ticket.Reveal(), err
}

// texts are what people read.
func (c config) texts() (*messages.Texts, error) {
	return messages.New(messages.Config{Dir: c.Messages, Default: c.Language})
}

// mails makes the service that writes to people, or nil where none does.
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
