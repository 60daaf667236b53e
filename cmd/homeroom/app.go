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

// app holds the parts that the commands share.
type app struct {
	cfg     config
	logger  *slog.Logger
	catalog *catalog.Store
	servers tenant.Servers
	// identity is the identity provider. Where none is configured, its calls return an error that names what is
	// missing.
	identity identity.Provider
	queue    *jobs.Queue
	signup   *signup.Service
	webhooks *webhook.Service
	// texts are the texts of mails and pages, in every language.
	texts *messages.Texts
	// mails sends mail to people. It is nil where no mail server is configured.
	mails *mail.Service
}

// openApp connects to the catalog, migrates it and registers the servers; with cfg.readOnly it migrates and registers
// nothing. It works on up to parallel tenants of a server at the same time. The caller closes the app.
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
			MinFreeDisk: int64(cfg.MinFreeDisk), Settings: settingNames(""), Logger: logger,
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

// openCatalog connects to the catalog. Unless cfg.readOnly is set, it migrates the catalog and the job queue.
func (a *app) openCatalog(ctx context.Context) (err error) {
	a.catalog, err = catalog.Open(ctx, catalog.Config{URL: a.cfg.CatalogURL.Reveal(), Warm: a.cfg.warm, SkipMigrations: a.cfg.readOnly})
	if errors.Is(err, postgres.ErrPooler) {
		err = fmt.Errorf("HOMEROOM_CATALOG_URL: %w", err)
	}
	if err != nil && a.cfg.ofDev {
		err = fmt.Errorf("HOMEROOM_CATALOG_URL is not set, and homeroom dev does not seem to be running: %w", err)
	}
	if err != nil || a.cfg.readOnly {
		return err
	}
	return jobs.Migrate(ctx, a.catalog.Pool())
}

// register records the servers in the catalog, unless cfg.readOnly is set, and tells each server which cluster to
// expect.
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

// provider returns the identity provider. Where none is configured it returns one whose calls fail with an
// explanation, since the commands that only work on databases need none.
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

// newSignup makes the sign-up service.
func (a *app) newSignup(queue signup.Queue) (*signup.Service, error) {
	rules, err := a.cfg.rules()
	if err != nil {
		return nil, err
	}
	cfg := signup.Config{
		Catalog: a.catalog, Servers: signup.TenantServers(a.servers), Identity: a.identity, Queue: queue, Key: a.cfg.TenantKey,
		Spares: a.cfg.Spares, Rules: rules, Settings: settingNames(""), Logger: a.logger,
	}
	if _, none := a.identity.(unconfigured); !none {
		if err := problemsError(a.cfg.abilityProblems(a.identity)); err != nil {
			return nil, err
		}
		a.cfg.waiting(&cfg)
	}
	return signup.New(cfg)
}

// fleet makes the fleet, which migrates all tenants.
func (a *app) fleet(concurrency int) (*fleet.Fleet, error) {
	return fleet.New(fleet.Config{Catalog: a.catalog, Servers: fleet.OnServers(a.servers), Concurrency: concurrency, Logger: a.logger})
}

// close closes what is open. It may be called on an app that openApp has not completed.
func (a *app) close() {
	a.servers.Close()
	if a.catalog != nil {
		a.catalog.Close()
	}
}

var errNoProvider = errors.New("no identity provider is configured")
