package flaky

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Call is a request that the service received, without body and token.
type Call struct {
	Method string `json:"method"`
	// Path is decoded.
	Path  string `json:"path"`
	Query string `json:"query,omitempty"`
	// Status is 0 while the call runs, and for one that got no answer.
	Status int `json:"status"`
	// Fault is the fault of the call; empty for none.
	Fault Kind `json:"fault,omitempty"`
	// At is the time when the call arrived.
	At time.Time `json:"at"`
}

// maxCalls bounds the list of calls; beyond it the older half is deleted.
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

// end records the call's result. It runs before the answer is sent, so that a caller with an answer finds the call.
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

// WaitIdle returns when no call is running any more, including those whose caller has gone.
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

// CountCalls returns how many calls had this method and path prefix; empty matches every one.
func (s *Server) CountCalls(method, pathPrefix string) int {
	n := 0
	for _, call := range s.Calls() {
		if (method == "" || method == call.Method) && strings.HasPrefix(call.Path, pathPrefix) {
			n++
		}
	}
	return n
}
