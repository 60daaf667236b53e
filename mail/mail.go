// Package mail sends mails about events: that an address is to be confirmed, that a school is ready.
//
// A mail is a row, inserted in the transaction that removes its event from the outbox, and sent by a job that has only
// its id. It is sent at most once. Before its text is sent, everything may be retried, for a day. Then the row is
// marked as being sent, and a mail whose reply was lost is not sent again, so that nobody gets a mail twice because a
// process has died.
//
// Rows contain no link and no token: an implementation of [Links] creates them when a mail is sent. A mail to an
// address that is not confirmed repeats no text of the sign-up: anybody could send their own text to others that way.
package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/net/idna"

	"homeroom/catalog"
	"homeroom/internal/secret"
	"homeroom/messages"
)

// Links creates the links of mails. Without a link, a mail has no button; a mail that needs one fails.
type Links interface {
	// Activation is the page on which the e-mail of a sign-up is confirmed.
	Activation(signup uuid.UUID) string
	// Invitation is the page on which an invitation is accepted.
	Invitation(invitation uuid.UUID) string
	// Login is where people log in.
	Login() string
	// PasswordSet is the page on which the person of a sign-up chooses a password. An error is retried.
	PasswordSet(ctx context.Context, signup uuid.UUID) (string, error)
}

// Queue inserts jobs in the caller's transaction.
type Queue interface {
	// SendMailTx inserts a job that calls [Service.Send] with the mail's id.
	SendMailTx(ctx context.Context, tx pgx.Tx, mail uuid.UUID) error
}

// Config configures a [Service].
type Config struct {
	// Catalog stores the mails. Required.
	Catalog *catalog.Store
	// Queue inserts the jobs. Required.
	Queue Queue
	// Links creates the mails' links. Required.
	Links Links
	// URL is the mail server, such as smtp://user:password@mail.lincoln.example:587, or smtps:// for TLS from the
	// start. smtp:// requires STARTTLS, except on loopback, unless ?starttls=off or =optional is set. Required.
	URL secret.String
	// From is the sender, such as "Lincoln <no-reply@lincoln.example>". Without a name the product's is used. Required.
	From string
	// ReplyTo is the address for replies. Defaults to none, and mails do not ask for replies.
	ReplyTo string
	// Product is the name of the service in mails. Defaults to "Homeroom".
	Product string
	// Templates is a folder whose files replace the built-in templates, of all kinds of mails or of one. Defaults to none.
	Templates string
	// Texts are the texts of the mails. Defaults to the built-in ones.
	Texts *messages.Texts
	// TLS has the certificate authorities of the mail server. Defaults to the system's.
	TLS *tls.Config
	// Logger logs the outcomes of mails, without addresses. Defaults to slog.Default().
	Logger *slog.Logger
}

// Service creates and sends mails. It is safe for concurrent use.
type Service struct {
	cfg       Config
	server    server
	from      netmail.Address
	replyTo   *netmail.Address
	templates templates
}

// New returns a Service. It does not connect to the mail server.
func New(cfg Config) (*Service, error) {
	if cfg.Catalog == nil || cfg.Queue == nil || cfg.Links == nil {
		return nil, errors.New("mails need a catalog, a queue and links")
	}
	cfg.Product = cmp.Or(cfg.Product, "Homeroom")
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	var err error
	if cfg.Texts == nil {
		if cfg.Texts, err = messages.New(messages.Config{}); err != nil {
			return nil, err
		}
	}
	s := &Service{cfg: cfg}
	if s.server, err = parseServer(cfg.URL, cfg.TLS); err != nil {
		return nil, err
	}
	if s.from, err = parseAddress(cfg.From); err != nil {
		return nil, fmt.Errorf("the sender of mails: %w", err)
	}
	s.from.Name = cmp.Or(s.from.Name, cfg.Product)
	if cfg.ReplyTo != "" {
		to, err := parseAddress(cfg.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("the address for replies: %w", err)
		}
		s.replyTo = &to
	}
	s.templates, err = readTemplates(cfg.Templates)
	return s, err
}

// CheckAddress validates a sender, or an address for replies.
func CheckAddress(text string) error {
	_, err := parseAddress(text)
	return err
}

// CheckTemplates validates a folder of templates.
func CheckTemplates(dir string) error {
	_, err := readTemplates(dir)
	return err
}

// parseAddress parses an address of the configuration. Its domain may be internationalised.
func parseAddress(text string) (netmail.Address, error) {
	address, err := netmail.ParseAddress(text)
	if err != nil {
		return netmail.Address{}, fmt.Errorf("%q is not an address such as Lincoln <no-reply@lincoln.example>", text)
	}
	at := strings.LastIndexByte(address.Address, '@')
	domain, err := idna.Lookup.ToASCII(address.Address[at+1:])
	if err != nil {
		return netmail.Address{}, fmt.Errorf("%q has no domain of the DNS: %w", text, err)
	}
	address.Address = address.Address[:at+1] + domain
	if !isPlain(address.Address) {
		return netmail.Address{}, fmt.Errorf("%q has characters before the @ that not every mail server supports", text)
	}
	address.Name = cleanName(address.Name)
	return *address, nil
}

// isPlain reports whether an address can be sent in an SMTP command without quoting.
func isPlain(address string) bool {
	for _, r := range address {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("<>()[],;:\\\"", r) {
			return false
		}
	}
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != "" && len(address) <= 254
}

// MarkAbandoned ends the leases of mails whose process has died: those whose text may have been sent are not sent again. Call it
// periodically.
func (s *Service) MarkAbandoned(ctx context.Context) error {
	lost, err := s.cfg.Catalog.MarkMailsUnknown(ctx)
	if err != nil {
		return err
	}
	if lost > 0 {
		s.cfg.Logger.Warn("mails whose reply was lost are not sent again", "count", lost)
	}
	return nil
}

// Resend queues a mail again that has failed, or whose reply was lost. It fails with
// [catalog.ErrStateChanged] when the mail is in another state.
func (s *Service) Resend(ctx context.Context, id uuid.UUID) error {
	return s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.ResendMailTx(ctx, tx, id); err != nil {
			return err
		}
		return s.cfg.Queue.SendMailTx(ctx, tx, id)
	})
}
