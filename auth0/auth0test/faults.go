package auth0test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind is a way in which a call goes wrong.
type FaultKind string

const (
	// FaultStatusBefore answers with Fault.Status; the work is not done.
	FaultStatusBefore FaultKind = "status_before"
	// FaultStatusAfter does the work, then answers with Fault.Status.
	FaultStatusAfter FaultKind = "status_after"
	// FaultRateLimited answers 429 as Auth0's global limit does; the work is not done.
	FaultRateLimited FaultKind = "rate_limited"
	// FaultLostAnswer does the work, then closes the connection without a byte of an answer. Go's client repeats a GET
	// by itself after that, when the connection was not a new one.
	FaultLostAnswer FaultKind = "lost_answer"
	// FaultResetBefore resets the connection; the work is not done.
	FaultResetBefore FaultKind = "reset_before"
	// FaultTruncated does the work, then cuts the connection in the middle of the answer's body.
	FaultTruncated FaultKind = "truncated"
	// FaultSlow waits for Fault.Delay before it answers; Fault.WorkFirst says on which side of the wait the work is.
	// Work that comes after the wait is done even if the caller gave up meanwhile: see Server.WaitIdle.
	FaultSlow FaultKind = "slow"
	// FaultHang answers nothing until the caller gives up or the server closes. With Fault.WorkFirst the work is done.
	FaultHang FaultKind = "hang"
	// FaultUnauthorized refuses the token as expired; the work is not done.
	FaultUnauthorized FaultKind = "unauthorized"
)

var faultKinds = []FaultKind{
	FaultStatusBefore, FaultStatusAfter, FaultRateLimited, FaultLostAnswer, FaultResetBefore, FaultTruncated, FaultSlow,
	FaultHang, FaultUnauthorized,
}

// Fault makes matching calls go wrong. Of several that match, the one injected first is used up first.
type Fault struct {
	// Method and Path choose the calls: the method, and a prefix of the decoded path. Empty matches every one.
	Method, Path string
	// Match chooses among those, if it is not nil. The controls do not have it.
	Match func(*http.Request) bool
	// Kind is what goes wrong.
	Kind FaultKind
	// Skip is how many matching calls pass unharmed first. Defaults to 0.
	Skip int
	// Times is how many calls go wrong after that; negative is all. Defaults to 1.
	Times int
	// Delay is FaultSlow's wait. For other kinds it comes on top, before the answer; FaultHang needs none.
	Delay time.Duration
	// Held, if it is not nil, is called where FaultSlow and FaultHang begin to wait, with the work done if WorkFirst says so.
	// FaultSlow waits for its return besides. The controls do not have it.
	Held func()
	// WorkFirst is for FaultSlow and FaultHang: the user is stored (or read) before the wait. Defaults to false.
	WorkFirst bool
	// Status is what the two status kinds answer. Defaults to 503.
	Status int
	// RetryAfter sets the header of that name on status kinds, and how far ahead the reset of FaultRateLimited lies.
	// Defaults to no header, and a second.
	RetryAfter time.Duration
}

func (f Fault) matches(r *http.Request) bool {
	return (f.Method == "" || f.Method == r.Method) && strings.HasPrefix(r.URL.Path, f.Path) && (f.Match == nil || f.Match(r))
}

// faultList holds the faults that are not used up.
type faultList struct {
	mu   sync.Mutex
	list []*Fault
}

// Inject adds a fault. It panics for a kind that does not exist.
func (s *Server) Inject(f Fault) {
	if !slices.Contains(faultKinds, f.Kind) {
		panic(fmt.Sprintf("auth0test: no such kind of fault: %q", f.Kind))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = append(s.faults.list, &f)
}

// ClearFaults removes all faults. Answers that are being held back stay so.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

// take returns the fault that befalls this call, and counts it down.
func (l *faultList) take(r *http.Request) (Fault, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.list {
		switch {
		case !f.matches(r):
		case f.Skip > 0:
			f.Skip--
			return Fault{}, false
		default:
			if f.Times > 0 {
				if f.Times--; f.Times == 0 {
					l.list = slices.Delete(l.list, i, i+1)
				}
			}
			return *f, true
		}
	}
	return Fault{}, false
}

// fail plays a fault: it prepares the answer, waits, writes the call's end into the log, and lets go of the connection
// in the fault's way. The log comes before the wire, so that whoever saw the failure finds the call.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f Fault, call *callEntry) {
	a := s.faultAnswer(r, f)
	if f.Held != nil && (f.Kind == FaultSlow || f.Kind == FaultHang) {
		f.Held()
	}
	switch f.Kind {
	case FaultLostAnswer, FaultResetBefore:
		s.wait(r.Context(), f.Delay)
		s.calls.end(call, 0, f.Kind)
		cut(w, f.Kind == FaultResetBefore)
	case FaultHang:
		s.hold(r.Context())
		s.calls.end(call, 0, f.Kind)
		cut(w, false)
	case FaultTruncated:
		s.wait(r.Context(), f.Delay)
		s.calls.end(call, a.status, f.Kind)
		a.truncate(w)
	case FaultSlow:
		s.wait(s.life, f.Delay)
		if !f.WorkFirst && s.life.Err() == nil {
			s.routes.ServeHTTP(a, r)
		}
		s.calls.end(call, a.status, f.Kind)
		a.send(w)
	default:
		s.wait(r.Context(), f.Delay)
		s.calls.end(call, a.status, f.Kind)
		a.send(w)
	}
}

// faultAnswer does the work, if the fault is one of those that let it be done first, and returns what is to be answered.
func (s *Server) faultAnswer(r *http.Request, f Fault) *answer {
	a := newAnswer()
	switch f.Kind {
	case FaultLostAnswer, FaultTruncated:
		s.routes.ServeHTTP(a, r)
	case FaultSlow, FaultHang:
		if f.WorkFirst {
			s.routes.ServeHTTP(a, r)
		}
	case FaultStatusBefore:
		f.refuse(a)
	case FaultStatusAfter:
		s.routes.ServeHTTP(newAnswer(), r)
		f.refuse(a)
	case FaultRateLimited:
		state := rateState{limit: 2, reset: s.now().Add(max(f.RetryAfter, time.Second))}
		if r.URL.Path == tokenPath {
			tokenLimit(a, state)
		} else {
			globalLimit(a, state)
		}
	case FaultUnauthorized:
		tokenRefusal(errTokenExpired.Error()).write(a)
	case FaultResetBefore:
	}
	return a
}

func (f Fault) refuse(a *answer) {
	if f.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	problem{Status: f.Status, Message: "Injected failure"}.write(a)
}

// wait is over after d, or when the caller or the server is gone.
func (s *Server) wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.life.Done():
	}
}

// hold is over when the caller or the server is gone.
func (s *Server) hold(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.life.Done():
	}
}

// cut ends the connection without an answer, with a TCP reset when reset is true.
func cut(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
