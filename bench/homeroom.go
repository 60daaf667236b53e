package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"homeroom/admission"
	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/internal/httpapi"
	"homeroom/internal/jobs"
	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/signup"
	"homeroom/tenant"
	"homeroom/webhook"
)

// tenantKey is a key for short-lived tenants.
var tenantKey = bytes.Repeat([]byte("bench..."), 4)

// homeroom is the service on a catalog of its own, built as in cmd/homeroom. Background work is
// left out: the spare pool refiller, since each variant needs a certain number of spares, the reconciler and the job runner.
type homeroom struct {
	catalog  *catalog.Store
	servers  tenant.Servers
	signup   *signup.Service
	cfg      signup.Config
	client   *auth0.Client
	provider *stopwatch
	auth0    *simulator
	logger   *slog.Logger
}

// newHomeroom creates one, for tenants with the schema of these files, whose RefillSpares keeps this many spares.
func newHomeroom(ctx context.Context, b *testbed, database, files string, spares int) (*homeroom, error) {
	if err := b.newDatabase(ctx, database); err != nil {
		return nil, err
	}
	// Log lines are formatted, and then discarded.
	h := &homeroom{provider: newStopwatch(), auth0: b.auth0, logger: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	var err error
	if h.catalog, err = catalog.Open(ctx, catalog.Config{URL: b.postgres.URL(database)}); err != nil {
		return nil, err
	}
	if err = h.open(ctx, b, files, spares); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *homeroom) open(ctx context.Context, b *testbed, files string, spares int) error {
	if err := jobs.Migrate(ctx, h.catalog.Pool()); err != nil {
		return err
	}
	server, err := newServer(b, files)
	if err != nil {
		return err
	}
	h.servers = tenant.Servers{server.Name(): server}
	if err := h.catalog.RegisterServers(ctx, h.servers.Names()); err != nil {
		return err
	}
	client, err := auth0.New(auth0.Config{BaseURL: b.auth0.url, ClientID: b.auth0.clientID, ClientSecret: secret.String(b.auth0.clientSecret)})
	if err != nil {
		return err
	}
	if err := client.Warm(ctx); err != nil {
		return err
	}
	queue, err := jobs.NewQueue(h.catalog.Pool())
	if err != nil {
		return err
	}
	h.client = client
	h.cfg = signup.Config{
		Catalog: h.catalog, Servers: signup.TenantServers(h.servers), Identity: timed{client, h.provider}, Queue: queue, Key: tenantKey,
		Spares: spares, Logger: h.logger,
	}
	h.signup, err = signup.New(h.cfg)
	return err
}

// conceal turns on account-enumeration protection.
func (h *homeroom) conceal() (err error) {
	h.cfg.Identity, h.cfg.VerifyFirst, h.cfg.HideAccounts = h.client, true, true
	h.signup, err = signup.New(h.cfg)
	return err
}

// newServer opens the server for tenants with the schema of these files.
func newServer(b *testbed, files string) (*tenant.Server, error) {
	set, err := migrations.Load(os.DirFS(files))
	if err != nil {
		return nil, err
	}
	return tenant.Open(tenant.Config{URL: secret.String(b.postgres.URL("postgres")), Key: tenantKey, Migrations: set})
}

func (h *homeroom) close() {
	h.servers.Close()
	h.catalog.Close()
}

// handler is the HTTP API, with a rate limit that is never reached: counting is a part of every sign-up.
func (h *homeroom) handler() (http.Handler, error) {
	pools, err := tenant.NewPools(tenant.PoolsConfig{})
	if err != nil {
		return nil, err
	}
	all, err := fleet.New(fleet.Config{Catalog: h.catalog, Servers: fleet.OnServers(h.servers), Logger: h.logger})
	if err != nil {
		return nil, err
	}
	queue, err := jobs.NewQueue(h.catalog.Pool())
	if err != nil {
		return nil, err
	}
	webhooks, err := webhook.New(webhook.Config{Catalog: h.catalog, Queue: queue, Key: tenantKey, Logger: h.logger})
	if err != nil {
		return nil, err
	}
	admits, err := admission.New(admission.Config{
		Signup: h.signup, Catalog: h.catalog, Rate: &catalog.Allowance{Count: 1_000_000, Window: time.Hour}, Logger: h.logger,
	})
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Signup: h.signup, Catalog: h.catalog, Admission: admits, Fleet: all, Servers: h.servers, Queue: queue, Pools: pools, Webhooks: webhooks,
		Issuer: h.auth0.url + "/", Audience: h.auth0.audience,
		Logger: h.logger,
	})
}

// stopwatch has the identity provider's time of each sign-up, by its e-mail.
type stopwatch struct {
	mu   sync.Mutex
	took map[string]time.Duration
}

func newStopwatch() *stopwatch { return &stopwatch{took: map[string]time.Duration{}} }

func (s *stopwatch) add(email string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took[email] += d
}

func (s *stopwatch) take(email string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer delete(s.took, email)
	return s.took[email]
}

// timed is a provider that measures its time.
type timed struct {
	identity.Provider
	watch *stopwatch
}

// Create implements [identity.Provider].
func (t timed) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	began := time.Now()
	made, err := t.Provider.Create(ctx, user)
	t.watch.add(user.Email, time.Since(began))
	return made, err
}
