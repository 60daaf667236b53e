// Package httpapi serves the HTTP API: it reads requests strictly, calls the other packages, and writes their results and
// errors as answers.
//
// It contains no rules about schools. Every operation is registered with who may use it, so that an operation is
// closed unless it says otherwise. One table turns every error into a problem document. No answer and no line of the
// log contains a submitted password or token.
package httpapi

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/maypok86/otter/v2"
	"github.com/rs/cors"

	"homeroom/identity"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// server is the API with its dependencies.
type server struct {
	cfg    Config
	api    huma.API
	tokens *verifier
	// logins caches accounts from the identity provider.
	accounts *otter.Cache[string, identity.User]
	// operations are in the order in which they were registered.
	operations []*huma.Operation
	streams    *streams
	cors       *cors.Cors
}

func init() {
	gin.SetMode(gin.ReleaseMode)      // otherwise it prints all routes
	huma.DefaultArrayNullable = false // lists may be empty, and are never null
	// huma has one setting for this in the whole process, and its own answer repeats the refused values.
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, causes ...error) huma.StatusError {
		p := refusal(status, int(ctx.Operation().MaxBodyBytes), message, causes)
		if hasFlag(ctx.Operation(), flagEnvelope) {
			return inEnvelope(p)
		}
		return p
	}
	huma.NewError = func(status int, message string, causes ...error) huma.StatusError {
		return refusal(status, maxBodyBytes, message, causes)
	}
}

// New returns the handler of all routes. It sends no request: the keys of tokens are fetched with the first token.
func New(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Texts == nil {
		var err error
		if cfg.Texts, err = messages.New(messages.Config{}); err != nil {
			return nil, err
		}
	}
	s := &server{
		cfg:     cfg,
		tokens:  newVerifier(cfg.Issuer, cfg.JWKSURL, cfg.Audience, cfg.KeysMaxAge),
		streams: newStreams(cfg.PollEvery),
		cors:    newCORS(cfg.AllowedOrigins),
	}
	var err error
	if s.accounts, err = newAccounts(); err != nil {
		return nil, err
	}
	router, err := s.newRouter()
	if err != nil {
		return nil, err
	}
	s.api = humagin.New(router, s.humaConfig())
	s.registerSignups()
	s.registerAuthSignup()
	s.registerSchools()
	s.registerNewSchools()
	s.registerApprovals()
	s.registerInvitations()
	s.registerTenants()
	s.registerRuns()
	s.registerWebhooks()
	s.registerProbes()
	if err := s.registerPages(router); err != nil {
		return nil, err
	}
	if cfg.Pages != nil {
		cfg.Pages(router)
	}
	answerHead(router)
	return router, nil
}

// newRouter returns a router without routes, with the middleware of every request.
func (s *server) newRouter() (*gin.Engine, error) {
	router := gin.New()
	router.RedirectTrailingSlash = false
	router.HandleMethodNotAllowed = true
	if err := router.SetTrustedProxies(nil); err != nil { // see clientAddress, which reads the header instead of gin
		return nil, err
	}
	router.Use(s.begin, s.recover, s.secureHeaders, s.crossOrigin, wellFormed, readable)
	router.NoRoute(notFound)
	router.NoMethod(func(c *gin.Context) {
		writeProblem(c.Writer, c.Request, problem.New(problem.MethodNotAllowed, messages.ID("detail.no_method")))
	})
	return router, nil
}

// drainingKey is the context key of the channel that is closed when the server begins to shut down.
type drainingKey struct{}

// NewServer serves a handler with limits on what a slow or hostile client can hold. Event streams end when
// [http.Server.Shutdown] begins, so that it only waits for short requests.
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
