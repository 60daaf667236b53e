package flaky

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Call is a request that the service got. It never holds a body, nor a token.
type Call struct {
	Method string `json:"method"`
	// Path is decoded.
	Path  string `json:"path"`
	Query string `json:"query,omitempty"`
	// Status is 0 while the call runs, and for one that got no answer.
	Status int `json:"status"`
	// Fault is what befell the call, if anything.
	Fault Kind `json:"fault,omitempty"`
	// At is when the call came in.
	At time.Time `json:"at"`
}

// maxCalls bounds the log; beyond it the older half is forgotten.
const maxCalls = 100_000

func (s *Server) begin(r *http.Request) *Call {
	call := &Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, At: s.service.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= maxCalls {
		s.calls = slices.Delete(s.calls, 0, maxCalls/2)
	}
	s.calls = append(s.calls, call)
	s.running++
	return call
}

// end writes the call's end into the log. That comes before the wire, so that whoever saw an answer finds the call.
func (s *Server) end(call *Call, status int, fault Kind) {
	s.service.Logger.Debug("simulated call", "method", call.Method, "path", call.Path, "status", status, "fault", fault)
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Status, call.Fault = status, fault
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// WaitIdle returns when the service works on no call any more, those whose caller gave up included.
func (s *Server) WaitIdle(ctx context.Context) error {
	s.mu.Lock()
	if s.running == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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

// CountCalls returns how many calls had this method and a path that begins so; empty matches every one.
func (s *Server) CountCalls(method, pathPrefix string) int {
	n := 0
	for _, call := range s.Calls() {
		if (method == "" || method == call.Method) && strings.HasPrefix(call.Path, pathPrefix) {
			n++
		}
	}
	return n
}
