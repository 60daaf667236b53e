package httpapi_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer signs whatever a test wants signed, and publishes its keys as the test says.
type issuer struct {
	t    *testing.T
	url  string
	keys map[string]*rsa.PrivateKey

	mu        sync.Mutex
	published []string
	down      bool
	fetches   int
	lasts     string // Cache-Control
}

func startIssuer(t *testing.T, ids ...string) *issuer {
	t.Helper()
	i := &issuer{t: t, keys: map[string]*rsa.PrivateKey{}, published: ids}
	for _, id := range ids {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		i.keys[id] = key
	}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// ServeHTTP answers with the keys.
func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	if i.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	var keys []map[string]string
	for _, id := range i.published {
		public := i.keys[id].PublicKey
		keys = append(keys, map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		})
	}
	w.Header().Set("Cache-Control", i.lasts)
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// sign makes a token of texts, which need not be proper JSON objects.
func (i *issuer) sign(id, header, claims string) string {
	i.t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.keys[id], crypto.SHA256, sum[:])
	check(i.t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token is a good one, of a key.
func (i *issuer) token(id string) string {
	return i.sign(id, `{"alg":"RS256","kid":"`+id+`"}`, fmt.Sprintf(
		`{"iss":%q,"sub":"auth0|x","aud":"homeroom","exp":%d,"permissions":["read:tenants"]}`, i.url+"/", time.Now().Add(time.Hour).Unix()))
}

func (i *issuer) trusted(c *config) {
	c.Issuer, c.JWKSURL, c.Audience = i.url+"/", i.url, "homeroom"
}

// TestTokensAreReadInOneWayOnly: the issuer has signed all of these, and another reader could read each in another way.
func TestTokensAreReadInOneWayOnly(t *testing.T) {
	t.Parallel()
	i := startIssuer(t, "k1")
	w := setup(t, options{noSpare: true, api: i.trusted})
	now := time.Now()
	issuerIs, exp := fmt.Sprintf(`"iss":%q`, i.url+"/"), fmt.Sprintf(`"exp":%d`, now.Add(time.Hour).Unix())
	const sub, aud, may = `"sub":"auth0|x"`, `"aud":"homeroom"`, `"permissions":["read:tenants"]`
	claims := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	good := func(more ...string) string { return claims(append([]string{issuerIs, sub, aud, exp, may}, more...)...) }
	at := func(name string, d time.Duration) string { return fmt.Sprintf(`%q:%d`, name, now.Add(d).Unix()) }
	typed := func(name string) string { return `{"alg":"RS256","kid":"k1","typ":"` + name + `"}` }
	const header = `{"alg":"RS256","kid":"k1"}`
	for name, c := range map[string]struct {
		header, claims string
		status         int
	}{
		"no type":                         {header, good(), 200},
		"type JWT":                        {typed("JWT"), good(), 200},
		"type at+jwt":                     {typed("at+jwt"), good(), 200},
		"type application/AT+JWT":         {typed("application/AT+JWT"), good(), 200},
		"type id_token":                   {typed("id_token"), good(), 401},
		"type logout+jwt":                 {typed("logout+jwt"), good(), 401},
		"type dpop+jwt":                   {typed("dpop+jwt"), good(), 401},
		"type of nothing":                 {typed(""), good(), 401},
		"type that is no text":            {`{"alg":"RS256","kid":"k1","typ":7}`, good(), 401},
		"two types":                       {`{"alg":"RS256","kid":"k1","typ":"JWT","typ":"id_token"}`, good(), 401},
		"a type in another case":          {`{"alg":"RS256","kid":"k1","TYP":"id_token"}`, good(), 401},
		"issued in a year":                {header, good(at("iat", 365*24*time.Hour)), 401},
		"issued in an hour":               {header, good(at("iat", time.Hour)), 401},
		"issued by a clock that is ahead": {header, good(at("iat", 20*time.Second)), 200},
		"good from an hour on":            {header, good(at("nbf", time.Hour)), 401},
		"good from just now":              {header, good(at("nbf", 20*time.Second)), 200},
		"issued at a word":                {header, good(`"iat":"now"`), 401},
		"audience in two cases":           {header, claims(issuerIs, sub, `"aud":"evil"`, `"AUD":"homeroom"`, exp, may), 401},
		"audience in two cases, turned":   {header, good(`"Aud":"evil"`), 401},
		"issuer in two cases":             {header, claims(`"iss":"https://evil.example/"`, strings.Replace(issuerIs, "iss", "ISS", 1), sub, aud, exp, may), 401},
		"permissions in another case":     {header, good(`"Permissions":["read:tenants","delete:tenants"]`), 401},
		"subject in another case":         {header, good(`"SUB":"auth0|y"`), 401},
		"subject twice":                   {header, good(`"sub":"auth0|y"`), 401},
		"audience twice":                  {header, claims(issuerIs, sub, `"aud":"evil"`, aud, exp, may), 401},
		"expiry as text":                  {header, claims(issuerIs, sub, aud, fmt.Sprintf(`"exp":"%d"`, now.Add(time.Hour).Unix()), may), 401},
		"expiry as a fraction":            {header, claims(issuerIs, sub, aud, fmt.Sprintf(`"exp":%d.5`, now.Add(time.Hour).Unix()), may), 200},
		"no expiry":                       {header, claims(issuerIs, sub, aud, may), 401},
		"an audience that is no text":     {header, claims(issuerIs, sub, `"aud":["homeroom",7]`, exp, may), 401},
		"an audience of several":          {header, claims(issuerIs, sub, `"aud":["homeroom","https://userinfo"]`, exp, may), 200},
		"an application that is no text":  {header, good(`"azp":["spa"]`), 401},
		"the token of an application":     {header, good(`"azp":"spa"`, `"gty":"client-credentials"`), 200},
		"members of others, twice inside": {header, good(`"https://x/claims":{"a":1,"a":2}`), 401},
		"more after the end":              {header, good() + `{}`, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.call("GET", "/tenants", "", "Authorization: Bearer "+i.sign("k1", c.header, c.claims))
			equal(t, c.status, r.Status, r.Body)
		})
	}
}

// TestAWithdrawnKeyIsRefused: the issuer withdraws a key that somebody has got hold of.
func TestAWithdrawnKeyIsRefused(t *testing.T) {
	t.Parallel()
	i := startIssuer(t, "k1", "k2")
	w := setup(t, options{noSpare: true, api: func(c *config) {
		i.trusted(c)
		c.KeysMaxAge = 50 * time.Millisecond
	}})
	first, second := "Authorization: Bearer "+i.token("k1"), "Authorization: Bearer "+i.token("k2")
	status := func(token string) int { return w.call("GET", "/tenants", "", token).Status }
	equal(t, 200, status(first))
	i.set(func() { i.published = []string{"k2"} })
	eventually(t, func() bool { return status(first) == 401 }, "a withdrawn key is believed")
	equal(t, 200, status(second))

	t.Run("and the last good answer holds while the issuer is down", func(t *testing.T) {
		var before int
		i.set(func() { i.down, before = true, i.fetches })
		asked := func() (more int) {
			i.set(func() { more = i.fetches - before })
			return more
		}
		eventually(t, func() bool {
			equal(t, 200, status(second))
			return asked() >= 2
		}, "the issuer was not asked again")
		equal(t, 401, status(first), "a withdrawn key stays so")
		i.set(func() { i.down = false })
		equal(t, 200, status(second))
	})
}

// TestKeysAreKeptForMinutes: the issuer is not asked for each token.
func TestKeysAreKeptForMinutes(t *testing.T) {
	t.Parallel()
	for _, lasts := range []string{"", "max-age=15", "no-store", "max-age=86400", "max-age=99999999999999999999"} {
		i := startIssuer(t, "k1")
		i.lasts = lasts
		w := setup(t, options{noSpare: true, api: i.trusted})
		for range 20 {
			equal(t, 200, w.call("GET", "/tenants", "", "Authorization: Bearer "+i.token("k1")).Status)
		}
		equal(t, 1, i.fetches, lasts)
	}
}
