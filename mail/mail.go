// Package mail tells people by mail what has happened: that an address is to be confirmed, that a school is ready.
//
// A mail is a row, written in the transaction that hands an event on, and sent by a job that knows its id alone. It is sent
// at most once. Everything before the text is handed over may be tried again, for a day; from then on the row says so, and a
// mail whose answer was lost is left as it is: nobody gets a mail twice because a process has died.
//
// Rows hold no link and no token. They are made when a mail is sent, by whoever implements [Links]. To an address that nobody
// has shown to be theirs, a mail repeats nothing that the sign-up wrote: it would be a way to send one's words to strangers.
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

// Links make the addresses that mails lead to. An empty one leaves the button out; a mail that is nothing without it fails.
type Links interface {
	// Activation is the page on which the e-mail of a sign-up is confirmed.
	Activation(signup uuid.UUID) string
	// Invitation is the page on which an invitation is accepted.
	Invitation(invitation uuid.UUID) string
	// Login is where people log in.
	Login() string
	// PasswordSet is the page on which the person behind a sign-up chooses a password. An error is tried again.
	PasswordSet(ctx context.Context, signup uuid.UUID) (string, error)
}

// Queue takes the jobs that send mails.
type Queue interface {
	// SendMailTx has [Service.Send] called with the mail's id, soon after the transaction has committed.
	SendMailTx(ctx context.Context, tx pgx.Tx, mail uuid.UUID) error
}

// Config is what sending needs.
type Config struct {
	// Catalog holds the mails. Required.
	Catalog *catalog.Store
	// Queue takes the jobs. Required.
	Queue Queue
	// Links make the mails' links. Required.
	Links Links
	// URL is the mail server, such as smtp://user:password@mail.lincoln.example:587, or smtps:// for TLS from the start.
	// smtp:// demands STARTTLS, except on loopback; ?starttls=off or =optional says otherwise. Required.
	URL secret.String
	// From is the sender, such as "Lincoln <no-reply@lincoln.example>". Without a name it is the product's. Required.
	From string
	// ReplyTo is where answers go. Defaults to none, and mails do not ask for answers.
	ReplyTo string
	// Product is what mails call the service. Defaults to "Homeroom".
	Product string
	// Templates is a folder whose files replace ours, or serve one kind of mail alone. Defaults to none.
	Templates string
	// Texts are what the mails say. Defaults to the texts that are built in.
	Texts *messages.Texts
	// TLS is how servers are trusted. Defaults to the system's authorities.
	TLS *tls.Config
	// Logger is told what becomes of mails, never their addresses. Defaults to slog.Default().
	Logger *slog.Logger
}

// Service writes mails and sends them.
type Service struct {
	cfg       Config
	server    server
	from      netmail.Address
	replyTo   *netmail.Address
	templates templates
}

// New makes a Service. It does not connect to the mail server.
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
			return nil, fmt.Errorf("where answers to mails go: %w", err)
		}
		s.replyTo = &to
	}
	s.templates, err = readTemplates(cfg.Templates)
	return s, err
}

// CheckAddress finds what is wrong with a sender, or with an address for answers.
func CheckAddress(text string) error {
	_, err := parseAddress(text)
	return err
}

// CheckTemplates finds what is wrong with a folder of templates.
func CheckTemplates(dir string) error {
	_, err := readTemplates(dir)
	return err
}

// parseAddress reads an address of the operator's. Its domain may be in any script.
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
		return netmail.Address{}, fmt.Errorf("%q has characters before the @ that not every mail server knows", text)
	}
	address.Name = cleanName(address.Name)
	return *address, nil
}

// isPlain tells addresses that fit on a line of SMTP as they are.
func isPlain(address string) bool {
	for _, r := range address {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("<>()[],;:\\\"", r) {
			return false
		}
	}
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != "" && len(address) <= 254
}

// MarkAbandoned gives up on mails whose sender has died. It is called every now and then.
func (s *Service) MarkAbandoned(ctx context.Context) error {
	lost, err := s.cfg.Catalog.LoseMails(ctx)
	if err != nil {
		return err
	}
	if lost > 0 {
		s.cfg.Logger.Warn("mails whose answer was lost are not sent again", "count", lost)
	}
	return nil
}

// Again sends a mail that has failed, or whose answer was lost, as an operator wishes. It fails with
// [catalog.ErrStateChanged] when the mail is in another state.
func (s *Service) Resend(ctx context.Context, id uuid.UUID) error {
	return s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.QueueMailTx(ctx, tx, id); err != nil {
			return err
		}
		return s.cfg.Queue.SendMailTx(ctx, tx, id)
	})
}
