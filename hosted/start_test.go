package hosted_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/browsertest"
)

func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	d := setup(t, at(g.url))
	browser := browsertest.New(t, g.url)
	query := url.Values{
		"login_hint": {"ada@lincoln.example"}, "ui_locales": {"de-CH en"}, "prompt": {"login consent"}, "connection": {"google-oauth2"},
		"organization": {"org_1"}, "invitation": {"ticket-1"}, "school_name": {"Lincoln & Söhne"},
		// A caller must not be able to set these.
		"client_id": {"evil"}, "redirect_uri": {"https://evil.example/"}, "scope": {"admin"}, "state": {"mine"}, "nonce": {"mine"},
	}
	requested := d.openProvider(browser, query.Encode()).URL
	if requested.Path != "/authorize" {
		t.Errorf("it redirects to %s", requested)
	}
	got := requested.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "homeroom-web", "redirect_uri": d.url + "/callback", "scope": "openid profile email",
		"code_challenge_method": "S256", "screen_hint": "signup", "login_hint": "ada@lincoln.example", "ui_locales": "de-CH en",
		"prompt": "login consent", "connection": "google-oauth2", "organization": "org_1", "invitation": "ticket-1",
	} {
		if len(got[name]) != 1 || got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if raw, err := base64.RawURLEncoding.DecodeString(got.Get(name)); err != nil || len(raw) != 32 {
			t.Errorf("%s is %q", name, got.Get(name))
		}
	}
	if got.Get("state") == got.Get("nonce") || got.Has("school_name") || got.Has("code_verifier") {
		t.Errorf("it asks %v", got)
	}
	again := d.openProvider(browser, query.Encode()).URL.Query()
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if got.Get(name) == again.Get(name) {
			t.Errorf("%s is not unique", name)
		}
	}
	// The verifier that is sent later must match the challenge.
	g.claims["nonce"] = again.Get("nonce")
	browser.Get(d.url + "/callback?code=canary-code&state=" + again.Get("state"))
	sum := sha256.Sum256([]byte(g.exchanged.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != again.Get("code_challenge") {
		t.Error("the verifier does not match the challenge")
	}
}

func TestRegisterURLOfTheProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configure func(*hosted.Config)
		describe  map[string]any
		query     string
		path      string
		want      map[string]string
	}{
		"its own parameters": {
			func(c *hosted.Config) {
				c.Params = map[string]string{"organization_id": "o 1", "environment_id": "dev", "prompt": "consent"}
			}, nil, "",
			"/authorize",
			map[string]string{"organization_id": "o 1", "environment_id": "dev", "prompt": "consent", "screen_hint": ""},
		},
		"a register endpoint": {
			func(c *hosted.Config) {
				c.RegisterURL, c.Params = c.Issuer+"/register?access_type=offline", map[string]string{}
			}, nil, "",
			"/register",
			map[string]string{"access_type": "offline", "client_id": "homeroom-web", "response_type": "code", "screen_hint": ""},
		},
		"prompt=create if it is supported": {
			func(*hosted.Config) {},
			map[string]any{"prompt_values_supported": []string{"none", "create"}},
			"",
			"/authorize",
			map[string]string{"prompt": "create"},
		},
		"the person's parameters have priority": {
			func(c *hosted.Config) { c.Params = map[string]string{"prompt": "consent"} },
			map[string]any{"prompt_values_supported": []string{"create"}},
			"prompt=login",
			"/authorize",
			map[string]string{"prompt": "login"},
		},
		"our invitation is not sent to the provider": {
			func(*hosted.Config) {}, nil, "invitation=ours",
			"/authorize",
			map[string]string{"invitation": ""},
		},
		"other scopes": {
			func(c *hosted.Config) { c.Scopes = []string{"email", "openid"} }, nil, "",
			"/authorize",
			map[string]string{"scope": "openid email"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeProvider(t)
			g.description = put(g.description, c.describe)
			d := setup(t, func(callback string) hosted.Config {
				cfg := at(g.url)(callback)
				c.configure(&cfg)
				return cfg
			})
			requested := d.openProvider(browsertest.New(t, g.url), c.query).URL
			if requested.Path != c.path {
				t.Errorf("it redirects to %s", requested)
			}
			for name, want := range c.want {
				if got := requested.Query(); got.Get(name) != want || len(got[name]) > 1 {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

func TestClientAuthenticationMethod(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		methods []string
		secret  bool
		basic   bool
	}{
		"unsaid":        {nil, true, true},
		"basic":         {[]string{"client_secret_basic", "client_secret_post"}, true, true},
		"post":          {[]string{"client_secret_post"}, true, false},
		"public client": {[]string{"client_secret_basic", "none"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeProvider(t)
			if c.methods != nil {
				g.description["token_endpoint_auth_methods_supported"] = c.methods
			}
			d := setup(t, func(callback string) hosted.Config {
				cfg := at(g.url)(callback)
				if !c.secret {
					cfg.ClientSecret = ""
				}
				return cfg
			})
			j := &registration{testService: d, fake: g, browser: browsertest.New(t, g.url)}
			j.restart()
			j.returnWith(nil)
			j.wantPerson("ada@lincoln.example")
			if g.basic != c.basic || (g.exchanged.Get("client_secret") != "") != (c.secret && !c.basic) {
				t.Errorf("basic: %v, in the body: %v", g.basic, g.exchanged)
			}
			if !c.basic && g.exchanged.Get("client_id") != "homeroom-web" {
				t.Errorf("it sent %v", g.exchanged)
			}
		})
	}
}

// A provider may support both methods, but only the other one for this client.
func TestARefusedSecretIsSentByTheOtherMethodOnce(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	g.description["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post"}
	calls := 0
	g.answer = func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
	}
	j := startRegistration(t, g)
	got := j.returnWith(nil)
	var misconfigured *identity.Misconfigured
	if !errors.As(got.err, &misconfigured) || calls != 2 || g.exchanged.Get("client_secret") == "" {
		t.Errorf("after %d calls: %v", calls, got.err)
	}
}

func TestTheCookie(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	for name, c := range map[string]struct {
		redirect string
		prefix   string
		secure   bool
	}{
		"by https":        {"https://homeroom.example/callback", "__Host-homeroom-register-", true},
		"on this machine": {"http://127.0.0.1:8080/callback", "homeroom-register-", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := at(g.url)("")
			cfg.Key, cfg.RedirectURL = key, c.redirect
			p, err := hosted.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			started, err := p.Start(httptest.NewRequest(http.MethodGet, "/register", nil), hosted.Options{
				SchoolName: strings.Repeat("學", 100), LoginHint: "ada@lincoln.example", Invitation: strings.Repeat("i", 256),
			})
			if err != nil || len(started.Cookies) != 1 {
				t.Fatalf("%v, %v", started.Cookies, err)
			}
			cookie := started.Cookies[0]
			if !strings.HasPrefix(cookie.Name, c.prefix) || cookie.Secure != c.secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
				cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 600 {
				t.Errorf("it is %v", cookie)
			}
			if err := cookie.Valid(); err != nil || len(cookie.String()) > 4000 {
				t.Errorf("it has %d bytes: %v", len(cookie.String()), err)
			}
			for _, inside := range []string{"ada@", "學", "iiii"} {
				if strings.Contains(cookie.Value, inside) {
					t.Errorf("it shows %s", inside)
				}
			}
		})
	}
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	d := setup(t, at(g.url))
	for name, bad := range map[string]struct {
		option  string
		options hosted.Options
	}{
		"a line break in the hint": {"login_hint", hosted.Options{LoginHint: "a\r\nSet-Cookie: x"}},
		"a long hint":              {"login_hint", hosted.Options{LoginHint: strings.Repeat("a", 255)}},
		"bytes in the name":        {"school_name", hosted.Options{SchoolName: "a\xff"}},
		"a long name":              {"school_name", hosted.Options{SchoolName: strings.Repeat("a", 401)}},
		"an unknown prompt":        {"prompt", hosted.Options{Prompt: "force"}},
		"none and more":            {"prompt", hosted.Options{Prompt: "none login"}},
		"no languages":             {"ui_locales", hosted.Options{Locales: "de;q=1"}},
		"a strange connection":     {"connection", hosted.Options{Connection: "a b"}},
		"a strange organization":   {"organization", hosted.Options{Organization: "<x>"}},
		"a strange invitation":     {"invitation", hosted.Options{Invitation: "a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := d.provider.Start(httptest.NewRequest(http.MethodGet, "/register", nil), bad.options)
			var wrong *hosted.OptionError
			if !errors.As(err, &wrong) || wrong.Option != bad.option {
				t.Errorf("%v, want %s", err, bad.option)
			}
		})
	}
}

func TestASavedStateIsLoaded(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	got := j.returnWith(nil)
	held, err := j.provider.SaveState(got.state, got.person)
	if err != nil {
		t.Fatal(err)
	}
	request := func(cookies ...*http.Cookie) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/callback?state="+got.state.ID+"&code=canary-code", nil)
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		return r
	}
	state, person, err := j.provider.LoadState(request(held), got.state.ID)
	if err != nil || state != got.state || person != got.person {
		t.Errorf("%+v, %+v, %v", state, person, err)
	}
	// The person may reload the page: the code is not used a second time.
	j.fake.exchanged = nil
	if _, person, err := j.provider.Finish(request(held)); err != nil || person != got.person || j.fake.exchanged != nil {
		t.Errorf("%+v, %v, %v", person, err, j.fake.exchanged)
	}
	if _, _, err := j.provider.LoadState(request(j.browser.Cookies(j.url)...), got.state.ID); !errors.Is(err, hosted.ErrStateMismatch) {
		t.Errorf("a flow without a person: %v", err)
	}
	j.clock.advance(10 * time.Minute)
	if _, _, err := j.provider.LoadState(request(held), got.state.ID); !errors.Is(err, hosted.ErrExpired) {
		t.Errorf("after a lifetime: %v", err)
	}
	if end := j.provider.ClearState(got.state); end.Name != held.Name || end.MaxAge >= 0 || end.Value != "" {
		t.Errorf("it ends with %v", end)
	}
}
