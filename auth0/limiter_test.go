package auth0_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"homeroom/auth0"
	"homeroom/identity"
)

// metered is a tenant with a rate limit, and with Auth0's headers about it. Its clock is the bubble's.
type metered struct {
	fakeTenant
	limit   *rate.Limiter
	mu      sync.Mutex
	at      []time.Time
	refused int
}

func newMetered(burst int, perSecond float64) *metered {
	m := &metered{limit: rate.NewLimiter(rate.Limit(perSecond), burst)}
	m.api = func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		m.mu.Lock()
		ok := m.limit.AllowN(now, 1)
		left := max(m.limit.TokensAt(now), 0)
		m.at = append(m.at, now)
		if !ok {
			m.refused++
		}
		m.mu.Unlock()
		full := now.Add(time.Duration((float64(burst) - left) / perSecond * float64(time.Second)))
		w.Header().Set("X-RateLimit-Limit", strconv.Itoa(burst))
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(int(left)))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(full.Add(time.Second-1).Unix(), 10))
		if !ok {
			respond(w, 429, `{"statusCode":429,"message":"Global limit has been reached","errorCode":"too_many_requests"}`)
			return
		}
		time.Sleep(50 * time.Millisecond) // the round trip, in the bubble's time
		respond(w, 200, `[]`)
	}
	return m
}

func TestCallsWaitForASmallLimit(t *testing.T) {
	for name, plan := range map[string]struct {
		burst     int
		perSecond float64
		calls     int
		within    time.Duration
	}{
		"free":                   {2, 2, 9, 7 * time.Second},
		"professional, writes":   {20, 200.0 / 60, 40, 10 * time.Second},
		"enterprise, production": {50, 16, 120, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := newMetered(plan.burst, plan.perSecond)
			tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
				use(t, client) // returns the limit
				start := time.Now()
				var wg sync.WaitGroup
				for range plan.calls {
					wg.Go(func() { use(t, client) })
				}
				wg.Wait()
				if tenant.refused > 0 {
					t.Errorf("%d of %d calls ran into a 429", tenant.refused, plan.calls)
				}
				took := time.Since(start)
				t.Logf("%d calls took %s", plan.calls, took)
				if took > plan.within {
					t.Errorf("took %s, want at most %s: the limit is not used fully", took, plan.within)
				}
			})
		})
	}
}

func TestCallsOfOtherProgramsAreCounted(t *testing.T) {
	tenant := newMetered(10, 1)
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		tenant.limit.AllowN(time.Now(), 8)
		use(t, client) // its answer says that none is left, although we used two
		for range 3 {
			use(t, client)
		}
		if tenant.refused > 0 {
			t.Errorf("%d calls ran into a 429", tenant.refused)
		}
	})
}

func TestCallsGoInOrder(t *testing.T) {
	tenant := newMetered(1, 2)
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				use(t, client)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if !slices.IsSorted(order) {
			t.Errorf("answered in the order %v", order)
		}
	})
}

func TestACallThatCannotGoInTimeIsRefusedAtOnce(t *testing.T) {
	tenant := newMetered(2, 2)
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		use(t, client)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := client.LookupEmail(ctx, email)
		checkError(t, err, throttled)
		if wait := identity.RetryAfter(err); wait <= 100*time.Millisecond || wait > 2*time.Second {
			t.Errorf("the wait is %s", wait)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("refused after %s, want at once", took)
		}
		if len(tenant.at) != 2 {
			t.Errorf("%d calls were sent, want 2", len(tenant.at))
		}
	})
}

func TestACallThatWaitsMayBeCancelled(t *testing.T) {
	tenant := newMetered(1, 0.2)
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := client.LookupEmail(ctx, email)
		checkError(t, err, throttled, context.Canceled.Error())
		if took := time.Since(start); took != time.Second {
			t.Errorf("returned after %s, want when it was cancelled", took)
		}
		use(t, client) // its place in the queue is free again
		if tenant.refused > 0 {
			t.Errorf("%d calls ran into a 429", tenant.refused)
		}
	})
}

func TestARefusalPausesTheCallsAfterIt(t *testing.T) {
	var refuse sync.Once
	tenant := &fakeTenant{}
	tenant.api = func(w http.ResponseWriter, r *http.Request) {
		refused := false
		refuse.Do(func() { refused = true })
		if refused {
			w.Header().Set("Retry-After", "3")
			respond(w, 429, ``)
			return
		}
		respond(w, 200, `[]`)
	}
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		_, err := client.Create(context.Background(), newUser())
		checkError(t, err, throttled)
		start := time.Now()
		use(t, client)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the next call went after %s, want 3 s", took)
		}
	})
}

func TestALargeLimitDelaysNothing(t *testing.T) {
	tenant := newMetered(10_000, 10_000)
	tenant.inBubble(t, func(t *testing.T, client *auth0.Client) {
		use(t, client)
		start := time.Now()
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() { use(t, client) })
		}
		wg.Wait()
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("500 calls took %s, want the 50 ms of one", took)
		}
	})
}

func TestOrganizationLimitsDoNotDelayUsers(t *testing.T) {
	tenant := &fakeTenant{api: func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v2/organizations") {
			w.Header().Set("X-RateLimit-Limit", "1")
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(8*time.Second).Unix(), 10))
		}
		switch r.URL.Path {
		case "/api/v2/connections":
			respond(w, 200, `[{"id":"con_1","name":"Username-Password-Authentication"}]`)
		case "/api/v2/organizations":
			respond(w, 503, `{}`)
		default:
			respond(w, 200, `[]`)
		}
	}}
	tenant.inBubble(t, func(t *testing.T, _ *auth0.Client) {
		client := newClient(t, auth0.Config{
			BaseURL: "http://tenant.test", ClientID: "client-id", ClientSecret: clientSecret, Transport: tenant, Organizations: true,
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Assign(ctx, identity.Membership{UserID: "auth0|1", Slug: "x", Role: identity.RoleOwner}); err == nil {
			t.Fatal("an organization was created")
		}
		start := time.Now()
		for range 5 {
			if _, err := client.LookupEmail(t.Context(), email); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("users waited %s for a limit of organizations", waited)
		}
	})
}
