package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
)

// provider gives token-1, token-2, … for an hour each, and answers all other calls with answer. It needs no network, so
// that the clock may be synctest's.
type provider struct {
	gate   chan struct{} // nil: tokens are given at once
	down   atomic.Bool   // no tokens are given
	asked  atomic.Int32  // how often the token endpoint was called
	answer http.HandlerFunc

	mu     sync.Mutex
	issued int
	calls  []string // "METHOD /path bearer"
}

// RoundTrip implements http.RoundTripper.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if r.URL.Path == "/token" {
		p.token(recorder, r)
	} else {
		p.mu.Lock()
		p.calls = append(p.calls, r.Method+" "+r.URL.Path+" "+bearer)
		p.mu.Unlock()
		p.answer(recorder, r)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	if p.gate != nil {
		select {
		case <-p.gate:
		case <-r.Context().Done():
			return
		}
	}
	id, password, _ := r.BasicAuth()
	if p.down.Load() || id != "a%2Bb" || password != "client+canary" || r.FormValue("scope") != "all" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.issued++
	fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":3600}`, p.issued)
}

func (p *provider) last() string { return p.calls[len(p.calls)-1] }

// client is made with credentials that must be encoded.
func (p *provider) client(t *testing.T) *remote.Client {
	t.Helper()
	c, err := remote.New(remote.Config{
		Name: "provider", BaseURL: "http://provider.test/", Transport: p, Secrets: []secret.String{"client canary"},
		Token: remote.ClientCredentialsGrant(remote.Credentials{
			URL: "/token", ClientID: "a+b", ClientSecret: "client canary", Scope: "all",
			RefusalHint: func(status int, code string) string { return fmt.Sprint(status, code) },
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }

var read = remote.Call{Method: http.MethodGet, Route: "/users"}

func use(t *testing.T, c *remote.Client, want int) {
	t.Helper()
	ans, err := c.Do(context.Background(), read)
	if err != nil || ans.Status != want {
		t.Errorf("answer %d, %v; want %d", ans.Status, err, want)
	}
}

func TestOneTokenServesAllCalls(t *testing.T) {
	t.Parallel()
	p := &provider{answer: ok}
	c := p.client(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { use(t, c, 200) })
	}
	wg.Wait()
	if p.issued != 1 || p.last() != "GET /users token-1" {
		t.Errorf("%d tokens were issued, and the last call was %s", p.issued, p.last())
	}
}

func TestOneCallersCancellationFailsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: ok, gate: make(chan struct{})}
		c := p.client(t)
		ctx, cancel := context.WithCancel(context.Background())
		first, second := make(chan error), make(chan error)
		go func() { _, err := c.Do(ctx, read); first <- err }()
		synctest.Wait() // the first has begun the fetch
		go func() { second <- c.Warm(context.Background()) }()
		synctest.Wait()
		cancel()
		if err := <-first; !identity.Temporary(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		close(p.gate)
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
	})
}

func TestATokenIsRenewedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: ok}
		c := p.client(t)
		use(t, c, 200)
		time.Sleep(54 * time.Minute) // the bubble's time
		use(t, c, 200)
		if synctest.Wait(); p.issued != 1 {
			t.Errorf("%d tokens were issued after 54 minutes of 60", p.issued)
		}
		time.Sleep(2 * time.Minute)
		p.gate = make(chan struct{})
		use(t, c, 200) // does not wait, although the endpoint hangs
		if p.last() != "GET /users token-1" {
			t.Errorf("meanwhile it used %s", p.last())
		}
		close(p.gate)
		synctest.Wait()
		use(t, c, 200)
		if p.issued != 2 || p.last() != "GET /users token-2" {
			t.Errorf("%d tokens were issued, and then it used %s", p.issued, p.last())
		}
		p.down.Store(true)
		time.Sleep(56 * time.Minute)
		asked := p.asked.Load()
		for range 10 {
			use(t, c, 200) // the old one still serves
			time.Sleep(time.Second)
		}
		if n := p.asked.Load() - asked; n != 3 {
			t.Errorf("the endpoint, which is down, was asked %d times in 10 s, want one fetch with its two repeats", n)
		}
		time.Sleep(5 * time.Minute) // and then it ends
		if _, err := c.Do(context.Background(), read); !identity.Temporary(err) {
			t.Errorf("without a token: %v, want a temporary error", err)
		}
		p.down.Store(false)
		use(t, c, 200)
	})
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	p := &provider{}
	p.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	c := p.client(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { use(t, c, 200) })
	}
	wg.Wait()
	if p.issued != 2 {
		t.Errorf("%d tokens were issued, want 2: the refused one and one more", p.issued)
	}
	p.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	use(t, c, 401)
}

func TestALateRefusalDoesNotDropTheNewToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, late, first := &provider{}, make(chan struct{}), true
		p.answer = func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				<-late
			}
			if r.Header.Get("Authorization") == "Bearer token-1" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
		c := p.client(t)
		var wg sync.WaitGroup
		wg.Go(func() { use(t, c, 200) })
		synctest.Wait() // this one is with the provider, with the old token
		use(t, c, 200)  // renews it
		close(late)
		wg.Wait()
		use(t, c, 200)
		if p.issued != 2 {
			t.Errorf("%d tokens were issued, want 2", p.issued)
		}
	})
}

func TestAnOldTokenThatLacksAScopeIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }}
		c := p.client(t)
		for i, step := range []struct {
			passes time.Duration
			bearer string
		}{{0, "token-1"}, {time.Minute, "token-1"}, {time.Second, "token-1"}, {0, "token-2"}, {0, "token-2"}} {
			time.Sleep(step.passes)
			use(t, c, 403)
			if p.last() != "GET /users "+step.bearer {
				t.Errorf("call %d was %s, want %s", i, p.last(), step.bearer)
			}
		}
	})
}

func TestCreatesAreNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }}
		c := p.client(t)
		use(t, c, 502)
		if len(p.calls) != 3 {
			t.Errorf("a read was sent %d times, want three", len(p.calls))
		}
		p.calls = nil
		_, err := c.Do(context.Background(), remote.Call{Method: http.MethodPost, Route: "/users", Creates: true})
		if err != nil || len(p.calls) != 1 {
			t.Errorf("a create was sent %d times, want once: %v", len(p.calls), err)
		}
		p.calls = nil
		p.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) }
		if use(t, c, 501); len(p.calls) != 1 || (remote.Answer{Status: 501}).Transient() {
			t.Errorf("what is not implemented was asked for %d times, want once", len(p.calls))
		}
	})
}

func TestAPauseIsWaitedForWhenItIsShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		after := "7"
		p.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
		}
		c := p.client(t)
		use(t, c, 429)
		start := time.Now()
		p.answer = ok
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := c.Do(ctx, read); identity.RetryAfter(err) != 7*time.Second || time.Since(start) != 0 {
			t.Errorf("with a deadline before the end: %v after %s", err, time.Since(start))
		}
		use(t, c, 200)
		if waited := time.Since(start); waited != 7*time.Second {
			t.Errorf("waited %s, want 7 s", waited)
		}
		for header, want := range map[string]time.Duration{
			"":      time.Second,
			"-5":    time.Second,
			"86400": time.Minute,
			time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat): 30 * time.Second,
		} {
			ans := remote.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {header}}}
			if got := identity.RetryAfter(c.Unavailable(read, ans, errors.New("refused"))); got != want {
				t.Errorf("Retry-After %q is read as %s, want %s", header, got, want)
			}
		}
	})
}

func TestQuotesAreRedacted(t *testing.T) {
	t.Parallel()
	p := &provider{answer: ok}
	c := p.client(t)
	use(t, c, 200)
	req := remote.Call{Method: http.MethodPost, Route: "/users", Private: []string{"pass+word", "pass"}}
	said := "pass+word pass%2Bword pass token-1 client canary ada@lincoln.example Bearer abc.def eyJhbGciOiJ.e.x \n" +
		strings.Repeat("long ", 100)
	got := c.Quote(req, remote.Answer{Status: 400}, "", said).Error()
	want := "POST /users: 400 Bad Request: " + strings.Repeat("[redacted] ", 8) + " long"
	if !strings.HasPrefix(got, want) || len(got) > 400 {
		t.Errorf("quoted as %q, want %q…", got, want)
	}
}
