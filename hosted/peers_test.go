package hosted_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/browsertest"
	"homeroom/internal/npmtest"
)

// TestACertifiedProvider runs the whole flow with node's oidc-provider. It sends the e-mail address from the userinfo endpoint
// only, has the parameter iss in its callbacks, and requires PKCE.
func TestACertifiedProvider(t *testing.T) {
	t.Parallel()
	folder := npmtest.Install(t, "oidc-provider@9.13.3")
	for method, secret := range map[string]string{"basic": "homeroom-web-secret", "post": "homeroom-web-secret", "none": ""} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			d := setup(t, func(callback string) hosted.Config {
				cfg := at(npmtest.Node(t, nil, "testdata/oidc-provider.mjs", folder, callback, method))(callback)
				cfg.ClientSecret = hosted.Config{}.ClientSecret
				if secret != "" {
					cfg.ClientSecret = "homeroom-web-secret"
				}
				return cfg
			})
			browser := browsertest.New(t)
			page := browser.Get(d.url + "/register?school_name=Lincoln+High&login_hint=ada@lincoln.example&prompt=login")
			page = browser.Submit(page, "Sign-in", map[string]string{"login": "ada@lincoln.example", "password": "anything"})
			page = browser.Submit(page, "Continue", nil)
			person := d.wantPerson("ada@lincoln.example")
			if !person.Identity.EmailVerified || person.GivenName != "Ada" || person.FamilyName != "Lovelace" || person.Locale != "de" {
				t.Errorf("the person is %+v", person)
			}
			if d.last().state.SchoolName != "Lincoln High" {
				t.Errorf("the flow state is %+v", d.last().state)
			}
			browser.Get(page.URL.String()) // use the code a second time
			d.wantErr(hosted.ErrCodeRejected)
		})
	}
}

func TestOtherOutcomesAtACertifiedProvider(t *testing.T) {
	t.Parallel()
	folder := npmtest.Install(t, "oidc-provider@9.13.3")
	change := func(*hosted.Config) {}
	d := setup(t, func(callback string) hosted.Config {
		cfg := at(npmtest.Node(t, nil, "testdata/oidc-provider.mjs", folder, callback))(callback)
		change(&cfg)
		return cfg
	})
	browser := browsertest.New(t)
	browser.Get(d.url + "/register?prompt=none")
	d.wantErr(hosted.ErrLoginRequired)
	page := browser.Get(d.url + "/register?prompt=login")
	browser.Get(page.Link(t, "[ Cancel ]"))
	d.wantErr(hosted.ErrAccessDenied)

	change = func(c *hosted.Config) { c.ClientSecret = "canary-wrong" }
	d = setup(t, func(callback string) hosted.Config {
		cfg := at(npmtest.Node(t, nil, "testdata/oidc-provider.mjs", folder, callback))(callback)
		change(&cfg)
		return cfg
	})
	page = browser.Get(d.url + "/register?prompt=login")
	page = browser.Submit(page, "Sign-in", map[string]string{"login": "ada@lincoln.example", "password": "anything"})
	browser.Submit(page, "Continue", nil)
	var misconfigured *identity.Misconfigured
	if err := d.last().err; !errors.As(err, &misconfigured) || strings.Contains(err.Error(), "canary") {
		t.Errorf("with a wrong secret: %v", err)
	}
}

// TestAnotherSimulatorOfAuth0 runs the whole flow with a simulator from npm. Its login page needs a script; the test sends the
// requests of auth0.js instead.
func TestAnotherSimulatorOfAuth0(t *testing.T) {
	t.Parallel()
	folder := npmtest.Install(t, "@simulacrum/auth0-simulator@0.11.4")
	home := t.TempDir()
	trusted := certify(t, filepath.Join(home, ".simulacrum", "certs"))
	issuer := npmtest.Node(t, []string{"HOME=" + home}, "testdata/auth0-simulator.mjs", folder) + "/"
	d := setup(t, func(callback string) hosted.Config {
		cfg := at(issuer)(callback)
		cfg.Transport = &http.Transport{TLSClientConfig: trusted}
		return cfg
	})
	browser := browsertest.New(t)
	browser.Trust(trusted)
	page := browser.Get(d.url + "/register?school_name=Lincoln+High")
	if page.URL.Path != "/login" {
		t.Fatalf("was redirected to %s: %s", page.URL, page.Text())
	}
	requested := page.URL.Query()
	page = browser.Post(issuer+"usernamepassword/login", strings.TrimSuffix(issuer, "/"), url.Values{
		"username": {"ada@lincoln.example"}, "password": {"Correct-h0rse"}, "client_id": {"homeroom-web"}, "redirect_uri": {requested.Get("redirect_uri")},
		"state": {requested.Get("state")}, "nonce": {requested.Get("nonce")}, "scope": {requested.Get("scope")}, "response_type": {"code"},
		"connection": {"Username-Password-Authentication"}, "tenant": {"tests"},
	})
	browser.Submit(page, "Submit", nil)
	if person := d.wantPerson("ada@lincoln.example"); person.Identity.ID != "person-1" || !person.Identity.EmailVerified || person.Name != "Ada Lovelace" {
		t.Errorf("the person is %+v", person)
	}
}

// certify writes a certificate for localhost where that simulator reads one, and returns a configuration that trusts
// it.
func certify(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, cert, trust := npmtest.Certificate(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"localhost.pem": cert, "localhost-key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return trust
}
