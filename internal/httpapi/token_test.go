package httpapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

// unsigned makes a token of header and claims with a signature of the caller's.
func unsigned(header, claims map[string]any, sign func(input string) []byte) string {
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	issue := func(change func(*auth0test.TokenRequest)) string {
		req := auth0test.TokenRequest{Permissions: []string{"read:tenants"}}
		change(&req)
		return w.auth0.IssueToken(req)
	}
	good := issue(func(*auth0test.TokenRequest) {})
	parts := strings.Split(good, ".")
	claims := map[string]any{
		"iss": w.config.Issuer, "sub": "auth0|x", "aud": w.config.Audience, "exp": time.Now().Add(time.Hour).Unix(),
		"permissions": []string{"read:tenants"},
	}
	none := func(string) []byte { return nil }
	hs256 := func(input string) []byte {
		mac := hmac.New(sha256.New, []byte(w.call("GET", "/openapi.json", "").Body))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	with := func(name string, value any) string {
		return issue(func(r *auth0test.TokenRequest) { r.Claims = map[string]any{name: value} })
	}
	cases := []struct {
		name, token string
		status      int
	}{
		{"a good one", good, 200},
		{"in the scope of an application", issue(func(r *auth0test.TokenRequest) { r.Permissions, r.Scope = nil, "openid read:tenants" }), 200},
		{"with several audiences", issue(func(r *auth0test.TokenRequest) { r.Audience = []string{"other", w.config.Audience} }), 200},
		{"of another type name", unsigned(map[string]any{"alg": "RS256", "typ": "at+jwt"}, claims, hs256), 401},
		{"empty", "", 401},
		{"not a token", "hello", 401},
		{"two parts", parts[0] + "." + parts[1], 401},
		{"four parts", good + ".x", 401},
		{"five parts", good + ".x.y", 401},
		{"in JSON", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, 401},
		{"no signature", parts[0] + "." + parts[1] + ".", 401},
		{"another signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 401},
		{"changed claims", parts[0] + "." + unsignedClaims(claims) + "." + parts[2], 401},
		{"alg none", unsigned(map[string]any{"alg": "none", "typ": "JWT"}, claims, none), 401},
		{"alg None", unsigned(map[string]any{"alg": "None"}, claims, none), 401},
		{"alg HS256", unsigned(map[string]any{"alg": "HS256", "typ": "JWT"}, claims, hs256), 401},
		{"no alg", unsigned(map[string]any{"typ": "JWT"}, claims, hs256), 401},
		{"a key of its own", unsigned(map[string]any{"alg": "RS256", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}}, claims, hs256), 401},
		{"keys from elsewhere", unsigned(map[string]any{"alg": "RS256", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/"}, claims, hs256), 401},
		{"critical header", unsigned(map[string]any{"alg": "RS256", "crit": []string{"x"}, "x": 1}, claims, hs256), 401},
		{"signed by somebody else", issue(func(r *auth0test.TokenRequest) { r.WrongKey = true }), 401},
		{"an unknown key", issue(func(r *auth0test.TokenRequest) { r.KeyID = "../../etc/passwd" }), 401},
		{"expired", issue(func(r *auth0test.TokenRequest) { r.ExpiresIn = -time.Second }), 401},
		{"without expiry", with("exp", nil), 401},
		{"expiry as text", with("exp", "tomorrow"), 401},
		{"not yet good", with("nbf", time.Now().Add(time.Hour).Unix()), 401},
		{"another issuer", issue(func(r *auth0test.TokenRequest) { r.Issuer = "https://evil.example/" }), 401},
		{"the issuer without its slash", issue(func(r *auth0test.TokenRequest) { r.Issuer = w.auth0.URL() }), 401},
		{"another audience", issue(func(r *auth0test.TokenRequest) { r.Audience = []string{w.auth0.Config().ManagementAudience} }), 401},
		{"the client as audience, as ID tokens have", issue(func(r *auth0test.TokenRequest) { r.Audience = []string{w.auth0.Config().ClientID} }), 401},
		{"no audience", with("aud", nil), 401},
		{"no subject", with("sub", ""), 401},
		{"permissions of the wrong type", with("permissions", "read:tenants"), 401},
		{"no permissions", issue(func(r *auth0test.TokenRequest) { r.Permissions = nil }), 403},
		{"another permission", issue(func(r *auth0test.TokenRequest) { r.Permissions = []string{"read:tenantss", "update:tenants"} }), 403},
		{"a longer scope", issue(func(r *auth0test.TokenRequest) { r.Permissions, r.Scope = nil, "xread:tenants read:tenants2" }), 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.call("GET", "/tenants", "", "Authorization: Bearer "+c.token)
			equal(t, c.status, r.Status, r.Body)
			switch c.status {
			case 401:
				equal(t, "UNAUTHENTICATED", r.code(t))
				holds(t, r.Header.Get("WWW-Authenticate"), "Bearer")
			case 403:
				equal(t, "FORBIDDEN", r.code(t))
				holds(t, r.Body, "read:tenants")
				holds(t, r.Header.Get("WWW-Authenticate"), `error="insufficient_scope", scope="read:tenants"`)
			}
			if len(c.token) > 20 {
				lacks(t, r.Body, c.token)
				lacks(t, w.log.String(), c.token)
			}
		})
	}
	t.Run("other schemes", func(t *testing.T) {
		for _, value := range []string{"Basic " + good, good, "Bearer", "bearer" + good} {
			r := w.call("GET", "/tenants", "", "Authorization: "+value)
			equal(t, 401, r.Status, value)
			equal(t, "Bearer", r.Header.Get("WWW-Authenticate"))
		}
		equal(t, 200, w.call("GET", "/tenants", "", "Authorization: bEaReR "+good).Status)
	})
	t.Run("the hint for Auth0", func(t *testing.T) {
		holds(t, w.call("GET", "/tenants", "", w.bearer()).Body, "RBAC", "Add Permissions in the Access Token")
		lacks(t, w.call("GET", "/tenants", "", w.bearer("update:tenants")).Body, "RBAC")
	})
}

func unsignedClaims(claims map[string]any) string {
	text, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(text)
}

// TestKeysOfTheIssuer stands between the API and the issuer, to count and to break what passes.
func TestKeysOfTheIssuer(t *testing.T) {
	t.Parallel()
	var fetches atomic.Int32
	var broken atomic.Bool
	var issuer string
	keys := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		if broken.Load() {
			http.Error(rw, "<html>down</html>", http.StatusBadGateway)
			return
		}
		res, err := http.Get(issuer + "/.well-known/jwks.json")
		if err != nil {
			return
		}
		defer res.Body.Close()
		_, _ = io.Copy(rw, res.Body)
	}))
	t.Cleanup(keys.Close)
	broken.Store(true)
	w := setup(t, options{noSpare: true, api: func(c *config) { c.JWKSURL = keys.URL }})
	issuer = w.auth0.URL()

	r := w.call("GET", "/tenants", "", w.bearer("read:tenants"))
	equal(t, 503, r.Status, r.Body)
	equal(t, "IDENTITY_UNAVAILABLE", r.code(t))
	truth(t, r.Header.Get("Retry-After") != "")
	lacks(t, r.Body, "down")
	holds(t, w.log.String(), "502")

	broken.Store(false)
	equal(t, 200, w.call("GET", "/tenants", "", w.bearer("read:tenants")).Status)
	check(t, w.auth0.RotateKeys())
	equal(t, 200, w.call("GET", "/tenants", "", w.bearer("read:tenants")).Status, "a new key is good at once")
	for i := range 200 {
		token := w.auth0.IssueToken(auth0test.TokenRequest{KeyID: fmt.Sprint("unknown", i)})
		equal(t, 401, w.call("GET", "/tenants", "", "Authorization: Bearer "+token).Status)
	}
	truth(t, fetches.Load() <= 4, "unknown keys made us fetch ", fetches.Load(), " times")
	equal(t, 200, w.call("GET", "/tenants", "", w.bearer("read:tenants")).Status, "good tokens stay good")
}
