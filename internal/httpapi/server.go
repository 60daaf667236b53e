// Package httpapi is Homeroom's door for HTTP: it reads requests strictly, asks the other packages, and words their
// answers.
//
// It decides nothing about schools. Every operation is registered with who may use it, so that one nobody thought about
// is closed; every error becomes a problem document by one table; and no answer and no line of the log holds what a
// caller sent as a password or a token.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/signup"
	"homeroom/tenant"
)

// Config is what the API needs.
type Config struct {
	// Signup signs schools up and provisions tenants again. Required.
	Signup *signup.Service
	// Catalog is the registry. Required.
	Catalog *catalog.Store
	// Fleet plans and starts runs over all tenants. Required.
	Fleet *fleet.Fleet
	// Servers are asked for the size of a tenant's database. Required.
	Servers tenant.Servers
	// Pools open schools' databases with the schools' own roles. Required.
	Pools *tenant.Pools
	// Issuer is who signs the access tokens, with its closing slash. Required.
	Issuer string
	// JWKSURL is where the issuer publishes its keys. Defaults to Issuer + ".well-known/jwks.json".
	JWKSURL string
	// Audience identifies this API in the access tokens. Required.
	Audience string
	// SignupRate is how often one client address may sign up. Defaults to no limit.
	SignupRate *catalog.Allowance
	// TrustedProxies are the networks whose X-Forwarded-For is believed. Defaults to none.
	TrustedProxies []netip.Prefix
	// AllowedOrigins are the origins of web pages that may call the API, such as https://app.lincoln.example.
	// Defaults to none.
	AllowedOrigins []string
	// Ready tells whether the service can do its work, for /readyz. Defaults to asking the catalog.
	Ready func(ctx context.Context) error
	// Version is the program's, for the OpenAPI document. Defaults to "dev".
	Version string
	// Logger gets one line per request, with the cause of each failure. Defaults to slog.Default().
	Logger *slog.Logger
	// PollEvery is how often an event stream looks for a change. Defaults to 300 ms.
	PollEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.JWKSURL == "" {
		c.JWKSURL = c.Issuer + ".well-known/jwks.json"
	}
	if c.Ready == nil && c.Catalog != nil {
		c.Ready = c.Catalog.Ping
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.PollEvery == 0 {
		c.PollEvery = 300 * time.Millisecond
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Signup == nil || c.Catalog == nil || c.Fleet == nil || c.Pools == nil || len(c.Servers) == 0:
		return errors.New("the API needs sign-ups, a catalog, a fleet, servers and pools")
	case c.Issuer == "" || c.Audience == "":
		return errors.New("the API needs the issuer and the audience of access tokens")
	case c.SignupRate != nil && (c.SignupRate.Count < 1 || c.SignupRate.Window < time.Second):
		return errors.New("the rate of sign-ups must allow at least one, in a second or more")
	}
	return validOrigins(c.AllowedOrigins)
}

// server is the API with what it needs.
type server struct {
	cfg    Config
	api    huma.API
	tokens *verifier
	// operations are in the order in which they were registered, which is that of the documentation.
	operations []*huma.Operation
	// streams bounds the event streams that are open at the same time.
	streams chan struct{}
	// wanting holds the ids of the tenants that are being moved to the front of a run.
	wanting sync.Map
}

func init() {
	gin.SetMode(gin.ReleaseMode)      // it prints all routes otherwise
	huma.DefaultArrayNullable = false // our lists may be empty, and are never null
	// huma has one place for this for the whole process, and its own answer repeats the values that it refuses.
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, causes ...error) huma.StatusError {
		return refusal(status, int(ctx.Operation().MaxBodyBytes), message, causes)
	}
	huma.NewError = func(status int, message string, causes ...error) huma.StatusError {
		return refusal(status, largestBody, message, causes)
	}
}

// New makes the handler of all routes. It sends nothing: the keys of tokens are fetched when the first token comes.
func New(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &server{
		cfg:     cfg,
		tokens:  newVerifier(cfg.Issuer, cfg.JWKSURL, cfg.Audience),
		streams: make(chan struct{}, mostStreams),
	}
	router := gin.New()
	router.RedirectTrailingSlash = false
	router.HandleMethodNotAllowed = true
	if err := router.SetTrustedProxies(nil); err != nil { // see clientAddress, which reads the header instead of gin
		return nil, err
	}
	router.Use(s.begin, s.recover, secureHeaders, s.cors, readable)
	router.NoRoute(func(c *gin.Context) {
		writeProblem(c.Writer, c.Request, newProblem(notFound, "There is nothing at this path. See /docs for what there is."))
	})
	router.NoMethod(func(c *gin.Context) {
		writeProblem(c.Writer, c.Request, newProblem(methodNotAllowed, "This path has no such method. The Allow header lists those it has."))
	})
	s.api = humagin.New(router, s.humaConfig())
	s.registerSignups()
	s.registerSchools()
	s.registerTenants()
	s.registerRuns()
	s.registerProbes()
	if err := s.registerPages(router); err != nil {
		return nil, err
	}
	return router, nil
}

// drainingKey finds in a request's context the channel that is closed when the server begins to shut down.
type drainingKey struct{}

// NewServer serves a handler with bounds on what a slow or hostile client can hold. Event streams end when
// [http.Server.Shutdown] begins, so that it has only short requests to wait for.
func NewServer(addr string, handler http.Handler) *http.Server {
	draining := make(chan struct{})
	server := &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      requestTimeout + 15*time.Second, // a sign-up waits for its tenant; event streams set their own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), drainingKey{}, draining)
		},
	}
	server.RegisterOnShutdown(func() { close(draining) })
	return server
}
