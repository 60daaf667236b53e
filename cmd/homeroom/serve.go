package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/httpapi"
	"homeroom/internal/jobs"
	"homeroom/internal/wait"
	"homeroom/internal/web"
	"homeroom/tenant"
)

// drain is how long running requests and jobs may take to end after the process was asked to stop.
const drain = 25 * time.Second

// serveParallel is on how many tenants of a server the service works at the same time: half of them for the fleet's
// migration in the background, half so that sign-ups and repairs need not wait for it.
const serveParallel = 16

// warmConns is how many connections to the catalog are open before the first sign-up.
const warmConns = 8

// The service has pools for this many tenants, with this many connections each.
const (
	poolTenants = 100
	poolConns   = 2
)

type serveCommand struct {
	Migrate bool `help:"Bring the tenants' databases up to date in the background from the start."`
}

// Run runs the service until ctx ends.
func (c serveCommand) Run(ctx context.Context, p program) error {
	cfg, err := readServiceConfig(p.environ)
	if err != nil {
		return err
	}
	logger := p.logger()
	slog.SetDefault(logger)
	cfg.warn(logger)
	return serve(ctx, cfg, serveOptions{logger: logger, migrate: c.Migrate})
}

type serveOptions struct {
	logger  *slog.Logger
	migrate bool
	// listener accepts the service's connections. Defaults to one at the configured address.
	listener net.Listener
	// ready, if not nil, is called once the service answers, with its address.
	ready func(addr string)
}

// serve runs the service: HTTP, jobs, the reconciler, the refiller of spares, and the fleet's migration if asked.
func serve(ctx context.Context, cfg config, options serveOptions) error {
	cfg.warm = warmConns
	a, err := openApp(ctx, cfg, options.logger, serveParallel)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.selfCheck(ctx); err != nil {
		return err
	}
	if err := a.catalog.RecordFiles(ctx, cfg.migrations); catalog.ChangedFiles(err) != nil {
		options.logger.Error("this process answers, but is not ready: it creates and migrates no database until its migration files are corrected",
			"variable", "HOMEROOM_TENANT_MIGRATIONS", "error", err)
	} else if err != nil {
		return err
	}
	pools, err := tenant.NewPools(tenant.PoolsConfig{Tenants: poolTenants, Conns: poolConns})
	if err != nil {
		return err
	}
	defer pools.Close()
	return a.serve(ctx, pools, options)
}

// serve runs the service on the tenants' pools.
func (a *app) serve(ctx context.Context, pools *tenant.Pools, options serveOptions) error {
	// River logs its own starts and stops; only warnings and errors are of interest here.
	runner, err := jobs.NewRunner(a.catalog.Pool(), a.handlers(), warnings(options.logger))
	if err != nil {
		return err
	}
	relay, err := a.relay()
	if err != nil {
		return err
	}
	all, err := a.fleet(0)
	if err != nil {
		return err
	}
	handler, err := a.handler(ctx, pools, runner, all, relay)
	if err != nil {
		return err
	}
	listener, err := a.openListener(options.listener)
	if err != nil {
		return err
	}
	watcher, metricsListener, err := a.newWatcher()
	if err != nil {
		return err
	}
	sweeper, err := a.sweeper()
	if err != nil {
		return err
	}
	if err := runner.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.listen(ctx, listener, handler) })
	group.Go(func() error { return a.end(ctx, runner) })
	a.startBackground(ctx, group, all, options.migrate)
	group.Go(func() error { relay.Run(ctx); return nil })
	group.Go(func() error { sweeper.Run(ctx); return nil })
	watcher.start(ctx, group, metricsListener)
	a.watchSessions(ctx, group, watcher.metrics)
	options.logger.Info("serving", "addr", listener.Addr().String())
	if options.ready != nil {
		options.ready(listener.Addr().String())
	}
	return group.Wait()
}

// openListener returns the listener for requests: the given one, or one at the configured address.
func (a *app) openListener(listener net.Listener) (_ net.Listener, err error) {
	if listener == nil {
		if listener, err = net.Listen("tcp", a.cfg.Addr); err != nil {
			return nil, fmt.Errorf("listen (HOMEROOM_ADDR says where): %w", err)
		}
	}
	if a.cfg.MaxConnections > 0 {
		listener = netutil.LimitListener(listener, a.cfg.MaxConnections)
	}
	return listener, nil
}

// end waits for ctx to end, and then for the running jobs to end.
func (a *app) end(ctx context.Context, runner *jobs.Runner) error {
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return runner.Stop(stopping)
}

// startBackground starts everything that runs besides the requests.
func (a *app) startBackground(ctx context.Context, group *errgroup.Group, all *fleet.Fleet, migrate bool) {
	group.Go(func() error { return a.signup.Reconcile(ctx) })
	group.Go(func() error { return a.webhooks.Reconcile(ctx) })
	group.Go(func() error { return a.signup.RunRefiller(ctx) })
	group.Go(func() error { a.warm(ctx); return nil })
	group.Go(func() error { a.workOnRuns(ctx, all); return nil })
	group.Go(func() error { a.takeFingerprints(ctx, all); return nil })
	if a.mails != nil {
		group.Go(func() error { a.markAbandonedMails(ctx); return nil })
	}
	if migrate {
		group.Go(func() error { a.migrateContinuously(ctx, all); return nil })
	}
}

// handler makes the HTTP API of the app. After a request that may have written events it wakes the relay, so that
// they are published at once. Once ctx has ended the service is not ready, and every answer closes its connection, so
// that clients connect to another process.
func (a *app) handler(ctx context.Context, pools *tenant.Pools, runner *jobs.Runner, all *fleet.Fleet, relay *jobs.Relay) (http.Handler, error) {
	cfg := httpConfig{api: httpapi.Config{
		Signup: a.signup, Catalog: a.catalog, Fleet: all, Servers: a.servers, Queue: a.queue, Pools: pools, Webhooks: a.webhooks,
		Issuer: a.cfg.issuer(), JWKSURL: a.cfg.keysURL(), Audience: a.cfg.audience(),
		Texts: a.texts, PublicURL: strings.TrimRight(a.cfg.URL, "/"), TrustedProxies: a.cfg.TrustedProxies, AllowedOrigins: a.cfg.AllowedOrigins,
		Ready: func(asked context.Context) error {
			select {
			case <-ctx.Done():
				return errors.New("the service is stopping")
			case <-runner.Stopped():
				return errors.New("the job runner has stopped")
			default:
				if err := a.catalog.Ping(asked); err != nil {
					return err
				}
				return a.catalog.CheckFiles(asked, a.cfg.migrations)
			}
		},
		Version: version(), Logger: a.logger,
	}}
	cfg.admission = admission.Config{Signup: a.signup, Catalog: a.catalog, Rate: a.cfg.SignupRate.allowance, Logger: a.logger}
	cfg.pages = web.Config{Signup: a.signup, Catalog: a.catalog, Texts: a.texts, Mailbox: a.cfg.mailbox, AppURL: a.cfg.AppURL}
	if wrong := append(a.cfg.applySignupPolicy(&cfg, a.identity), a.cfg.hosted(&cfg, a.identity)...); len(wrong) > 0 {
		return nil, problemsError(wrong)
	}
	api, err := cfg.handler()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		api.ServeHTTP(w, r)
		if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path == "/callback" { // a GET by which people sign up
			relay.Wake()
		}
	}), nil
}

// httpConfig is the configuration of what answers requests.
type httpConfig struct {
	api       httpapi.Config
	admission admission.Config
	pages     web.Config
}

// handler makes the API with its pages.
func (c httpConfig) handler() (http.Handler, error) {
	admits, err := admission.New(c.admission)
	if err != nil {
		return nil, err
	}
	c.api.Admission, c.pages.Admission = admits, admits
	pages, err := web.New(c.pages)
	if err != nil {
		return nil, err
	}
	c.api.Pages = pages.Register
	return httpapi.New(c.api)
}

// listen answers requests until ctx ends, goes on for the shutdown delay, in which load balancers and clients notice
// it, and then waits for the running requests.
func (a *app) listen(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := httpapi.NewServer(a.cfg.Addr, handler)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	_ = wait.For(context.WithoutCancel(ctx), a.cfg.ShutdownDelay)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(fmt.Errorf("let the requests end: %w", err), server.Close())
	}
	return nil
}

// warm fetches the management API's token before the first sign-up needs it. If the provider is down, the first
// sign-up fetches it.
func (a *app) warm(ctx context.Context) {
	client, ok := a.identity.(interface{ Warm(context.Context) error })
	if !ok {
		return
	}
	if err := client.Warm(ctx); err != nil && ctx.Err() == nil {
		a.logger.Warn("cannot get a token of the identity provider's management API yet", "error", err)
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "an unnamed host"
	}
	return name
}
