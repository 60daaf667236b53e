package flaky

import (
	"bytes"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a way in which a call goes wrong.
type Kind string

// The ways in which a call goes wrong.
const (
	// StatusBefore answers with Fault.Status; the work is not done.
	StatusBefore Kind = "status_before"
	// StatusAfter does the work, then answers with Fault.Status.
	StatusAfter Kind = "status_after"
	// LostAnswer does the work, then closes the connection without a byte of an answer. Go's client repeats a GET by
	// itself after that, when the connection was not a new one.
	LostAnswer Kind = "lost_answer"
	// Truncated does the work, then cuts the connection in the middle of the answer's body.
	Truncated Kind = "truncated"
	// Hang does the work, and answers nothing until the caller gives up or the server closes.
	Hang Kind = "hang"
	// Reset resets the connection; the work is not done.
	Reset Kind = "reset"
	// RateLimited refuses by a rate limit; the work is not done.
	RateLimited Kind = "rate_limited"
	// Unauthorized refuses the access token; the work is not done.
	Unauthorized Kind = "unauthorized"
)

// Fault makes matching calls go wrong. Of several that match, the one injected first is used up first.
type Fault struct {
	// Method and Path choose the calls: the method, and a prefix of the decoded path. Empty matches every one.
	Method, Path string
	// Kind is what goes wrong.
	Kind Kind
	// Skip is how many matching calls pass unharmed first. Defaults to 0.
	Skip int
	// Times is how many calls go wrong after that; negative is all. Defaults to 1.
	Times int
	// Status is what the two status kinds answer. Defaults to 503.
	Status int
	// After is when the limit of RateLimited frees again. Defaults to a second.
	After time.Duration
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Status == 0 {
		f.Status = http.StatusServiceUnavailable
	}
	f.After = max(f.After, time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults removes the faults that were not played.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// take returns the fault that befalls this call, and counts it down.
func (s *Server) take(r *http.Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		switch {
		case f.Method != "" && f.Method != r.Method, !strings.HasPrefix(r.URL.Path, f.Path):
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

// fail plays a fault.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f Fault, call *Call) {
	a := newAnswer()
	switch f.Kind {
	case LostAnswer, Truncated, Hang:
		s.service.Handler.ServeHTTP(a, r)
	case StatusAfter:
		s.service.Handler.ServeHTTP(newAnswer(), r)
		s.service.Fail(a, f.Status)
	case StatusBefore:
		s.service.Fail(a, f.Status)
	case RateLimited:
		s.service.Throttle(a, f.After)
	case Unauthorized:
		s.service.Refuse(a)
	case Reset:
	}
	switch f.Kind {
	case LostAnswer, Reset:
		s.end(call, 0, f.Kind)
		cut(w, f.Kind == Reset)
	case Hang:
		select {
		case <-r.Context().Done():
		case <-s.life.Done():
		}
		s.end(call, 0, f.Kind)
		cut(w, false)
	case Truncated:
		s.end(call, a.status, f.Kind)
		a.truncate(w)
	default:
		s.end(call, a.status, f.Kind)
		a.send(w)
	}
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

// answer is a response held in memory, so that a fault may still decide what becomes of it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}, status: http.StatusOK} }

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// send passes the whole answer on.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// truncate announces the whole answer, passes half of its body on, and cuts the connection.
func (a *answer) truncate(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()[:a.body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
