package flaky

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"homeroom/internal/wait"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	// StatusBefore answers with Fault.Status; the work is not done.
	StatusBefore Kind = "status_before"
	// StatusAfter does the work, then answers with Fault.Status.
	StatusAfter Kind = "status_after"
	// RateLimited answers as at a rate limit; the work is not done.
	RateLimited Kind = "rate_limited"
	// LostAnswer does the work, then closes the connection without a byte of an answer. Go's client repeats a GET by
	// itself after that, when the connection was not a new one.
	LostAnswer Kind = "lost_answer"
	// Reset resets the connection; the work is not done.
	Reset Kind = "reset"
	// Truncated does the work, then cuts the connection in the middle of the answer's body.
	Truncated Kind = "truncated"
	// Slow waits for Fault.Delay before it answers; with Fault.WorkFirst the work is done before the wait. Work that
	// comes after the wait is done even if the caller has gone: see Server.WaitIdle.
	Slow Kind = "slow"
	// Hang sends no answer until the caller cancels or the server closes. With Fault.WorkFirst the work is done.
	Hang Kind = "hang"
	// Unauthorized refuses the access token; the work is not done.
	Unauthorized Kind = "unauthorized"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{StatusBefore, StatusAfter, RateLimited, LostAnswer, Reset, Truncated, Slow, Hang, Unauthorized}
}

// Fault makes matching calls fail. Of several that match, the one injected first is used first.
type Fault struct {
	// Method and Path choose the calls: the method, and a prefix of the decoded path. Empty matches all.
	Method, Path string
	// Match selects among those, if it is not nil.
	Match func(*http.Request) bool
	// Kind is the kind of fault.
	Kind Kind
	// Skip is how many matching calls succeed first. Defaults to 0.
	Skip int
	// Times is how many calls fail after that; negative means all. Defaults to 1.
	Times int
	// Delay is the wait of Slow. Other kinds wait too, before the answer; Hang ignores it.
	Delay time.Duration
	// OnWait, if it is not nil, is called when Slow and Hang begin to wait, after the work if WorkFirst is true. Slow
	// also waits for its return.
	OnWait func()
	// WorkFirst is for Slow and Hang: the work is done before the wait. Defaults to false.
	WorkFirst bool
	// Status is the answer's status for the two status kinds. Defaults to 503.
	Status int
	// RetryAfter is the time until the limit of RateLimited allows calls again, at least a second. The two status
	// kinds send it in the header of that name, if it is not zero.
	RetryAfter time.Duration
}

func (f Fault) matches(r *http.Request) bool {
	return (f.Method == "" || f.Method == r.Method) && strings.HasPrefix(r.URL.Path, f.Path) && (f.Match == nil || f.Match(r))
}

// Inject adds a fault. It panics for a kind that does not exist.
func (s *Server) Inject(f Fault) {
	if !slices.Contains(Kinds(), f.Kind) {
		panic(fmt.Sprintf("flaky: no such kind of fault: %q", f.Kind))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults removes the faults that were not used. Answers that are being delayed stay delayed.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault returns the fault for this call, and counts it down.
func (s *Server) nextFault(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		switch {
		case !f.matches(r):
		case f.Skip > 0:
			f.Skip--
			return Fault{}, false
		default:
			if f.Times > 0 {
				if f.Times--; f.Times == 0 {
					s.faults = slices.Delete(s.faults, i, i+1)
				}
			}
			return *f, true
		}
	}
	return Fault{}, false
}

// play runs a fault: it prepares the answer, waits, records the call's result, and ends the connection as
// the fault requires.
func (s *Server) play(w http.ResponseWriter, r *http.Request, f Fault, call *Call) {
	a := s.prepare(r, f)
	if f.OnWait != nil && (f.Kind == Slow || f.Kind == Hang) {
		f.OnWait()
	}
	s.delay(r, f)
	switch f.Kind {
	case LostAnswer, Reset, Hang:
		s.end(call, 0, f.Kind)
		cut(w, f.Kind == Reset)
	case Truncated:
		s.end(call, a.status, f.Kind)
		a.truncate(w)
	case Slow:
		if !f.WorkFirst && s.closedCtx.Err() == nil {
			s.service.Handler.ServeHTTP(a, r)
		}
		s.end(call, a.status, f.Kind)
		a.send(w)
	default:
		s.end(call, a.status, f.Kind)
		a.send(w)
	}
}

// prepare does the work, for faults after the work, and returns the answer.
func (s *Server) prepare(r *http.Request, f Fault) *answer {
	a := newAnswer()
	switch f.Kind {
	case LostAnswer, Truncated:
		s.service.Handler.ServeHTTP(a, r)
	case Slow, Hang:
		if f.WorkFirst {
			s.service.Handler.ServeHTTP(a, r)
		}
	case StatusBefore, StatusAfter:
		if f.Kind == StatusAfter {
			s.service.Handler.ServeHTTP(newAnswer(), r)
		}
		if f.RetryAfter > 0 {
			a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		}
		s.service.Fail(a, f.Status)
	case RateLimited:
		s.service.Throttle(a, r, max(f.RetryAfter, time.Second))
	case Unauthorized:
		s.service.Refuse(a)
	case Reset:
	}
	return a
}

// delay waits for the fault's delay, or until the server closes. A cancelled request ends the wait too, but not
// that of Slow.
func (s *Server) delay(r *http.Request, f Fault) {
	ctx := r.Context()
	if f.Kind == Slow {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closedCtx, cancel)()
	if f.Kind == Hang {
		<-ctx.Done()
		return
	}
	_ = wait.For(ctx, f.Delay)
}

// cut ends the connection without an answer, with a TCP reset when reset is true.
func cut(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1: resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
