package auth0test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Call is a request the tenant got. It never holds a body, nor a token.
type Call struct {
	Method string `json:"method"`
	// Path is decoded.
	Path  string `json:"path"`
	Query string `json:"query,omitempty"`
	// Status is 0 while the call runs, and for one that got no answer.
	Status int `json:"status"`
	// Fault is what befell the call, if anything.
	Fault FaultKind `json:"fault,omitempty"`
	// At is when the call came in.
	At time.Time `json:"at"`
}

// maxCalls bounds the log; beyond it the older half is forgotten.
const maxCalls = 100_000

type callEntry struct{ call Call }

type callLog struct {
	mu      sync.Mutex
	entries []*callEntry
	running int
	idle    chan struct{} // closed when running comes to 0; nil when nobody waits
}

func (l *callLog) begin(r *http.Request, at time.Time) *callEntry {
	entry := &callEntry{Call{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, At: at}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxCalls {
		l.entries = slices.Delete(l.entries, 0, maxCalls/2)
	}
	l.entries = append(l.entries, entry)
	l.running++
	return entry
}

func (l *callLog) end(entry *callEntry, status int, fault FaultKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.call.Status, entry.call.Fault = status, fault
	if l.running--; l.running == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// WaitIdle returns when the tenant works on no call any more, those whose caller gave up included.
func (s *Server) WaitIdle(ctx context.Context) error {
	s.calls.mu.Lock()
	if s.calls.running == 0 {
		s.calls.mu.Unlock()
		return nil
	}
	if s.calls.idle == nil {
		s.calls.idle = make(chan struct{})
	}
	idle := s.calls.idle
	s.calls.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Calls returns the calls so far, the earliest first. Those under /_sim/ are not among them.
func (s *Server) Calls() []Call {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	calls := make([]Call, len(s.calls.entries))
	for i, entry := range s.calls.entries {
		calls[i] = entry.call
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

// maxBody is more than any profile may be [GUESS].
const (
	maxBody  = 1 << 20
	tooLarge = "Payload content length greater than maximum allowed: 1048576"
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.controls.ServeHTTP(w, r)
		return
	}
	call := s.calls.begin(r, s.now())
	// The whole body is read first: only then does net/http watch whether the caller is still there.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil { // too large, or the caller is gone
		s.calls.end(call, http.StatusRequestEntityTooLarge, "")
		problem{Status: http.StatusRequestEntityTooLarge, Message: tooLarge}.write(w)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if fault, ok := s.faults.take(r); ok {
		s.fail(w, r, fault, call)
		return
	}
	a := newAnswer()
	s.routes.ServeHTTP(a, r)
	s.calls.end(call, a.status, "")
	s.cfg.Logger.Debug("auth0test", "method", r.Method, "path", r.URL.Path, "status", a.status)
	a.send(w)
}
