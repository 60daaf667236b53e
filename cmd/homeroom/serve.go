package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/auth0"
	"homeroom/fleet"
	"homeroom/internal/httpapi"
	"homeroom/internal/jobs"
	"homeroom/tenant"
)

// drain is how long the requests and jobs that run may take to end once we are asked to stop.
const drain = 25 * time.Second

// serveParallel is how many tenants of a server the service works on at the same time: the fleet's migration in the
// background, and as many more so that sign-ups and repairs need not wait for it.
const serveParallel = 16

// The service has pools for as many tenants as this, of as many connections each.
const (
	poolTenants = 100
	poolConns   = 2
)

type serveCommand struct {
	Migrate bool `help:"Bring the tenants' databases up to date in the background from the start."`
}

// Run runs the service until ctx ends.
func (c serveCommand) Run(ctx context.Context, p program) error {
	cfg, err := readConfig(p.environ)
	if err != nil {
		return err
	}
	logger := p.logger()
	slog.SetDefault(logger)
	return serve(ctx, cfg, serveOptions{logger: logger, migrate: c.Migrate})
}

type serveOptions struct {
	logger  *slog.Logger
	migrate bool
	// ready, if not nil, is called once the service answers, with its address.
	ready func(addr string)
}

// serve runs the service: HTTP, jobs, the reconciler, the keeper of spares, and the fleet's migration if asked.
func serve(ctx context.Context, cfg config, options serveOptions) error {
	if err := cfg.requireAuth0(); err != nil {
		return err
	}
	a, err := openApp(ctx, cfg, options.logger, serveParallel)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.selfCheck(ctx); err != nil {
		return err
	}
	pools, err := tenant.NewPools(tenant.PoolsConfig{Tenants: poolTenants, Conns: poolConns})
	if err != nil {
		return err
	}
	defer pools.Close()
	// River logs its own comings and goings; only what goes wrong is of interest here.
	runner, err := jobs.NewRunner(a.catalog.Pool(), a.signup, warnings(options.logger))
	if err != nil {
		return err
	}
	all, err := a.fleet(0)
	if err != nil {
		return err
	}
	handler, err := a.handler(pools, runner, all)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen (HOMEROOM_ADDR says where): %w", err)
	}
	watcher, door, err := a.newWatcher()
	if err != nil {
		return err
	}
	if err := runner.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.listen(ctx, listener, handler) })
	group.Go(func() error { return endJobs(ctx, runner) })
	a.startBackground(ctx, group, all, options.migrate)
	watcher.start(ctx, group, door)
	options.logger.Info("serving", "addr", listener.Addr().String())
	if options.ready != nil {
		options.ready(listener.Addr().String())
	}
	return group.Wait()
}

// endJobs waits for ctx to end, and then lets the jobs that run end.
func endJobs(ctx context.Context, runner *jobs.Runner) error {
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return runner.Stop(stopping)
}

// startBackground starts what goes on beside the requests.
func (a *app) startBackground(ctx context.Context, group *errgroup.Group, all *fleet.Fleet, migrate bool) {
	group.Go(func() error { return a.signup.Reconcile(ctx) })
	group.Go(func() error { return a.signup.KeepSpares(ctx) })
	group.Go(func() error { a.warm(ctx); return nil })
	group.Go(func() error { a.workOnRuns(ctx, all); return nil })
	group.Go(func() error { a.takeFingerprints(ctx, all); return nil })
	if migrate {
		group.Go(func() error { a.keepMigrated(ctx, all); return nil })
	}
}

// handler is the HTTP API over the app.
func (a *app) handler(pools *tenant.Pools, runner *jobs.Runner, all *fleet.Fleet) (http.Handler, error) {
	return httpapi.New(httpapi.Config{
		Signup: a.signup, Catalog: a.catalog, Fleet: all, Servers: a.servers, Pools: pools,
		Issuer:     a.cfg.Auth0BaseURL + "/",
		JWKSURL:    a.cfg.Auth0BaseURL + "/.well-known/jwks.json",
		Audience:   a.cfg.Auth0Audience,
		SignupRate: a.cfg.SignupRate.allowance, TrustedProxies: a.cfg.TrustedProxies, AllowedOrigins: a.cfg.AllowedOrigins,
		Ready: func(ctx context.Context) error {
			select {
			case <-runner.Stopped():
				return errors.New("the job runner has stopped")
			default:
				return a.catalog.Ping(ctx)
			}
		},
		Version: version(), Logger: a.logger,
	})
}

// listen answers requests until ctx ends, and then lets those that run end.
func (a *app) listen(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := httpapi.NewServer(a.cfg.Addr, handler)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(fmt.Errorf("let the requests end: %w", err), server.Close())
	}
	return nil
}

// warm fetches the Management API's token before the first sign-up needs it. Auth0 may be down: then that one fetches it.
func (a *app) warm(ctx context.Context) {
	client, ok := a.identity.(*auth0.Client)
	if !ok {
		return
	}
	if err := client.Warm(ctx); err != nil && ctx.Err() == nil {
		a.logger.Warn("cannot get a token for the Auth0 Management API yet", "cause", err)
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "an unnamed host"
	}
	return name
}
