// Package bitest is a tenant at Beyond Identity in memory, behind a real HTTP server: tokens, users in the formats of
// both versions, and the faults of a network.
//
// Its answers follow Beyond Identity's documents: the sign-up guide for version 1
// (https://api.byndid.com/v1/manage/users), and the Secure Workforce API for version 2
// (https://docs.beyondidentity.com/api/v0). A comment says [FIELD] for a behaviour that only Beyond Identity's public
// apps show, and [GUESS] if nothing was found.
package bitest

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/flaky"
)

// Config is the configuration of the tenant. The zero value is usable.
type Config struct {
	// APIToken is always valid. Defaults to "homeroom-dev-token", for loopback only.
	APIToken string
	// ClientID and ClientSecret are those of the only client. Default to "homeroom-dev" and "homeroom-dev-secret".
	ClientID, ClientSecret string
	// Scopes are the scopes of tokens. Defaults to all for users.
	Scopes []string
	// FlatAnswers makes version 1 answer with the user, not with an object that contains it [FIELD].
	FlatAnswers bool
	// RetainsDeleted lists deleted users, with their state.
	RetainsDeleted bool
	// Now is the tenant's clock. Defaults to time.Now.
	Now func() time.Time
}

// Server is one tenant. All its methods are safe for use by many goroutines.
type Server struct {
	*flaky.Server
	cfg Config

	mu     sync.Mutex
	users  []*User
	tokens map[string]time.Time // expiry by token
	mails  []string
}

// User is a user of the tenant.
type User struct {
	ID, ExternalID, Email, Name, DisplayName string
	CreatedAt                                time.Time
	Deleted                                  bool
}

// Listen serves a tenant on addr, such as "127.0.0.1:0", until Close.
func Listen(addr string, cfg Config) (*Server, error) {
	cfg.APIToken = cmp.Or(cfg.APIToken, "homeroom-dev-token")
	cfg.ClientID = cmp.Or(cfg.ClientID, "homeroom-dev")
	cfg.ClientSecret = cmp.Or(cfg.ClientSecret, "homeroom-dev-secret")
	if cfg.Scopes == nil {
		cfg.Scopes = []string{"users:create", "users:read", "users:delete"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, tokens: map[string]time.Time{}}
	var err error
	s.Server, err = flaky.Listen(addr, func(string) flaky.Service {
		return flaky.Service{
			Handler: s.routes(),
			Fail: func(w http.ResponseWriter, status int) {
				refuse(w, status, "internal_server_error", "injected failure")
			},
			Throttle: func(w http.ResponseWriter, _ *http.Request, after time.Duration) {
				w.Header().Set("RateLimit-Limit", "30")
				w.Header().Set("RateLimit-Remaining", "0")
				w.Header().Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil(after.Seconds()))))
				refuse(w, http.StatusTooManyRequests, "too_many_requests", "rate limit exceeded")
			},
			Refuse: func(w http.ResponseWriter) { refuse(w, http.StatusUnauthorized, "unauthorized", "unauthorized") },
		}
	})
	return s, err
}

// Start serves a tenant on loopback until the test ends.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("start the Beyond Identity simulator: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Config returns the effective settings, with defaults.
func (s *Server) Config() Config { return s.cfg }

// Users returns the users who were not deleted, the earliest first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := []User{}
	for _, u := range s.users {
		if !u.Deleted {
			users = append(users, *u)
		}
	}
	return users
}

// Mails returns the addresses of the sent enrolment mails, the earliest first.
func (s *Server) Mails() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.mails...)
}

// AddUser adds a user whom nobody created through the API. It chooses an ID if it is empty.
func (s *Server) AddUser(u User) string {
	u.ID = cmp.Or(u.ID, uuid.NewString())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, &u)
	return u.ID
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/oauth2/token", s.postToken)
	mux.HandleFunc("POST /v1/manage/users", s.managed("users:create", s.createV1))
	mux.HandleFunc("POST /v2/users", s.managed("users:create", s.createV2))
	mux.HandleFunc("GET /v2/users", s.managed("users:read", s.list))
	mux.HandleFunc("DELETE /v2/users/{id}", s.managed("users:delete", s.remove))
	return mux
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	id, password, _ := r.BasicAuth()
	if id != s.cfg.ClientID || password != s.cfg.ClientSecret || r.FormValue("grant_type") != "client_credentials" {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"}) // [GUESS]
		return
	}
	token := uuid.NewString()
	s.mu.Lock()
	s.tokens[token] = s.cfg.Now().Add(time.Hour)
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
}

// managed wraps a handler in the check of the token and its scope.
func (s *Server) managed(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		until := s.tokens[token]
		s.mu.Unlock()
		if token != s.cfg.APIToken && !s.cfg.Now().Before(until) {
			refuse(w, http.StatusUnauthorized, "unauthorized", "unauthorized")
			return
		}
		if !slices.Contains(s.cfg.Scopes, scope) {
			refuse(w, http.StatusForbidden, "forbidden", "forbidden")
			return
		}
		next(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]string{"code": code, "message": message})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may have disconnected
}
