package main

import (
	"strings"
	"testing"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/internal/browsertest"
	"homeroom/internal/pgtest"
)

const front = "http://127.0.0.1:8080" // the service's address in the simulator's application

// A school signs up on the provider's page, with a real process. The log contains none of the secrets of the browser,
// the provider and the process.
func TestServeSignsUpOnTheProvidersPage(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	app := auth0test.DefaultApplication()
	p := w.start(t, "HOMEROOM_HOSTED_CLIENT_ID="+app.ClientID, "HOMEROOM_HOSTED_CLIENT_SECRET="+app.Secret, "HOMEROOM_HOSTED_REDIRECT_URL="+front+"/callback",
		"HOMEROOM_HOSTED_RETURN_URLS=https://app.lincoln.example/welcome")
	if p.url == "" {
		t.Fatalf("it does not serve: %s", p.logs)
	}
	w.waitIdle(t)
	browser := browsertest.New(t, "https://app.lincoln.example/")
	browser.ConnectTo("127.0.0.1:8080", strings.TrimPrefix(p.url, "http://"))
	page := browser.Get(front + "/register?school_name=Canary+High&login_hint=canary@lincoln.example")
	secrets := []string{"Canary", "canary@", "Correct-Horse-9", app.Secret}
	for _, cookie := range browser.Cookies(front) {
		secrets = append(secrets, cookie.Value)
	}
	page = browser.Submit(page, "Continue", map[string]string{"password": "Correct-Horse-9"})
	if page.Status != 0 || page.URL.Query().Get("status") != "ready" {
		t.Fatalf("came to %s (%d): %s\n%s", page.URL, page.Status, page.Text(), p.logs)
	}
	for _, hop := range page.Hops {
		if hop.Path == "/callback" {
			secrets = append(secrets, hop.Query().Get("code"), hop.Query().Get("state"))
		}
	}
	for _, secret := range secrets {
		if secret == "" || strings.Contains(p.logs.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	w.waitIdle(t)
	w.audit(t)
}

func TestHostedConfiguration(t *testing.T) {
	t.Parallel()
	base := valid("AUTH0_DOMAIN=lincoln.eu.auth0.com")
	for name, c := range map[string]struct {
		environ []string
		wrong   string // empty where it is accepted
		none    bool
	}{
		"nothing":                              {nil, "", true},
		"a client":                             {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_URL=https://homeroom.lincoln.example"}, "", false},
		"on this machine":                      {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x"}, "", false},
		"its own parameters":                   {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_PARAMS=organization_id=1, environment_id=dev"}, "", false},
		"no parameters":                        {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_PARAMS=none"}, "", false},
		"no client":                            {[]string{"HOMEROOM_HOSTED_ISSUER=https://id.lincoln.example"}, "HOMEROOM_HOSTED_CLIENT_ID", false},
		"a provider that cannot link accounts": {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x"}, "cannot use an account", false},
		"another tenant":                       {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_ISSUER=https://other.eu.auth0.com/"}, "another Auth0 tenant", false},
		"a custom domain":                      {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_ISSUER=https://id.lincoln.example/", "AUTH0_CUSTOM_DOMAIN=id.lincoln.example"}, "", false},
		"another identity provider":            {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_ISSUER=https://id.lincoln.example/", "HOMEROOM_IDENTITY_PROVIDER=scim"}, "", false},
		"a fixed state":                        {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_PARAMS=state=1"}, "state", false},
		"half a parameter":                     {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_PARAMS=organization"}, "organization", false},
		"a plain return":                       {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_HOSTED_RETURN_URLS=http://app.lincoln.example/"}, "app.lincoln.example", false},
		"a plain service":                      {[]string{"HOMEROOM_HOSTED_CLIENT_ID=x", "HOMEROOM_URL=http://homeroom.lincoln.example"}, "HOMEROOM_URL cannot be used", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h httpConfig
			cfg, err := readConfig(append(base, c.environ...))
			if err == nil {
				var provider identity.Provider = &auth0.Client{}
				if name == "a provider that cannot link accounts" {
					provider = unconfigured{}
				}
				err = problemsError(cfg.hosted(&h, provider))
			}
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Fatalf("it says %v, want %q", err, c.wrong)
			}
			if err == nil && (h.pages.Hosted == nil) != c.none {
				t.Errorf("there is a provider: %v", h.pages.Hosted != nil)
			}
		})
	}
}
