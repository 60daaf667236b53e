package hosted_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
	"homeroom/hosted"
	"homeroom/internal/browsertest"
)

var key = bytes.Repeat([]byte{7}, 32)

const returnURL = "https://app.lincoln.example/welcome"

// testService is a minimal service around a hosted.Provider: it starts flows, and records their results.
type testService struct {
	t        *testing.T
	url      string
	provider *hosted.Provider
	clock    *clock

	mu      sync.Mutex
	results []result
}

// result is the result of Finish.
type result struct {
	state  hosted.FlowState
	person hosted.Person
	err    error
}

// setup starts a testService. configure returns the configuration of the provider, which may need to know the callback URL; the
// rest of the configuration is the same in all tests.
func setup(t *testing.T, configure func(callback string) hosted.Config) *testService {
	t.Helper()
	d := &testService{t: t, clock: &clock{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /register", d.register)
	mux.HandleFunc("GET /callback", d.callback)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	d.url = server.URL
	cfg := configure(d.url + "/callback")
	cfg.Key, cfg.RedirectURL, cfg.ReturnURLs, cfg.Now = key, d.url+"/callback", []string{returnURL}, d.clock.Now
	var err error
	if d.provider, err = hosted.New(cfg); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *testService) register(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	started, err := d.provider.Start(r, hosted.Options{
		SchoolName: q.Get("school_name"), ReturnTo: q.Get("return_to"), LoginHint: q.Get("login_hint"), Locales: q.Get("ui_locales"),
		Prompt: q.Get("prompt"), Connection: q.Get("connection"), Organization: q.Get("organization"), Invitation: q.Get("invitation"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, cookie := range started.Cookies {
		http.SetCookie(w, cookie)
	}
	http.Redirect(w, r, started.URL, http.StatusFound)
}

func (d *testService) callback(w http.ResponseWriter, r *http.Request) {
	state, person, err := d.provider.Finish(r)
	d.mu.Lock()
	d.results = append(d.results, result{state, person, err})
	d.mu.Unlock()
	fmt.Fprintln(w, "ended:", err)
}

// last returns the result of the last callback.
func (d *testService) last() result {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.results) == 0 {
		d.t.Fatal("no callback was handled")
	}
	return d.results[len(d.results)-1]
}

// count returns how many callbacks were handled.
func (d *testService) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.results)
}

// wantErr checks that the last callback failed with this error.
func (d *testService) wantErr(want error) {
	d.t.Helper()
	if got := d.last(); !errors.Is(got.err, want) || got.person.Identity.ID != "" {
		d.t.Errorf("it ended with %v and %+v, want %v", got.err, got.person, want)
	}
}

// clock is a clock that the test advances.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// at configures a provider that accepts any callback.
func at(issuer string) func(string) hosted.Config {
	return func(string) hosted.Config {
		return hosted.Config{Issuer: issuer, ClientID: "homeroom-web", ClientSecret: "homeroom-web-secret"}
	}
}

// withSimulator starts a testService, and a simulator of Auth0 that knows its callback.
func withSimulator(t *testing.T, cfg auth0test.Config) (*testService, *auth0test.Server) {
	t.Helper()
	var simulator *auth0test.Server
	d := setup(t, func(callback string) hosted.Config {
		app := auth0test.DefaultApplication()
		app.Callbacks = []string{callback}
		cfg.Applications = []auth0test.Application{app}
		simulator = auth0test.Start(t, cfg)
		return at(simulator.URL() + "/")(callback)
	})
	return d, simulator
}

// wantPerson checks that the last callback returned the person with this e-mail address.
func (d *testService) wantPerson(email string) hosted.Person {
	d.t.Helper()
	got := d.last()
	if got.err != nil || got.person.Identity.Email != email || got.person.Identity.ID == "" {
		d.t.Fatalf("it ended with %v and %+v, want %s", got.err, got.person, email)
	}
	return got.person
}

// openProvider starts a flow in a browser that does not follow links to the provider, and returns the authorization request.
func (d *testService) openProvider(browser *browsertest.Browser, query string) browsertest.Page {
	d.t.Helper()
	page := browser.Get(d.url + "/register?" + query)
	if page.Status != 0 {
		d.t.Fatalf("it was not redirected to the provider: %d %s", page.Status, page.Body)
	}
	return page
}

// without fails if a text contains one of the secrets.
func without(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("a secret is in %q", text)
		}
	}
}
