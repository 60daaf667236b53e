package auth0_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

// issuer is a token endpoint that gives token-1, token-2, … for an hour each, when it is let, and a Management API that
// takes all of them but those that are refused.
type issuer struct {
	oddTenant
	gate    chan struct{} // nil: open
	down    atomic.Bool
	refused sync.Map
	issued  atomic.Int32
	seen    atomic.Value // the last bearer
}

func newIssuer() *issuer {
	i := &issuer{}
	i.token = func(w http.ResponseWriter, r *http.Request) {
		if i.gate != nil {
			select {
			case <-i.gate:
			case <-r.Context().Done():
				return
			}
		}
		if i.down.Load() {
			respond(w, 503, ``)
			return
		}
		respond(w, 200, fmt.Sprintf(`{"access_token":"token-%d","expires_in":3600,"token_type":"Bearer"}`, i.issued.Add(1)))
	}
	i.api = func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		i.seen.Store(bearer)
		if _, bad := i.refused.Load(bearer); bad {
			respond(w, 401, `{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}`)
			return
		}
		respond(w, 200, `[]`)
	}
	return i
}

func use(t *testing.T, client *auth0.Client) {
	t.Helper()
	if _, err := client.LookupEmail(context.Background(), email); err != nil {
		t.Error(err)
	}
}

func TestOneTokenServesAllCalls(t *testing.T) {
	t.Parallel()
	tenant := newIssuer()
	client := tenant.serve(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { use(t, client) })
	}
	wg.Wait()
	if n := tenant.issued.Load(); n != 1 {
		t.Errorf("%d tokens were issued, want 1", n)
	}
}

func TestOneCallersCancellationFailsNobodyElse(t *testing.T) {
	tenant := newIssuer()
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		tenant.gate = make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error), make(chan error)
		go func() {
			_, err := client.Create(ctx, newUser())
			first <- err
		}()
		synctest.Wait() // the first has begun the fetch
		go func() { second <- client.Warm(context.Background()) }()
		synctest.Wait()
		cancel()
		err := <-first
		checkError(t, err, temporary, context.Canceled.Error())
		close(tenant.gate)
		if err := <-second; err != nil {
			t.Errorf("the other caller: %v", err)
		}
		if n := tenant.count("POST /oauth/token"); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestATokenIsRenewedInTheBackground(t *testing.T) {
	tenant := newIssuer()
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		time.Sleep(54 * time.Minute) // the bubble's time
		use(t, client)
		if n := tenant.issued.Load(); n != 1 {
			t.Fatalf("%d tokens after 54 minutes of 60, want 1", n)
		}
		tenant.gate = make(chan struct{})
		time.Sleep(2 * time.Minute)
		for range 3 {
			use(t, client) // does not wait, although the endpoint hangs
		}
		if got := tenant.seen.Load(); got != "token-1" {
			t.Errorf("used %v meanwhile, want token-1", got)
		}
		close(tenant.gate)
		synctest.Wait()
		use(t, client)
		if got := tenant.seen.Load(); got != "token-2" || tenant.issued.Load() != 2 {
			t.Errorf("used %v of %d, want token-2 of 2", got, tenant.issued.Load())
		}
	})
}

func TestAFailedRenewalIsTriedAgainLater(t *testing.T) {
	tenant := newIssuer()
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		tenant.down.Store(true)
		time.Sleep(56 * time.Minute)
		for range 10 {
			use(t, client) // the old one still serves
			time.Sleep(time.Second)
		}
		if n := tenant.count("POST /oauth/token"); n > 1+3 {
			t.Errorf("%d fetches while the endpoint is down, want one with its repeats", n-1)
		}
		time.Sleep(5 * time.Minute) // now it is over
		_, err := client.LookupEmail(context.Background(), email)
		checkError(t, err, temporary, "503")
		tenant.down.Store(false)
		use(t, client)
		if got := tenant.seen.Load(); got != "token-2" {
			t.Errorf("used %v, want token-2", got)
		}
	})
}

func TestARefusedTokenIsDroppedOnce(t *testing.T) {
	t.Parallel()
	tenant := newIssuer()
	client := tenant.serve(t)
	use(t, client)
	tenant.refused.Store("token-1", true)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { use(t, client) })
	}
	wg.Wait()
	if n := tenant.issued.Load(); n != 2 {
		t.Errorf("%d tokens were issued, want 2: the refused one and one more", n)
	}
}

func TestALateRefusalDoesNotDropTheNewToken(t *testing.T) {
	tenant := newIssuer()
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		tenant.refused.Store("token-1", true)
		answer, late, first := tenant.api, make(chan struct{}), true
		tenant.api = func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				<-late
			}
			answer(w, r)
		}
		var wg sync.WaitGroup
		wg.Go(func() { use(t, client) })
		synctest.Wait() // this one is with the tenant, with the old token
		use(t, client)  // renews it
		close(late)
		wg.Wait()
		use(t, client)
		if n := tenant.issued.Load(); n != 2 {
			t.Errorf("%d tokens were issued, want 2", n)
		}
	})
}

func TestRotatedKeysAreSurvived(t *testing.T) {
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
	tenant := &oddTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 500, password+accessToken+email) }}
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

func TestAScopeThatIsGrantedIsNoticed(t *testing.T) {
	t.Parallel()
	var now clock
	tenant := &oddTenant{api: func(w http.ResponseWriter, _ *http.Request) {
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
