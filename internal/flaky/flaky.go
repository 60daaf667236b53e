// Package flaky serves a simulated service, and loses, cuts, delays or refuses the answers that a test wants to see fail.
//
// The simulators of identity providers stand on it: they answer requests, and this decides what becomes of the answers.
package flaky

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Service is what is simulated.
type Service struct {
	// Handler does the work.
	Handler http.Handler
	// Fail answers as the service does when it is broken, Throttle when its rate limit is reached and frees again after
	// the duration, Refuse when it does not like the access token.
	Fail     func(w http.ResponseWriter, status int)
	Throttle func(w http.ResponseWriter, after time.Duration)
	Refuse   func(w http.ResponseWriter)
}

// Call is a request that the service got. It never holds a body, nor a token.
type Call struct {
	Method string
	// Path is decoded.
	Path, Query string
	// Status is 0 for one that got no answer, or none yet.
	Status int
	// Fault is what befell the call, if anything.
	Fault Kind
}

// Server serves a service on a port of its own. All its methods may be called from many goroutines.
type Server struct {
	service Service
	address string
	http    *http.Server
	closed  context.CancelFunc
	life    context.Context //nolint:containedctx // the server's own life, not a request's

	mu     sync.Mutex
	calls  []*Call
	faults []*Fault
}

// Listen serves on addr, such as "127.0.0.1:0", until Close. The service is made when the address is known.
func Listen(addr string, build func(url string) Service) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	s := &Server{address: "http://" + listener.Addr().String()}
	s.life, s.closed = context.WithCancel(context.Background())
	s.service = build(s.address)
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // ends with Close, which is the only error that matters
	return s, nil
}

// Address is the server's address, without a path.
func (s *Server) Address() string { return s.address }

// Close stops the server and cuts the connections that are open, answers that are held back included.
func (s *Server) Close() {
	s.closed()
	_ = s.http.Close()
}

// Calls returns the calls so far, the earliest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, call := range s.calls {
		calls[i] = *call
	}
	return calls
}

// CountCalls tells how many calls had this method and a path that begins so; empty matches every one.
func (s *Server) CountCalls(method, pathPrefix string) int {
	n := 0
	for _, call := range s.Calls() {
		if (method == "" || method == call.Method) && strings.HasPrefix(call.Path, pathPrefix) {
			n++
		}
	}
	return n
}

// maxBody is more than any request to a provider has.
const maxBody = 1 << 20

var errTooLarge = errors.New("the request is too large")

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := &Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	// The whole body is read first: only then does net/http watch whether the caller is still there.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil { // too large, or the caller is gone
		http.Error(w, errTooLarge.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if fault, ok := s.take(r); ok {
		s.fail(w, r, fault, call)
		return
	}
	a := newAnswer()
	s.service.Handler.ServeHTTP(a, r)
	s.end(call, a.status, "")
	a.send(w)
}

// end writes the call's end into the log. That comes before the wire, so that whoever saw an answer finds the call.
func (s *Server) end(call *Call, status int, fault Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Status, call.Fault = status, fault
}
