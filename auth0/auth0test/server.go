// Package auth0test is an Auth0 tenant in memory, behind a real HTTP server: tokens, keys, users, roles, organizations,
// password policies, rate limits and the faults of a network.
//
// Unit tests ([Start]), the local development server and end-to-end tests ([Listen], with the controls under /_sim/)
// use it. Its answers follow recordings that Auth0's own SDK tests made of the real service (see testdata), and
// otherwise Auth0's documentation: the Management API (https://auth0.com/docs/api/management/v2), the Authentication
// API (https://auth0.com/docs/api/authentication), rate limits
// (https://auth0.com/docs/troubleshoot/customer-support/operational-policies/rate-limit-policy) and access tokens
// (https://auth0.com/docs/secure/tokens/access-tokens). A comment says [DOC] for a behaviour that only documentation
// shows, [FIELD] for one that only other people's public code shows, and [GUESS] if nothing was found.
//
// It is for development only: any client of /_sim/ can issue any token.
package auth0test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"homeroom/internal/flaky"
)

// Server is one tenant. All its methods are safe for use by many goroutines.
type Server struct {
	// The calls and the faults. Requests to paths under /_sim/ do not count as calls.
	*flaky.Server

	cfg      Config
	controls *http.ServeMux
	limits   *rate.Limiter // of the Management API; nil means off
	tokens   *rate.Limiter // of /oauth/token; nil means off
	quota    quota
	browser  *browser // has its own lock

	mu    sync.Mutex // guards everything below, and the state file
	keys  []*signingKey
	users map[string]*record // by user id
	// logins finds the same records by e-mail and by username.
	logins map[loginName]*record
	index  index
	mails  []Mail
	// directory has roles, organizations, tickets.
	directory         *directory
	storedConnections atomic.Pointer[[]storedConnection]
}

// New returns a tenant that the caller serves, as an [http.Handler]; cfg.BaseURL must then be set, as it is the issuer.
// [Listen] and [Start] also serve it.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:     cfg,
		limits:  cfg.RateLimit.limiter(),
		tokens:  cfg.TokenRateLimit.limiter(),
		quota:   quota{perHour: cfg.TokenQuota},
		browser: newBrowser(),
		users:   map[string]*record{},
		logins:  map[loginName]*record{},
		index:   index{},

		directory: newDirectory(cfg.Roles),
	}
	s.loadConnections()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.Server = flaky.New(flaky.Service{
		Handler: s.newRoutes(), Fail: fail, Throttle: s.throttle,
		Refuse: func(w http.ResponseWriter) { tokenRefusal(errTokenExpired.Error()).write(w) },
		Now:    cfg.Now, Logger: cfg.Logger,
	})
	s.controls = s.newControls()
	return s, nil
}

// Listen creates a tenant and serves it on addr, such as "127.0.0.1:0", until Close.
func Listen(addr string, cfg Config) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "http://" + listener.Addr().String()
	}
	s, err := New(cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.Serve(listener, s)
	return s, nil
}

// TB is the part of testing.TB that [Start] uses, so that programs can serve the simulator without package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Start serves a tenant on loopback until the test ends.
func Start(t TB, cfg Config) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("start the Auth0 simulator: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// URL returns the address of the tenant, without a slash at the end. The issuer of its tokens has one.
func (s *Server) URL() string { return s.cfg.BaseURL }

// Config returns the effective settings, with defaults, including the client's id and secret.
func (s *Server) Config() Config { return s.cfg }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.controls.ServeHTTP(w, r)
		return
	}
	s.Server.ServeHTTP(w, r)
}

func (s *Server) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tokenPath, s.postToken)
	mux.HandleFunc("GET /.well-known/jwks.json", s.getJWKS)
	mux.HandleFunc("GET /.well-known/openid-configuration", s.getDiscovery)
	s.routeBrowser(mux)
	mux.HandleFunc("POST /api/v2/users", s.managed(s.createUser, "create:users"))
	mux.HandleFunc("GET /api/v2/users", s.managed(s.listUsers, "read:users"))
	mux.HandleFunc("GET /api/v2/users/{id}", s.managed(s.getUser, "read:users", "read:user_idp_tokens", "read:current_user"))
	mux.HandleFunc("PATCH /api/v2/users/{id}",
		s.managed(s.updateUser, "update:users", "update:users_app_metadata", "update:current_user_metadata"))
	mux.HandleFunc("DELETE /api/v2/users/{id}", s.managed(s.deleteUser, "delete:users", "delete:current_user"))
	mux.HandleFunc("GET /api/v2/users-by-email", s.managed(s.listUsersByEmail, "read:users"))
	s.routeDirectory(mux)
	mux.HandleFunc("/", notFound)
	return mux
}

func (s *Server) now() time.Time { return s.cfg.Now() }
