// Package webhook delivers events to the endpoints that subscribe to them, signed and at least once.
//
// It follows Standard Webhooks (https://www.standardwebhooks.com). An event becomes one delivery for each endpoint,
// in the transaction that removes it from the outbox. The delivery's row has its state, and its id is the webhook-id
// of every attempt, so that a receiver can recognise a repetition. An attempt is counted before it is sent and its
// outcome is recorded after, so a process that dies in between sends once more. Only addresses on the internet are
// called, unless the operator allows others; each connection is checked after the name was resolved. The secret of an
// endpoint is derived from the server's key and not stored.
package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// Queue inserts jobs in the caller's transaction.
type Queue interface {
	// DeliverWebhooksTx inserts jobs that call [Service.Deliver] for each of the deliveries after the delay.
	DeliverWebhooksTx(ctx context.Context, tx pgx.Tx, deliveries []uuid.UUID, delay time.Duration) error
}

// Config configures a Service.
type Config struct {
	Catalog *catalog.Store
	Queue   Queue
	// Key is the server's secret, from which those of the endpoints are derived.
	Key []byte
	// Allow are networks outside the internet that may be called, also by plain HTTP. Defaults to none.
	Allow []netip.Prefix
	// Timeout limits one attempt. Defaults to 15 s.
	Timeout time.Duration
	// Resolver finds the addresses of names. Defaults to the system's.
	Resolver *net.Resolver
	// Roots are the certificate authorities of the receivers. Defaults to the system's.
	Roots *x509.CertPool
	// Logger logs deliveries that have failed for good. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Catalog == nil || c.Queue == nil:
		return errors.New("webhooks need a catalog and a queue")
	case len(c.Key) < 32:
		return errors.New("webhooks need a key of at least 32 bytes")
	}
	return nil
}

// Service manages endpoints and delivers events to them. It is safe for concurrent use, also by many processes on one catalog.
type Service struct {
	cfg    Config
	guard  *guard
	client map[string]*http.Client // by the scheme of the URL
}

// New returns a Service. It starts no goroutine.
func New(cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, guard: newGuard(cfg.Allow)}
	s.client = map[string]*http.Client{
		"https": newClient(cfg, s.guard.allowInternet),
		"http":  newClient(cfg, s.guard.allowedOnly),
	}
	return s, nil
}

// lease returns how long an attempt belongs to its process: longer than sending and recording can take.
func (s *Service) lease() time.Duration { return s.cfg.Timeout + 15*time.Second }
