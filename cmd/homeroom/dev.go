//go:build dev

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/auth0/auth0test"
	"homeroom/internal/devpg"
	"homeroom/mail/mailtest"
)

type devCommand struct{}

// Run runs Postgres, the simulator and the service in this process, until ctx ends. Their data is in the state
// folder, and the next start finds it again. Errors that can be found before Postgres is created are reported then.
func (devCommand) Run(ctx context.Context, p program) error {
	dir, err := devpg.StateDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	listener, err := devListen(dir, p)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the service has closed it already, if it was started
	d := &development{program: p, dir: dir, listener: listener}
	err = d.run(ctx)
	if ctx.Err() != nil && !d.ready.Load() { // interrupted while starting: any failure is a result of that
		fmt.Fprintln(p.stdout, "Stopped before it was ready.")
		return nil
	}
	return err
}

// devListen checks the settings, and then listens at the service's address.
func devListen(dir string, p program) (net.Listener, error) {
	settings, err := loadSettings(filepath.Join(dir, settingsFile))
	if err != nil {
		return nil, err
	}
	maps.Copy(settings, map[string]string{ // placeholders for what is known once these run
		"HOMEROOM_CATALOG_URL": "postgres://postgres@127.0.0.1:1/homeroom", "AUTH0_BASE_URL": "http://127.0.0.1:1",
		"HOMEROOM_SMTP_URL": "smtp://127.0.0.1:1", "HOMEROOM_MAIL_FROM": "no-reply@homeroom.test",
	})
	settings.application(p.environ)
	cfg, err := readServiceConfig(settings.under(p.environ))
	if err != nil {
		return nil, err
	}
	if err := devpg.Check(filepath.Join(dir, "postgres")); errors.Is(err, devpg.ErrInUse) {
		at := ""
		if address, err := os.ReadFile(filepath.Join(dir, addressFile)); err == nil {
			at = " at http://" + string(address)
		}
		return nil, fmt.Errorf("Homeroom is already running%s, with the state folder %s (%w). Stop it with Ctrl-C there, "+
			"or run a second one: HOMEROOM_STATE_DIR=%s-2 HOMEROOM_ADDR=127.0.0.1:8081 %s dev", at, dir, err, dir, os.Args[0])
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program is listening at %s: choose another address, as in HOMEROOM_ADDR=127.0.0.1:8081 %s dev", cfg.Addr, os.Args[0])
	}
	if err != nil {
		return nil, fmt.Errorf("listen at %s (HOMEROOM_ADDR): %w", cfg.Addr, err)
	}
	return listener, nil
}

// development holds everything that homeroom dev runs.
type development struct {
	program
	dir      string
	listener net.Listener
	// ready is set once the service answers.
	ready atomic.Bool
}

func (d *development) run(ctx context.Context) error {
	fmt.Fprintln(d.stdout, "Starting Postgres …")
	postgres, err := devpg.Start(ctx, devpg.Config{Notice: d.stdout, Settings: map[string]string{"max_connections": strconv.Itoa(mostConnections + 100)}})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := postgres.Stop(stopping); err != nil {
			fmt.Fprintln(d.stderr, "homeroom: stop Postgres:", err)
		}
	}()
	settings, err := loadSettings(filepath.Join(d.dir, settingsFile))
	if err != nil {
		return err
	}
	settings["HOMEROOM_CATALOG_URL"] = postgres.URL("homeroom")
	simulator, err := startSimulator(d.dir, settings, settings.application(d.environ))
	if err != nil {
		return err
	}
	defer simulator.Close()
	settings["AUTH0_BASE_URL"] = simulator.URL()
	mails, err := mailtest.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = mails.Close() }() // its mails are in memory only
	settings["HOMEROOM_SMTP_URL"], settings["HOMEROOM_MAIL_FROM"] = mails.URL(), "no-reply@homeroom.test"
	settings["HOMEROOM_SHUTDOWN_DELAY"] = "0s" // no load balancer is in front of it
	settings["HOMEROOM_WEBHOOK_ALLOW"] = "127.0.0.0/8,::1/128"
	if err := settings.save(filepath.Join(d.dir, settingsFile)); err != nil {
		return err
	}
	return d.serve(ctx, settings, postgres, mails)
}

// serve runs the service with the settings; the user's environment overrides them.
func (d *development) serve(ctx context.Context, settings settings, postgres *devpg.Server, mails *mailtest.Server) error {
	cfg, err := readServiceConfig(settings.under(d.environ))
	if err != nil {
		return err
	}
	if cfg.SMTPURL.Reveal() == mails.URL() { // otherwise mails go to the server that the user has chosen
		cfg.mailbox = mails
	}
	log, err := os.Create(filepath.Join(d.dir, logFile))
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	logger := slog.New(newDevLog(log, d.stderr))
	slog.SetDefault(logger)
	cfg.warn(logger)
	group, ctx := errgroup.WithContext(ctx)
	ended := postgres.Done()
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return fmt.Errorf("the Postgres server has stopped unexpectedly; its log is %s", postgres.LogFile())
		}
	})
	group.Go(func() error {
		err := serve(ctx, cfg, serveOptions{logger: logger, migrate: true, listener: d.listener, ready: func(addr string) {
			d.ready.Store(true)
			_ = os.WriteFile(filepath.Join(d.dir, addressFile), []byte(addr), 0o600) // for a second process
			welcome(d.stdout, addr, cfg, postgres, log.Name(), os.Args[0])
		}})
		return cmp.Or(err, errStopped)
	})
	err = group.Wait()
	fmt.Fprintln(d.stdout, "\nStopping Postgres …")
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// addressFile and logFile are the files with the address of the service, and with its log.
const (
	addressFile = "address"
	logFile     = "homeroom.log"
)

// errStopped ends the group when the service has ended because ctx ended.
var errStopped = errors.New("stopped")

// startSimulator starts the simulator on the port that it had last time, if that is free: its URL is the issuer of
// the tokens that people still have.
func startSimulator(dir string, settings settings, apps []auth0test.Application) (*auth0test.Server, error) {
	cfg := auth0test.Config{
		ClientID: settings["AUTH0_CLIENT_ID"], ClientSecret: settings["AUTH0_CLIENT_SECRET"], Audience: settings["AUTH0_AUDIENCE"],
		Applications: apps, StateFile: filepath.Join(dir, "auth0.json"),
	}
	last := strings.TrimPrefix(settings["AUTH0_BASE_URL"], "http://")
	for _, addr := range []string{cmp.Or(last, "127.0.0.1:8090"), "127.0.0.1:0"} {
		simulator, err := auth0test.Listen(addr, cfg)
		if err == nil {
			return simulator, nil
		}
		var taken *net.OpError
		if !errors.As(err, &taken) {
			return nil, fmt.Errorf("start the Auth0 simulator: %w", err)
		}
	}
	return nil, errors.New("start the Auth0 simulator: no free port")
}
