package auth0_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/identity"
)

func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	text := func(s string) func() string { return func() string { return s } }
	// The time is read when it is sent, because a parallel test may wait long for its turn.
	date := func() string { return time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat) }
	in := func(d time.Duration) func() string {
		return func() string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	}
	for name, c := range map[string]struct {
		header      string
		value       func() string
		least, most time.Duration
	}{
		"seconds":                       {"Retry-After", text("7"), 7 * time.Second, 7 * time.Second},
		"a date":                        {"Retry-After", date, 10 * time.Second, 20 * time.Second},
		"far too long":                  {"Retry-After", text("5185"), time.Minute, time.Minute},
		"negative":                      {"Retry-After", text("-5"), time.Second, time.Second},
		"nothing":                       {"X-Other", text(""), time.Second, time.Second},
		"a reset ahead":                 {"X-RateLimit-Reset", in(20 * time.Second), 10 * time.Second, 20 * time.Second},
		"a reset in the past":           {"X-RateLimit-Reset", in(-time.Hour), time.Second, time.Second},
		"a reset too far in the future": {"X-RateLimit-Reset", in(time.Hour), time.Minute, time.Minute},
		"an invalid reset":              {"X-RateLimit-Reset", text("soon"), time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(c.header, c.value())
				respond(w, 429, ``)
			}}
			_, err := tenant.serve(t).Create(context.Background(), newUser())
			checkError(t, err, throttled)
			if got := identity.RetryAfter(err); got < c.least || got > c.most {
				t.Errorf("retry after %s, want %s to %s", got, c.least, c.most)
			}
		})
	}
}

func TestACallThatWasNotSentIsTemporary(t *testing.T) {
	t.Parallel()
	user, ctx := newUser(), context.Background()
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 500, ``) }}

	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		client := newClient(t, auth0.Config{BaseURL: closedAddress(t), ClientID: "id", ClientSecret: clientSecret})
		_, err := client.Create(ctx, user)
		checkError(t, err, temporary, "connection refused")
	})
	t.Run("only the create finds no user", func(t *testing.T) {
		t.Parallel()
		dead := closedAddress(t)
		client := tenant.serve(t, func(c *auth0.Config) {
			c.Transport = redirectingTransport{to: dead, path: "/api/v2/users", next: http.DefaultTransport}
		})
		_, err := client.Create(ctx, user)
		checkError(t, err, temporary, "connection refused")
	})
	t.Run("TLS with a plain server", func(t *testing.T) {
		t.Parallel()
		client := tenant.serve(t, func(c *auth0.Config) { c.BaseURL = strings.Replace(c.BaseURL, "http:", "https:", 1) })
		_, err := client.Create(ctx, user)
		checkError(t, err, temporary)
	})
	t.Run("no such name", func(t *testing.T) {
		t.Parallel()
		client := newClient(t, auth0.Config{BaseURL: "http://tenant.invalid", ClientID: "id", ClientSecret: clientSecret})
		_, err := client.Create(ctx, user)
		checkError(t, err, temporary)
	})
	t.Run("a look-up by e-mail contains no address", func(t *testing.T) {
		t.Parallel()
		client := tenant.serve(t, func(c *auth0.Config) {
			c.Transport = redirectingTransport{to: closedAddress(t), path: "/api/v2/users-by-email", next: http.DefaultTransport}
		})
		_, err := client.LookupEmail(ctx, user.Email)
		checkError(t, err, temporary)
	})
}

// redirectingTransport sends requests with a path to another server.
type redirectingTransport struct {
	to, path string
	next     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (d redirectingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == d.path {
		r = r.Clone(r.Context())
		r.URL.Host = strings.TrimPrefix(d.to, "http://")
	}
	return d.next.RoundTrip(r)
}

func TestASlowTenantLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{}, 10)
	tenant := &fakeTenant{api: func(_ http.ResponseWriter, r *http.Request) {
		sent <- struct{}{}
		<-r.Context().Done()
	}}
	client := tenant.serve(t, func(*auth0.Config) {})
	_, err := client.Create(expiring{t.Context(), sent, make(chan struct{})}.start(), newUser())
	checkError(t, err, unknown)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want one that wraps context.DeadlineExceeded", err)
	}
	id := newUser().ID
	_, err = client.Lookup(expiring{t.Context(), sent, make(chan struct{})}.start(), id)
	checkError(t, err, temporary)
	for _, call := range []string{"POST /api/v2/users", "GET /api/v2/users/auth0|" + id.String()} {
		if n := tenant.count(call); n != 1 {
			t.Errorf("%s was sent %d times, want once: a tenant that is too slow is not asked again", call, n)
		}
	}
}

func TestEachExchangeIsBounded(t *testing.T) {
	t.Parallel()
	tenant := &fakeTenant{api: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
	client := tenant.serve(t, func(c *auth0.Config) { c.Timeout = time.Millisecond })
	_, err := client.Lookup(t.Context(), newUser().ID)
	checkError(t, err, temporary)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want one that wraps context.DeadlineExceeded", err)
	}
}

// expiring is a context whose deadline passes when a request has been sent.
type expiring struct {
	context.Context //nolint:containedctx // it is a context
	sent, over      chan struct{}
}

func (e expiring) start() expiring {
	go func() {
		<-e.sent
		close(e.over)
	}()
	return e
}

// Done implements [context.Context].
func (e expiring) Done() <-chan struct{} { return e.over }

// Err implements [context.Context].
func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
