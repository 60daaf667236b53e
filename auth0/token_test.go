package auth0_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

func use(t *testing.T, client *auth0.Client) {
	t.Helper()
	if _, err := client.LookupEmail(context.Background(), email); err != nil {
		t.Error(err)
	}
}

func TestATokenOfARevokedKeyIsRenewed(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{})
	client := newClient(t, configOf(tenant))
	use(t, client)
	if err := tenant.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if err := tenant.RevokeKeys(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(context.Background(), newUser()); err != nil {
		t.Fatal(err)
	}
	if n := tenant.CountCalls(http.MethodPost, "/api/v2/users"); n != 2 {
		t.Errorf("the create was sent %d times, want twice: refused, then done", n)
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 500, password+accessToken+email) }}
	client := tenant.serve(t, func(c *auth0.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := client.Create(context.Background(), newUser())
	if !identity.OutcomeUnknown(err) {
		t.Fatal(err)
	}
	_, _ = client.LookupEmail(context.Background(), email)
	log := out.String()
	for _, want := range []string{"route=/api/v2/users ", "route=/api/v2/users-by-email", "route=/oauth/token", "status=500"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not have %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "canary") {
		t.Errorf("the log shows a secret or an e-mail:\n%s", log)
	}
}

func TestANewlyGrantedScopeIsUsed(t *testing.T) {
	t.Parallel()
	var now clock
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
		respond(w, 403, `{"statusCode":403,"error":"Forbidden","message":"Insufficient scope","errorCode":"insufficient_scope"}`)
	}}
	client := tenant.serve(t, func(c *auth0.Config) { c.Now = now.Now })
	for _, step := range []struct {
		passes time.Duration
		tokens int
	}{{0, 1}, {30 * time.Second, 1}, {31 * time.Second, 1}, {0, 2}, {0, 2}} {
		now.advance(step.passes)
		_, err := client.LookupEmail(t.Context(), email)
		checkError(t, err, misconfigured, "read:users")
		if n := tenant.count("POST /oauth/token"); n != step.tokens {
			t.Errorf("%d tokens were asked for, want %d", n, step.tokens)
		}
	}
}
