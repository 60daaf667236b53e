package auth0_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/internal/secret"
)

func newSessionClient(t *testing.T, tenant *auth0test.Server) *auth0.Client {
	t.Helper()
	cfg := configOf(tenant)
	cfg.Audience = tenant.Config().Audience
	return newClient(t, cfg)
}

func TestASessionIsForOurOwnAPI(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client := newSessionClient(t, tenant)
	made, err := client.Create(t.Context(), newUser())
	if err != nil {
		t.Fatal(err)
	}
	tenant.Inject(flaky.Fault{Path: "/oauth/token", Kind: flaky.LostAnswer})
	session, err := client.OpenSession(t.Context(), email, password, "203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(session.ExpiresAt); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("it is valid for %s, want a day", left)
	}
	token, err := jwt.ParseSigned(session.Token.Reveal(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Subject != made.ID || !claims.Audience.Contains(tenant.Config().Audience) {
		t.Errorf("it is for %s and %v", claims.Subject, claims.Audience)
	}
}

func TestALoginNamesItsPerson(t *testing.T) {
	t.Parallel()
	tenant := &fakeTenant{token: func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("auth0-forwarded-for"); got != "203.0.113.7" {
			t.Errorf("the forwarded address is %q", got)
		}
		respond(w, 200, `{"access_token":"`+accessToken+`","expires_in":60}`)
	}}
	client := tenant.serve(t, func(c *auth0.Config) { c.Audience = "api" })
	if _, err := client.OpenSession(t.Context(), email, password, "203.0.113.7"); err != nil {
		t.Error(err)
	}
}

func TestLoginRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body, code string
	}{
		"a wrong password":    {403, `{"error":"invalid_grant","error_description":"Wrong email or password."}`, "wrong_credentials"},
		"a second factor":     {403, `{"error":"mfa_required","error_description":"Multifactor authentication required","mfa_token":"x"}`, "mfa_required"},
		"a blocked user":      {401, `{"error":"unauthorized","error_description":"user is blocked"}`, "blocked"},
		"too many attempts":   {429, `{"error":"too_many_attempts","error_description":"Your account has been blocked"}`, "too_many_attempts"},
		"a leaked password":   {403, `{"error":"password_leaked"}`, "password_leaked"},
		"an Action's refusal": {403, `{"error":"access_denied","error_description":"Verify your e-mail first."}`, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{token: func(w http.ResponseWriter, _ *http.Request) { respond(w, c.status, c.body) }}
			_, err := tenant.serve(t, func(c *auth0.Config) { c.Audience = "api" }).OpenSession(t.Context(), email, password, "")
			var rejected *identity.Rejected
			if !errors.As(err, &rejected) || rejected.Code != c.code || rejected.Field != "password" || rejected.Message.IsZero() {
				t.Errorf("%v; want a refusal with the code %s", err, c.code)
			}
		})
	}
}

func TestASessionThatCannotBe(t *testing.T) {
	t.Parallel()
	audience := func(c *auth0.Config) { c.Audience = "api" }
	for name, c := range map[string]struct {
		status int
		body   string
		set    func(*auth0.Config)
		want   class
		says   string
	}{
		"the grant is off":    {403, `{"error":"unauthorized_client","error_description":"Grant type 'x' not allowed for the client."}`, audience, misconfigured, "grant type Password"},
		"a wrong secret":      {401, `{"error":"access_denied","error_description":"Unauthorized"}`, audience, misconfigured, "ClientSecret"},
		"an unknown API":      {403, `{"error":"access_denied","error_description":"Service not found: api"}`, audience, misconfigured, "Audience"},
		"a bad audience":      {400, `{"error":"invalid_request","error_description":"invalid audience specified for password grant exchange"}`, audience, misconfigured, "Audience"},
		"a rate limit":        {429, `{"error":"too_many_requests"}`, audience, throttled, ""},
		"a failure":           {503, ``, audience, temporary, ""},
		"no token":            {200, `{}`, audience, temporary, ""},
		"no API":              {200, `{"access_token":"x"}`, func(*auth0.Config) {}, misconfigured, "Audience"},
		"passwordless users":  {200, `{"access_token":"x"}`, func(c *auth0.Config) { audience(c); c.Login = auth0.LoginEmail }, misconfigured, "Login"},
		"echoing the request": {400, `{"error":"` + password + `","error_description":"` + email + `"}`, audience, misconfigured, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := &fakeTenant{token: func(w http.ResponseWriter, _ *http.Request) { respond(w, c.status, c.body) }}
			_, err := tenant.serve(t, c.set).OpenSession(t.Context(), email, password, "")
			checkError(t, err, c.want, c.says)
		})
	}
}

func TestASecondFactorIsARefusal(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{MFA: true})
	client := newSessionClient(t, tenant)
	if _, err := client.Create(t.Context(), newUser()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ password, code string }{{password, "mfa_required"}, {"wrong", "wrong_credentials"}} {
		_, err := client.OpenSession(t.Context(), email, secret.String(c.password), "")
		var rejected *identity.Rejected
		if !errors.As(err, &rejected) || rejected.Code != c.code {
			t.Errorf("%v; want the refusal %s", err, c.code)
		}
	}
}
