package hosted_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// fakeProvider is a provider with responses that a test chooses. It has no pages: the test opens the callback itself.
type fakeProvider struct {
	url  string
	http *httptest.Server

	mu sync.Mutex
	// description replaces members of the discovery document, claims those of the ID token; nil removes one.
	description, claims map[string]any
	// header are members of the ID token's, token members of the answer to a code, info those of /userinfo.
	token, info map[string]any
	// sign returns an ID token with its claims. Defaults to RS256 with the published key.
	sign func(claims []byte) string
	// answer, if not nil, replaces the response of the token endpoint.
	answer http.HandlerFunc
	// keys, if not nil, replaces the response with the keys.
	keys http.HandlerFunc
	// exchanged is the last request to the token endpoint.
	exchanged url.Values
	basic     bool
}

var fakeProviderKey = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

func newFakeProvider(t *testing.T) *fakeProvider {
	t.Helper()
	g := &fakeProvider{description: map[string]any{}, claims: map[string]any{}, token: map[string]any{}, info: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", g.metadata)
	mux.HandleFunc("GET /keys", g.getKeys)
	mux.HandleFunc("POST /token", g.exchange)
	mux.HandleFunc("GET /me", g.me)
	g.http = httptest.NewServer(mux)
	t.Cleanup(g.http.Close)
	g.url = g.http.URL
	return g
}

func put(into, changes map[string]any) map[string]any {
	for name, value := range changes {
		if value == nil {
			delete(into, name)
			continue
		}
		into[name] = value
	}
	return into
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (g *fakeProvider) metadata(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	writeJSON(w, put(map[string]any{
		"issuer": g.url, "authorization_endpoint": g.url + "/authorize", "token_endpoint": g.url + "/token", "jwks_uri": g.url + "/keys",
		"userinfo_endpoint": g.url + "/me", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	}, g.description))
}

func (g *fakeProvider) getKeys(w http.ResponseWriter, r *http.Request) {
	if g.keys != nil {
		g.keys(w, r)
		return
	}
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: fakeProviderKey().Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
}

func (g *fakeProvider) exchange(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = r.ParseForm()
	g.exchanged = r.PostForm
	_, _, g.basic = r.BasicAuth()
	if g.answer != nil {
		g.answer(w, r)
		return
	}
	now := time.Now()
	claims, err := json.Marshal(put(map[string]any{
		"iss": g.url, "sub": "person-1", "aud": "homeroom-web", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "ada@lincoln.example", "email_verified": true,
	}, maps.Clone(g.claims)))
	if err != nil {
		panic(err)
	}
	sign := g.sign
	if sign == nil {
		sign = signer(jose.RS256, fakeProviderKey(), "1")
	}
	writeJSON(w, put(map[string]any{
		"access_token": "canary-access", "token_type": "Bearer", "expires_in": 3600, "id_token": sign(claims),
	}, g.token))
}

func (g *fakeProvider) me(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer canary-access" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	writeJSON(w, g.info)
}

func signer(algorithm jose.SignatureAlgorithm, key any, id string) func([]byte) string {
	return func(claims []byte) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", id))
		if err != nil {
			panic(err)
		}
		return compact(s, claims)
	}
}

// compact returns a token in its usual form.
func compact(s jose.Signer, claims []byte) string {
	signed, err := s.Sign(claims)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// unsigned returns a token of the algorithm none.
func unsigned(claims []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64(claims) + "."
}

// atHash returns OpenID Connect's hash of an access token, for RS256.
func atHash(token string) string {
	h := crypto.SHA256.New()
	h.Write([]byte(token))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:sha256.Size/2])
}
