package hosted_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"homeroom/auth0/auth0test"
	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/browsertest"
)

func TestRegistrationWithAuth0(t *testing.T) {
	t.Parallel()
	d, simulator := withSimulator(t, auth0test.Config{})
	browser := browsertest.New(t)
	page := browser.Get(d.url + "/register?school_name=Lincoln+High&login_hint=ada@lincoln.example&ui_locales=de")
	page.CheckAccessible(t)
	if page.Heading() != "Registrieren" || page.Value("email") != "ada@lincoln.example" {
		t.Fatalf("was redirected to %s: %s", page.URL, page.Text())
	}
	browser.Submit(page, "Weiter", map[string]string{"password": "Correct-h0rse"})
	person := d.wantPerson("ada@lincoln.example")
	user := simulator.Users()[0]
	if person.Identity.ID != user.ID || person.Identity.EmailVerified || person.Name != "" {
		t.Errorf("the person is %+v", person)
	}
	if state := d.last().state; state.SchoolName != "Lincoln High" || state.Locales != "de" || state.ReturnTo != returnURL {
		t.Errorf("the state is %+v", state)
	}
	// They register again, and the provider uses their session.
	browser.Get(d.url + "/register?prompt=none")
	if again := d.wantPerson("ada@lincoln.example"); again.Identity.ID != user.ID || !d.last().state.Silent {
		t.Errorf("is now %+v", d.last())
	}
}

func TestOtherOutcomesWithAuth0(t *testing.T) {
	t.Parallel()
	d, _ := withSimulator(t, auth0test.Config{})
	browser := browsertest.New(t)
	browser.Submit(browser.Get(d.url+"/register"), "Cancel", nil)
	d.wantErr(hosted.ErrAccessDenied)
	browser.Get(d.url + "/register?prompt=none")
	d.wantErr(hosted.ErrLoginRequired)
	page := browser.Submit(browser.Get(d.url+"/register?connection=google-oauth2"), "Continue", map[string]string{"email": "ada@lincoln.example"})
	if person := d.wantPerson("ada@lincoln.example"); !person.Identity.EmailVerified || !strings.HasPrefix(person.Identity.ID, "google-oauth2|") {
		t.Errorf("%s ended with %+v", page.URL, person)
	}
}

// The application at the provider has another secret: the exchange of the code fails.
func TestAWrongSecretIsAConfigurationError(t *testing.T) {
	t.Parallel()
	simulator := auth0test.DefaultApplication()
	d := setup(t, func(callback string) hosted.Config {
		simulator.Callbacks = []string{callback}
		cfg := at(auth0test.Start(t, auth0test.Config{Applications: []auth0test.Application{simulator}}).URL() + "/")(callback)
		cfg.ClientSecret = "canary-wrong"
		return cfg
	})
	browser := browsertest.New(t)
	browser.Submit(browser.Get(d.url+"/register"), "Continue", map[string]string{"email": "ada@lincoln.example", "password": "Correct-h0rse"})
	var misconfigured *identity.Misconfigured
	if err := d.last().err; !errors.As(err, &misconfigured) || !strings.Contains(misconfigured.Hint, "ClientSecret") {
		t.Errorf("it ended with %v", err)
	}
	without(t, d.last().err.Error(), "canary-wrong")
}

func TestKeysMayChange(t *testing.T) {
	t.Parallel()
	d, simulator := withSimulator(t, auth0test.Config{})
	browser := browsertest.New(t)
	browser.Submit(browser.Get(d.url+"/register"), "Continue", map[string]string{"email": "ada@lincoln.example", "password": "Correct-h0rse"})
	d.wantPerson("ada@lincoln.example")
	if err := simulator.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	browser.Get(d.url + "/register")
	d.wantPerson("ada@lincoln.example")
}

// The provider revokes a stolen key.
func TestARevokedKeyIsSoonRefused(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	var published atomic.Value
	published.Store("1")
	g.keys = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		key := fakeProviderKey()
		if published.Load() != "1" {
			key = newOwnKey()
		}
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: key.Public(), KeyID: published.Load().(string), Algorithm: "RS256", Use: "sig"},
		}})
	}
	j := startRegistration(t, g)
	j.returnWith(nil)
	j.wantPerson("ada@lincoln.example")
	published.Store("2")
	comesAgain := func() {
		j.restart()
		g.claims["nonce"] = j.asked.Get("nonce")
		j.returnWith(nil)
	}
	comesAgain() // within one minute
	j.wantPerson("ada@lincoln.example")
	j.clock.advance(time.Minute + time.Second)
	comesAgain()
	j.wantErr(hosted.ErrUnverified)
}

func TestMissingClaimsAreFetchedFromUserInfo(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	g.claims["email"], g.claims["email_verified"] = nil, nil
	g.info = map[string]any{"sub": "person-1", "email": "ada@lincoln.example", "email_verified": "true", "family_name": "Lovelace"}
	j := startRegistration(t, g)
	j.returnWith(nil)
	if person := j.wantPerson("ada@lincoln.example"); !person.Identity.EmailVerified || person.FamilyName != "Lovelace" {
		t.Errorf("the person is %+v", person)
	}
	j.restart()
	j.fake.claims["nonce"] = j.asked.Get("nonce")
	g.info["sub"] = "person-2"
	j.returnWith(nil)
	j.wantErr(hosted.ErrUnverified)
	for _, info := range []map[string]any{{"sub": "person-1"}, {"sub": "person-1", "email": "none"}} {
		g.info = info
		j.restart()
		j.fake.claims["nonce"] = j.asked.Get("nonce")
		j.returnWith(nil)
		j.wantErr(hosted.ErrNoEmail)
	}
}

func TestEmailVerifiedAcceptsOnlyTrue(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"yes", 1, nil, false, "false", []bool{true}} {
		g := newFakeProvider(t)
		g.claims["email_verified"] = value
		j := startRegistration(t, g)
		j.returnWith(nil)
		if j.wantPerson("ada@lincoln.example").Identity.EmailVerified {
			t.Errorf("%v was read as true", value)
		}
	}
}

func TestAnotherOrganizationThanAskedFor(t *testing.T) {
	t.Parallel()
	for claims, good := range map[[2]string]bool{{"org_1", ""}: true, {"org_2", ""}: false, {"", ""}: true, {"org_9", "ORG_1"}: true} {
		g := newFakeProvider(t)
		if claims[0] != "" {
			g.claims["org_id"], g.claims["org_name"] = claims[0], claims[1]
		}
		j := &registration{testService: setup(t, at(g.url)), fake: g, browser: browsertest.New(t, g.url)}
		j.asked = j.openProvider(j.browser, "organization=org_1").URL.Query()
		g.claims["nonce"] = j.asked.Get("nonce")
		if got := j.returnWith(nil); (got.err == nil) != good || !good && !errors.Is(got.err, hosted.ErrUnverified) {
			t.Errorf("%v ended with %v", claims, got.err)
		}
	}
}

func TestAnUnavailableProviderIsRetried(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	var down atomic.Bool
	var requested atomic.Int32
	inner := g.http.Config.Handler
	g.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			requested.Add(1)
		}
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		inner.ServeHTTP(w, r)
	})
	d := setup(t, at(g.url))
	down.Store(true)
	start := func() error {
		_, err := d.provider.Start(httptest.NewRequest(http.MethodGet, "/register", nil), hosted.Options{})
		return err
	}
	if err := start(); !identity.Temporary(err) {
		t.Errorf("it fails with %v", err)
	}
	down.Store(false)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := start(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := requested.Load(); n > 5 {
		t.Errorf("twenty people caused %d requests", n)
	}
	before := requested.Load()
	if err := start(); err != nil || requested.Load() != before {
		t.Errorf("another request was sent: %v", err)
	}
}

func TestUnavailableKeysAreNotAnInvalidToken(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	g.keys = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	j := startRegistration(t, g)
	if got := j.returnWith(nil); !identity.Temporary(got.err) {
		t.Errorf("it ended with %v", got.err)
	}
	g.keys = http.NotFound
	if got := startRegistration(t, g).returnWith(nil); !identity.Temporary(got.err) {
		t.Errorf("without any keys it ended with %v", got.err)
	}
}

func TestMetadataOfAnotherIssuerIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]any{
		"another issuer":        {"issuer": "https://evil.example"},
		"an issuer too many":    {"issuer": []string{"a"}},
		"a plain token address": {"token_endpoint": "http://id.lincoln.example/token"},
		"no keys":               {"jwks_uri": nil},
		"a script for a page":   {"authorization_endpoint": "javascript:alert(1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeProvider(t)
			g.description = change
			d := setup(t, at(g.url))
			_, err := d.provider.Start(httptest.NewRequest(http.MethodGet, "/register", nil), hosted.Options{})
			var misconfigured *identity.Misconfigured
			if !errors.As(err, &misconfigured) || !strings.Contains(misconfigured.Hint, "Issuer") {
				t.Errorf("it fails with %v", err)
			}
		})
	}
}
