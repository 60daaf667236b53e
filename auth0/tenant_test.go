package auth0_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/identity"
	"homeroom/internal/secret"
)

const (
	clientSecret = "client-secret-canary"
	accessToken  = "access-token-canary"
	email        = "ada.canary@lincoln.example"
)

// fakeTenant gives answers that no tenant of auth0test would give. Its token endpoint works unless token is set.
type fakeTenant struct {
	token, api http.HandlerFunc

	mu    sync.Mutex
	calls []string
}

// ServeHTTP implements http.Handler.
func (o *fakeTenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read the body to its end: only then net/http notices that the caller has disconnected.
	_, _ = io.Copy(io.Discard, r.Body)
	o.mu.Lock()
	o.calls = append(o.calls, r.Method+" "+r.URL.Path)
	o.mu.Unlock()
	switch {
	case r.URL.Path != "/oauth/token":
		o.api(w, r)
	case o.token != nil:
		o.token(w, r)
	default:
		respond(w, 200, `{"access_token":"`+accessToken+`","expires_in":86400,"token_type":"Bearer"}`)
	}
}

func (o *fakeTenant) count(call string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, c := range o.calls {
		if c == call {
			n++
		}
	}
	return n
}

func respond(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// serve starts the tenant and returns a client of it.
func (o *fakeTenant) serve(t *testing.T, change ...func(*auth0.Config)) *auth0.Client {
	t.Helper()
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	cfg := auth0.Config{BaseURL: server.URL, ClientID: "client-id", ClientSecret: clientSecret}
	for _, f := range change {
		f(&cfg)
	}
	return newClient(t, cfg)
}

// RoundTrip implements http.RoundTripper without a network, for tests whose clock is synctest's.
func (o *fakeTenant) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	o.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// inBubble runs a test against the tenant under a clock that advances when all goroutines wait.
func (o *fakeTenant) inBubble(t *testing.T, test func(t *testing.T, client *auth0.Client)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, newClient(t, auth0.Config{
			BaseURL: "http://tenant.test", ClientID: "client-id", ClientSecret: clientSecret, Transport: o,
		}))
	})
}

func newUser() identity.NewUser {
	return identity.NewUser{
		ID: uuid.New(), Email: email, Password: secret.String(password), Person: identity.Person{GivenName: "Ada"},
		Metadata: identity.Metadata{TenantID: "t", Database: "d", SchoolName: "s", SignupID: "u"},
	}
}

// closedAddress returns an address without a listener.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return (&url.URL{Scheme: "http", Host: l.Addr().String()}).String()
}
