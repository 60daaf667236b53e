package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/internal/jobs"
	"homeroom/signup"
	"homeroom/tenant"
)

// app is everything that the commands share, wired.
type app struct {
	cfg     config
	logger  *slog.Logger
	catalog *catalog.Store
	servers tenant.Servers
	// identity is the provider, or an explanation of what is missing.
	identity identity.Provider
	signup   *signup.Service
}

// openApp connects to the catalog, brings it up to date and registers the servers. The caller closes it.
// parallel is how many tenants of a server it works on at the same time.
func openApp(ctx context.Context, cfg config, logger *slog.Logger, parallel int) (_ *app, err error) {
	a := &app{cfg: cfg, logger: logger}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.catalog, err = catalog.Open(ctx, catalog.Config{URL: cfg.CatalogURL.Reveal()}); err != nil {
		if cfg.ofDev {
			err = fmt.Errorf("HOMEROOM_CATALOG_URL is not set, and homeroom dev does not seem to run: %w", err)
		}
		return nil, err
	}
	if err = jobs.Migrate(ctx, a.catalog.Pool()); err != nil {
		return nil, err
	}
	a.servers = tenant.Servers{}
	for name, url := range cfg.servers {
		a.servers[name], err = tenant.Open(tenant.Config{
			Name: name, URL: url, Key: cfg.TenantKey, Migrations: cfg.migrations, Parallel: parallel,
			MinFreeDisk: int64(cfg.MinFreeDisk), Logger: logger,
		})
		if err != nil {
			return nil, err
		}
	}
	if err = a.catalog.RegisterServers(ctx, a.servers.Names()); err != nil {
		return nil, err
	}
	queue, err := jobs.NewQueue(a.catalog.Pool())
	if err != nil {
		return nil, err
	}
	a.identity = a.provider()
	a.signup, err = signup.New(signup.Config{
		Catalog: a.catalog, Servers: signup.OnServers(a.servers), Identity: a.identity, Queue: queue, Key: cfg.TenantKey,
		Spares: cfg.Spares, Logger: logger,
	})
	return a, err
}

// provider is the identity provider, or one that explains what is missing: the commands that only work on databases need
// none.
func (a *app) provider() identity.Provider {
	if err := a.cfg.requireAuth0(); err != nil {
		return unconfigured{err}
	}
	client, err := auth0.New(auth0.Config{
		BaseURL: a.cfg.Auth0BaseURL, ClientID: a.cfg.Auth0ClientID, ClientSecret: a.cfg.Auth0ClientSecret,
		ManagementAudience: a.cfg.Auth0ManagementAudience, Connection: a.cfg.Auth0Connection,
		CustomDomain: a.cfg.Auth0CustomDomain, Logger: a.logger,
	})
	if err != nil {
		return unconfigured{err}
	}
	return client
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
