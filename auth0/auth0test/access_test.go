package auth0test_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

func TestManagementRefusesTokens(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	management := []string{tn.Config().ManagementAudience}
	issue := func(req auth0test.TokenRequest) string {
		if req.Audience == nil {
			req.Audience = management
		}
		if req.Scope == "" {
			req.Scope = "read:users"
		}
		return "Bearer " + tn.IssueToken(req)
	}
	for name, c := range map[string]struct{ header, message string }{
		"garbage":         {"Bearer x", "Invalid token"},
		"of nobody's key": {issue(auth0test.TokenRequest{KeyID: "nobody"}), "Invalid signature received for JSON Web Token validation"},
		"wrong signature": {issue(auth0test.TokenRequest{WrongKey: true}), "Invalid signature received for JSON Web Token validation"},
		"expired":         {issue(auth0test.TokenRequest{ExpiresIn: -time.Second}), "Expired token received for JSON Web Token validation"},
		"other audience":  {issue(auth0test.TokenRequest{Audience: []string{tn.Config().Audience}}), "Bad audience"},
		"no slash":        {issue(auth0test.TokenRequest{Audience: []string{strings.TrimSuffix(management[0], "/")}}), "Bad audience"},
		"other issuer":    {issue(auth0test.TokenRequest{Issuer: "https://elsewhere/"}), "Invalid token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := tn.request("GET", "/api/v2/users", "")
			req.Header.Set("Authorization", c.header)
			rep, err := tn.do(req)
			if err != nil {
				t.Fatal(err)
			}
			wantError(t, rep, http.StatusUnauthorized, "", c.message)
			if attributes, _ := rep.Body["attributes"].(map[string]any); attributes["error"] != c.message {
				t.Errorf("attributes are %v", rep.Body["attributes"])
			}
		})
	}
}

func TestManagementIsOneOfSeveralAudiences(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.token = tn.IssueToken(auth0test.TokenRequest{
		Audience: []string{tn.URL() + "/userinfo", tn.Config().ManagementAudience}, Scope: "read:users",
	})
	if rep := tn.call("GET", "/api/v2/users", ""); rep.Status != http.StatusOK {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}

func TestManagementNeedsAToken(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	req := tn.request("POST", "/api/v2/users", "{")
	req.Header.Del("Authorization")
	rep, err := tn.do(req)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, rep, http.StatusUnauthorized, "", "Missing authentication")
	if rep.Header.Get("WWW-Authenticate") != "Bearer" || len(rep.Body) != 3 {
		t.Errorf("challenge %q, body %s", rep.Header.Get("WWW-Authenticate"), rep.Raw)
	}
}

func TestManagementNamesTheMissingScope(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Scopes: []string{"create:users"}})
	id := tn.mustCreate("ada@example.com", "")
	for path, scopes := range map[string]string{
		"GET /api/v2/users":                    "read:users",
		"GET /api/v2/users-by-email?email=x@y": "read:users",
		"GET " + userPath(id):                  "read:users,read:user_idp_tokens,read:current_user",
		"PATCH " + userPath(id):                "update:users,update:users_app_metadata,update:current_user_metadata",
		"DELETE " + userPath(id):               "delete:users,delete:current_user",
	} {
		method, path, _ := strings.Cut(path, " ")
		rep := tn.call(method, path, "{}")
		wantError(t, rep, http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: "+scopes)
	}
	if _, ok := tn.User(id); !ok {
		t.Error("a refused delete deleted")
	}
	tn.token = tn.IssueToken(auth0test.TokenRequest{Audience: []string{tn.Config().ManagementAudience}})
	wantError(t, tn.create("b@example.com", ""), http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: create:users")
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	former := tn.token
	if err := tn.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	tn.verify(former)
	tn.verify(tn.managementToken(time.Hour))
	if rep := tn.call("GET", "/api/v2/users", ""); rep.Status != http.StatusOK {
		t.Errorf("a token of the old key: %d %s", rep.Status, rep.Raw)
	}
	if err := tn.RevokeKeys(); err != nil {
		t.Fatal(err)
	}
	wantError(t, tn.call("GET", "/api/v2/users", ""), 401, "", "Invalid signature received for JSON Web Token validation")
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	rep := tn.call("GET", "/.well-known/openid-configuration", "")
	for name, value := range map[string]string{
		"issuer": "/", "token_endpoint": "/oauth/token", "jwks_uri": "/.well-known/jwks.json",
	} {
		if rep.Body[name] != tn.URL()+value {
			t.Errorf("%s is %v, want %s%s", name, rep.Body[name], tn.URL(), value)
		}
	}
}

func TestRateLimitIsABucket(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{RateLimit: auth0test.RateLimit{Burst: 2, PerSecond: 2}, Now: clock.Now})
	for _, left := range []string{"1", "0"} {
		rep := tn.call("GET", "/api/v2/users", "")
		if rep.Status != 200 || rep.Header.Get("X-Ratelimit-Limit") != "2" || rep.Header.Get("X-Ratelimit-Remaining") != left {
			t.Fatalf("%d %v, want %s left", rep.Status, rep.Header, left)
		}
	}
	rep := tn.create("ada@example.com", "")
	wantError(t, rep, 429, "too_many_requests", "Global limit has been reached")
	if got := rep.Header.Get("X-Ratelimit-Reset"); got != "1795168801" { // the clock's second and one more
		t.Errorf("reset is %s", got)
	}
	if len(tn.Users()) != 0 {
		t.Error("a refused create created")
	}
	clock.advance(500 * time.Millisecond)
	tn.mustCreate("ada@example.com", "")
	wantError(t, tn.create("bob@example.com", ""), 429, "too_many_requests", "Global limit has been reached")
}
