package auth0test_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"homeroom/auth0/auth0test"
)

// grant posts a form to /oauth/token.
func (tn *tenant) grant(form url.Values) reply {
	tn.t.Helper()
	req := tn.request("POST", "/oauth/token", form.Encode())
	req.Header.Del("Authorization")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rep, err := tn.do(req)
	if err != nil {
		tn.t.Fatal(err)
	}
	return rep
}

// clientForm is a correct client_credentials request.
func (tn *tenant) clientForm() url.Values {
	cfg := tn.Config()
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {cfg.ClientID}, "client_secret": {cfg.ClientSecret},
		"audience": {cfg.ManagementAudience},
	}
}

func TestTokenIsWhatAuth0Issues(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Scopes: []string{"create:users", "read:users"}})
	form := tn.clientForm()
	form.Set("test", "value") // recorded: unknown parameters are ignored
	rep := tn.grant(form)
	if rep.Status != http.StatusOK {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	token := rep.Body["access_token"].(string)
	delete(rep.Body, "access_token")
	want := map[string]any{"expires_in": 86400.0, "token_type": "Bearer", "scope": "create:users read:users"}
	if mustJSON(t, rep.Body) != mustJSON(t, want) {
		t.Errorf("answer is %v, want %v and the token only", rep.Body, want)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Ratelimit-Limit": "1000",
	} {
		if rep.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, rep.Header.Get(name), value)
		}
	}
	claims := tn.verify(token)
	for name, value := range map[string]any{
		"iss": tn.URL() + "/", "sub": "homeroom-dev@clients", "aud": tn.URL() + "/api/v2/", "azp": "homeroom-dev",
		"gty": "client-credentials", "scope": "create:users read:users",
	} {
		if claims[name] != value {
			t.Errorf("%s is %v, want %v", name, claims[name], value)
		}
	}
	if claims["exp"].(float64)-claims["iat"].(float64) != 86400 {
		t.Errorf("lifetime is %v to %v", claims["iat"], claims["exp"])
	}
}

// verify reads a token with the published keys only.
func (tn *tenant) verify(token string) map[string]any {
	tn.t.Helper()
	rep := tn.call("GET", "/.well-known/jwks.json", "")
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(rep.Raw), &keys); err != nil {
		tn.t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		tn.t.Fatal(err)
	}
	if parsed.Headers[0].ExtraHeaders["typ"] != "JWT" {
		tn.t.Errorf("header has typ %v", parsed.Headers[0].ExtraHeaders["typ"])
	}
	var claims map[string]any
	if err := parsed.Claims(keys, &claims); err != nil {
		tn.t.Fatalf("verify with the published keys: %v", err)
	}
	return claims
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	secret := "p+q r/s%20&=:ü"
	tn := setup(t, auth0test.Config{ClientSecret: secret})
	audience := tn.Config().ManagementAudience
	for name, c := range map[string]struct {
		kind, body, basicSecret string
		status                  int
	}{
		"form":           {"application/x-www-form-urlencoded", tn.clientForm().Encode(), "", 200},
		"JSON":           {"application/json; charset=utf-8", mustJSON(t, map[string]any{"grant_type": "client_credentials", "client_id": "homeroom-dev", "client_secret": secret, "audience": audience, "extra": 1}), "", 200},
		"HTTP Basic":     {"application/x-www-form-urlencoded", url.Values{"grant_type": {"client_credentials"}, "audience": {audience}}.Encode(), secret, 200},
		"wrong in Basic": {"application/x-www-form-urlencoded", tn.clientForm().Encode(), "no", 401},
		"no JSON":        {"application/json", "{", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := tn.request("POST", "/oauth/token", c.body)
			req.Header.Set("Content-Type", c.kind)
			req.Header.Del("Authorization")
			if c.basicSecret != "" {
				pair := url.QueryEscape("homeroom-dev") + ":" + url.QueryEscape(c.basicSecret)
				req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
			}
			rep, err := tn.do(req)
			if err != nil || rep.Status != c.status {
				t.Errorf("%d, %v, want %d: %s", rep.Status, err, c.status, rep.Raw)
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	with := func(pairs ...string) func(url.Values) {
		return func(form url.Values) {
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
		}
	}
	for name, c := range map[string]struct {
		cfg                  auth0test.Config
		change               func(url.Values)
		status               int
		code, description, u string
	}{
		"wrong secret":       {auth0test.Config{}, with("client_secret", "no"), 401, "access_denied", "Unauthorized", ""},
		"unknown client":     {auth0test.Config{}, with("client_id", "no"), 401, "access_denied", "Unauthorized", ""},
		"no client grant":    {auth0test.Config{NoClientGrant: true, ManagementAudience: "m"}, with(), 403, "access_denied", `Client is not authorized to access "m". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`, ""},
		"grant type off":     {auth0test.Config{GrantTypes: []string{"password"}}, with(), 403, "unauthorized_client", "Grant type 'client_credentials' not allowed for the client.", "https://auth0.com/docs/clients/client-grant-types"},
		"audience, no slash": {auth0test.Config{ManagementAudience: "https://x/api/v2/"}, with("audience", "https://x/api/v2"), 403, "access_denied", "Service not found: https://x/api/v2", ""},
		"no audience":        {auth0test.Config{}, with("audience", ""), 403, "access_denied", "Non-global clients are not allowed access to APIv1", ""},
		"scope not granted":  {auth0test.Config{}, with("scope", "read:users read:logs"), 403, "access_denied", "Client has not been granted scopes: read:logs", ""},
		"no grant type":      {auth0test.Config{}, with("grant_type", ""), 400, "invalid_request", "Missing required parameter: grant_type", ""},
		"unknown grant type": {auth0test.Config{}, with("grant_type", "x"), 400, "unsupported_grant_type", "Unsupported grant type: x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := setup(t, c.cfg)
			form := tn.clientForm()
			c.change(form)
			rep := tn.grant(form)
			want := map[string]any{"error": c.code, "error_description": c.description}
			if c.u != "" {
				want["error_uri"] = c.u
			}
			if rep.Status != c.status || mustJSON(t, rep.Body) != mustJSON(t, want) {
				t.Errorf("answered %d %s\nwant %d %s", rep.Status, rep.Raw, c.status, mustJSON(t, want))
			}
			if rep.Header.Get("X-Ratelimit-Limit") == "" {
				t.Error("no rate-limit headers, which this endpoint always sends")
			}
		})
	}
}

func TestTokenQuotaEndsWithTheHour(t *testing.T) {
	t.Parallel()
	clock := newClock()
	clock.advance(time.Minute)
	tn := setup(t, auth0test.Config{TokenQuota: 1, Now: clock.Now})
	if rep := tn.grant(tn.clientForm()); rep.Status != 200 || rep.Header.Get("Auth0-Client-Quota-Limit") != "b=per_hour;q=1;r=0;t=3540" {
		t.Fatalf("%d %q", rep.Status, rep.Header.Get("Auth0-Client-Quota-Limit"))
	}
	rep := tn.grant(tn.clientForm())
	if rep.Status != 429 || rep.Body["error"] != "too_many_requests" || rep.Body["error_description"] != "Client quota exceeded" || rep.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	clock.advance(time.Hour)
	if rep := tn.grant(tn.clientForm()); rep.Status != 200 {
		t.Errorf("after the hour: %d %s", rep.Status, rep.Raw)
	}
}

func TestPersonLogsIn(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	form := tn.clientForm()
	form.Set("grant_type", "password")
	form.Set("username", "Ada@example.com")
	form.Set("password", "Correct-h0rse")
	form.Set("audience", tn.Config().Audience)
	form.Set("scope", "openid email")
	rep := tn.grant(form)
	if rep.Status != 200 || rep.Body["scope"] != "openid email" {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	claims := tn.verify(rep.Body["access_token"].(string))
	if claims["sub"] != id || claims["gty"] != "password" || claims["permissions"] != nil {
		t.Errorf("claims are %v", claims)
	}
	if aud, _ := claims["aud"].([]any); !slices.Equal(aud, []any{tn.Config().Audience, tn.URL() + "/userinfo"}) {
		t.Errorf("aud is %v", claims["aud"])
	}
	if identity := tn.verify(rep.Body["id_token"].(string)); identity["aud"] != "homeroom-dev" || identity["email"] != "ada@example.com" {
		t.Errorf("the id token has %v", identity)
	}

	form.Del("audience")
	form.Del("scope")
	if rep := tn.grant(form); rep.Status != 200 || strings.Contains(rep.Body["access_token"].(string), ".") {
		t.Errorf("without an audience: %d %s", rep.Status, rep.Raw)
	}
	form.Set("audience", "https://other")
	if rep := tn.grant(form); rep.Status != 400 || rep.Body["error_description"] != "invalid audience specified for password grant exchange" {
		t.Errorf("another audience: %d %s", rep.Status, rep.Raw)
	}
	form.Del("audience")
	tn.call("PATCH", userPath(id), `{"blocked":true}`)
	if rep := tn.grant(form); rep.Status != 401 || rep.Body["error_description"] != "user is blocked" {
		t.Errorf("blocked: %d %s", rep.Status, rep.Raw)
	}
	if user, _ := tn.User(id); user.LoginsCount != 2 {
		t.Errorf("%d logins are counted, want 2", user.LoginsCount)
	}
	for _, wrong := range [][2]string{{"password", "no"}, {"username", "nobody@example.com"}} {
		form.Set(wrong[0], wrong[1])
		if rep := tn.grant(form); rep.Status != 403 || rep.Body["error"] != "invalid_grant" || rep.Body["error_description"] != "Wrong email or password." {
			t.Errorf("wrong %s: %d %s", wrong[0], rep.Status, rep.Raw)
		}
	}
}
