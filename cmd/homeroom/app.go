package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/internal/jobs"
	"homeroom/internal/postgres"
	"homeroom/mail"
	"homeroom/messages"
	"homeroom/signup"
	"homeroom/tenant"
	"homeroom/webhook"
)

// app is everything that the commands share, wired.
type app struct {
	cfg     config
	logger  *slog.Logger
	catalog *catalog.Store
	servers tenant.Servers
	// identity is the provider, or an explanation of what is missing.
	identity identity.Provider
	queue    *jobs.Queue
	signup   *signup.Service
	webhooks *webhook.Service
	// texts are what people read.
	texts *messages.Texts
	// mails writes to people; nil where nothing does.
	mails *mail.Service
}

// openApp connects to the catalog, brings it up to date and registers the servers, unless the configuration says that it is
// only read. The caller closes it.
// parallel is how many tenants of a server it works on at the same time.
func openApp(ctx context.Context, cfg config, logger *slog.Logger, parallel int) (_ *app, err error) {
	a := &app{cfg: cfg, logger: logger}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err = a.openCatalog(ctx); err != nil {
		return nil, err
	}
	a.servers = tenant.Servers{}
	for name, url := range cfg.servers {
		a.servers[name], err = tenant.Open(tenant.Config{
			Name: name, URL: url, Key: cfg.TenantKey, Migrations: cfg.migrations, Parallel: parallel,
			MinFreeDisk: int64(cfg.MinFreeDisk), Logger: logger,
			Vet: func(ctx context.Context) error { return a.catalog.RecordFiles(ctx, cfg.migrations) },
		})
		if err != nil {
			return nil, err
		}
	}
	if err = a.register(ctx); err != nil {
		return nil, err
	}
	a.queue, err = jobs.NewQueue(a.catalog.Pool())
	if err != nil {
		return nil, err
	}
	a.webhooks, err = webhook.New(webhook.Config{
		Catalog: a.catalog, Queue: a.queue, Key: cfg.TenantKey, Allow: cfg.WebhookAllow, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	a.identity = a.provider()
	if a.texts, err = cfg.texts(); err != nil {
		return nil, err
	}
	if a.signup, err = a.newSignup(a.queue); err != nil {
		return nil, err
	}
	a.mails, err = a.newMails(a.queue)
	return a, err
}

// openCatalog connects to the catalog, and brings it and the job queue up to date, unless they are only read.
func (a *app) openCatalog(ctx context.Context) (err error) {
	a.catalog, err = catalog.Open(ctx, catalog.Config{URL: a.cfg.CatalogURL.Reveal(), Warm: a.cfg.warm, SkipMigrations: a.cfg.readOnly})
	if errors.Is(err, postgres.ErrPooler) {
		err = fmt.Errorf("HOMEROOM_CATALOG_URL: %w", err)
	}
	if err != nil && a.cfg.ofDev {
		err = fmt.Errorf("HOMEROOM_CATALOG_URL is not set, and homeroom dev does not seem to run: %w", err)
	}
	if err != nil || a.cfg.readOnly {
		return err
	}
	return jobs.Migrate(ctx, a.catalog.Pool())
}

// register has the catalog know the servers, unless it is only read, and the servers which cluster each is.
func (a *app) register(ctx context.Context) error {
	if !a.cfg.readOnly {
		if err := a.catalog.RegisterServers(ctx, a.servers.Names()); err != nil {
			return err
		}
		if err := a.catalog.ReplaceLineage(ctx, a.cfg.migrations.WindowsLineage(), a.cfg.migrations.Lineage()); err != nil {
			return err
		}
	}
	return a.expectClusters(ctx)
}

// provider is the identity provider, or one that explains what is missing: the commands that only work on databases need
// none.
func (a *app) provider() identity.Provider {
	if err := a.cfg.requireIdentity(); err != nil {
		return unconfigured{err}
	}
	provider, err := a.cfg.newProvider(a.logger)
	if err != nil {
		return unconfigured{err}
	}
	return provider
}

// newSignup makes the service of the sign-ups.
func (a *app) newSignup(queue signup.Queue) (*signup.Service, error) {
	rules, err := a.cfg.rules()
	if err != nil {
		return nil, err
	}
	cfg := signup.Config{
		Catalog: a.catalog, Servers: signup.TenantServers(a.servers), Identity: a.identity, Queue: queue, Key: a.cfg.TenantKey,
		Spares: a.cfg.Spares, Rules: rules, Logger: a.logger,
	}
	if _, none := a.identity.(unconfigured); !none {
		if err := problemsError(a.cfg.abilityProblems(a.identity)); err != nil {
			return nil, err
		}
		a.cfg.waiting(&cfg)
	}
	return signup.New(cfg)
}

// fleet is all tenants, for migrations.
func (a *app) fleet(concurrency int) (*fleet.Fleet, error) {
	return fleet.New(fleet.Config{Catalog: a.catalog, Servers: fleet.OnServers(a.servers), Concurrency: concurrency, Logger: a.logger})
}

// close lets everything go. It may be called on a half-opened app.
func (a *app) close() {
	a.servers.Close()
	if a.catalog != nil {
		a.catalog.Close()
	}
}

var errNoProvider = errors.New("no identity provider is configured")
