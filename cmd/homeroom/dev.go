package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"
	"golang.org/x/sync/errgroup"

	"homeroom/auth0/auth0test"
	"homeroom/internal/devpg"
	"homeroom/internal/display"
	"homeroom/mail/mailtest"
)

type devCommand struct{}

// Run runs Postgres, the simulator and the service in this process, until ctx ends. What they keep is in the state folder,
// and found again by the next start.
func (devCommand) Run(ctx context.Context, p program) error {
	dir, err := devpg.StateDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	fmt.Fprintln(p.stdout, "Starting Postgres …")
	postgres, err := devpg.Start(ctx, devpg.Config{Notice: p.stdout, Settings: map[string]string{"max_connections": strconv.Itoa(mostConnections + 100)}})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := postgres.Stop(stopping); err != nil {
			fmt.Fprintln(p.stderr, "homeroom: stop Postgres:", err)
		}
	}()
	settings, err := loadSettings(filepath.Join(dir, settingsFile))
	if err != nil {
		return err
	}
	settings["HOMEROOM_CATALOG_URL"] = postgres.URL("homeroom")
	simulator, err := startSimulator(dir, settings, settings.application(p.environ))
	if err != nil {
		return err
	}
	defer simulator.Close()
	settings["AUTH0_BASE_URL"] = simulator.URL()
	mails, err := mailtest.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = mails.Close() }() // what it holds ends with it
	settings["HOMEROOM_SMTP_URL"], settings["HOMEROOM_MAIL_FROM"] = mails.URL(), "no-reply@homeroom.test"
	settings["HOMEROOM_SHUTDOWN_DELAY"] = "0s" // nothing stands before it
	settings["HOMEROOM_WEBHOOK_ALLOW"] = "127.0.0.0/8,::1/128"
	if err := settings.save(filepath.Join(dir, settingsFile)); err != nil {
		return err
	}
	return devServe(ctx, p, settings, postgres, mails)
}

// devServe runs the service with the settings; what the user's environment says comes first.
func devServe(ctx context.Context, p program, settings settings, postgres *devpg.Server, mails *mailtest.Server) error {
	cfg, err := readServiceConfig(settings.under(p.environ))
	if err != nil {
		return err
	}
	if cfg.SMTPURL.Reveal() == mails.URL() { // else mails go to the server that the user has chosen
		cfg.mailbox = mails
	}
	logger := slog.New(slog.NewTextHandler(p.stderr, nil))
	slog.SetDefault(logger)
	tellOldNames(logger, cfg.old)
	group, ctx := errgroup.WithContext(ctx)
	ended := postgres.Done()
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return fmt.Errorf("the Postgres server has ended by itself; its log is %s", postgres.LogFile())
		}
	})
	group.Go(func() error {
		err := serve(ctx, cfg, serveOptions{logger: logger, migrate: true, ready: func(addr string) { welcome(p.stdout, addr, cfg, postgres) }})
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w: choose another address: HOMEROOM_ADDR=127.0.0.1:8081 make run", err)
		}
		return cmpErr(err, errStopped)
	})
	err = group.Wait()
	fmt.Fprintln(p.stdout, "\nStopping Postgres …")
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// errStopped ends the group when the service has ended because it was asked to.
var errStopped = errors.New("stopped")

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// startSimulator serves the simulator on the port it had last time, if that is free: its URL is the issuer of the tokens
// that people still hold.
func startSimulator(dir string, settings settings, apps []auth0test.Application) (*auth0test.Server, error) {
	cfg := auth0test.Config{
		ClientID: settings["AUTH0_CLIENT_ID"], ClientSecret: settings["AUTH0_CLIENT_SECRET"], Audience: settings["AUTH0_AUDIENCE"],
		Applications: apps, StateFile: filepath.Join(dir, "auth0.json"),
	}
	last := strings.TrimPrefix(settings["AUTH0_BASE_URL"], "http://")
	for _, addr := range []string{or(last, "127.0.0.1:8090"), "127.0.0.1:0"} {
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

// settingsFile is where the settings of the development server are, for commands in another terminal.
const settingsFile = "dev.env"

// settings are environment variables.
type settings map[string]string

// loadSettings reads the settings of the last start, or makes those of the first.
func loadSettings(path string) (settings, error) {
	s, err := readSettings(path)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	return settings{
		"HOMEROOM_TENANT_KEY":        base64.StdEncoding.EncodeToString(randomKey()),
		"HOMEROOM_ALLOW_SUPERUSER":   "true",
		"HOMEROOM_SIGNUP_RATE":       "off",
		"HOMEROOM_SIGNUP_OAUTH_RATE": "off",
		"AUTH0_CLIENT_ID":            "homeroom-dev",
		"AUTH0_CLIENT_SECRET":        rand.Text(),
		"AUTH0_AUDIENCE":             "https://api.homeroom.test",
	}, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see its documentation
	return key
}

func readSettings(path string) (settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := settings{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			s[present(name)] = value
		}
	}
	return s, nil
}

// save writes the settings, for their owner's eyes only.
func (s settings) save(path string) error {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&text, "%s=%s\n", name, s[name])
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	return os.Rename(fresh, path)
}

// under is the environment with the settings beneath it: what the environment says, under whatever name or in a file, comes
// first.
func (s settings) under(environ []string) []string {
	said := map[string]bool{}
	for name, value := range env.ToMap(environ) {
		if value != "" {
			said[strings.TrimSuffix(present(name), "_FILE")] = true
		}
	}
	all := slices.Clone(environ)
	for name, value := range s {
		if !said[name] {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// readDevConfig is readConfig, except that without a catalog in the environment the settings of the development server
// count. It serves commands in another terminal.
func readDevConfig(p program) (config, error) {
	cfg, err := readConfig(p.environ)
	if err == nil || slices.ContainsFunc(p.environ, func(v string) bool { return strings.HasPrefix(v, "HOMEROOM_CATALOG_URL") }) {
		return cfg, err
	}
	dir, look := devpg.StateDir()
	if look != nil {
		return cfg, err
	}
	s, look := readSettings(filepath.Join(dir, settingsFile))
	if look != nil {
		return cfg, err
	}
	cfg, err = readConfig(s.under(p.environ))
	cfg.ofDev = true
	return cfg, err
}

// welcome tells how to use what runs now.
func welcome(w io.Writer, addr string, cfg config, postgres *devpg.Server) {
	bold, plain := "", ""
	w = display.Unwrap(w)
	if terminal(w) != nil {
		bold, plain = "\x1b[1m", "\x1b[0m"
	}
	me := os.Args[0]
	fmt.Fprintf(w, `
%[1]sHomeroom is running.%[2]s  Ctrl-C stops it, and everything it has started.

  API             http://%[3]s        documentation: http://%[3]s/docs
  Sign-up page    http://%[3]s/register?school_name=Lincoln+High
  Mails           http://%[3]s/dev/mailbox
  Auth0 simulator %[4]s
  Postgres %[5]s   127.0.0.1:%[6]d   log: %[7]s

%[1]sSign a school up:%[2]s

  curl -i http://%[3]s/users -H 'Content-Type: application/json' \
    -H "Idempotency-Key: $(uuidgen 2>/dev/null || date +%%s%%N)" \
    -d '{"email":"ada@lincoln.example","password":"Correct-Horse-9","schoolName":"Lincoln High"}'

%[1]sOpen its database, with its own role:%[2]s

  %[8]s tenant psql lincoln-high

%[1]sCall the API as an operator:%[2]s

  TOKEN=$(%[8]s token --permissions read:tenants,update:tenants,migrate:tenants)
  curl -s http://%[3]s/tenants -H "Authorization: Bearer $TOKEN"

`, bold, plain, addr, cfg.Auth0BaseURL, postgres.Version(), postgres.Port(), postgres.LogFile(), me)
}
