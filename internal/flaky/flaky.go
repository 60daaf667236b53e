// Package flaky serves a simulated service, and injects faults into its answers: lost, truncated, delayed or refused ones.
//
// The simulators of identity providers use it: they answer requests, and flaky injects the faults.
package flaky

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Service is a simulated service.
type Service struct {
	// Handler answers requests.
	Handler http.Handler
	// Fail answers as the service does when it fails, or, with the status 413, when the request is too large. Throttle
	// answers as it does when its rate limit is reached for the duration, Refuse as it does when it refuses
	// the access token.
	Fail     func(w http.ResponseWriter, status int)
	Throttle func(w http.ResponseWriter, r *http.Request, after time.Duration)
	Refuse   func(w http.ResponseWriter)
	// Now is the clock of [Call.At]. Defaults to time.Now.
	Now func() time.Time
	// Logger gets one debug line per call, never a body. Defaults to none.
	Logger *slog.Logger
}

// Server serves a service with faults. It is an [http.Handler], and can also listen itself. All its methods may be called from
// many goroutines.
type Server struct {
	service   Service
	address   string
	http      *http.Server // nil when the caller serves
	closed    context.CancelFunc
	closedCtx context.Context //nolint:containedctx // ends with the server, not with a request

	mu      sync.Mutex
	calls   []*Call
	running int
	idle    chan struct{} // closed when running is 0; nil when nobody waits
	faults  []*Fault
}

// New creates a server. The caller serves it, or calls [Server.Serve].
func New(service Service) *Server {
	if service.Now == nil {
		service.Now = time.Now
	}
	if service.Logger == nil {
		service.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{service: service}
	s.closedCtx, s.closed = context.WithCancel(context.Background())
	return s
}

// Listen serves on addr, such as "127.0.0.1:0", until Close. build is called when the address is known.
func Listen(addr string, build func(url string) Service) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	s := New(build("http://" + listener.Addr().String()))
	s.Serve(listener, s)
	return s, nil
}

// Serve serves a handler on the listener until Close, and returns at once. The handler is the server, or one
// that calls it. Serve is called once.
func (s *Server) Serve(listener net.Listener, handler http.Handler) {
	s.address = "http://" + listener.Addr().String()
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.service.Logger.Handler(), slog.LevelDebug),
	}
	go func() { _ = s.http.Serve(listener) }() // ends with Close
}

// Address is the server's address, without a path. It is empty when the caller serves.
func (s *Server) Address() string { return s.address }

// Close stops the server and closes its connections, including those with delayed answers.
func (s *Server) Close() {
	s.closed()
	if s.http != nil {
		_ = s.http.Close()
	}
}

// maxBody is above the size of any request to a provider.
const maxBody = 1 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := s.begin(r)
	// The whole body is read first: only then does net/http detect that the caller has gone.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil { // too large, or the caller is gone
		s.end(call, http.StatusRequestEntityTooLarge, "")
		s.service.Fail(w, http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if fault, ok := s.nextFault(r); ok {
		s.play(w, r, fault, call)
		return
	}
	a := newAnswer()
	s.service.Handler.ServeHTTP(a, r)
	s.end(call, a.status, "")
	a.send(w)
}
