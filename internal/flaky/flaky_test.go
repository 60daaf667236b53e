package flaky_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"homeroom/internal/flaky"
)

// start serves a handler that counts its calls and answers with a text.
func start(t *testing.T) (*flaky.Server, *atomic.Int32) {
	t.Helper()
	var worked atomic.Int32
	server, err := flaky.Listen("127.0.0.1:0", func(string) flaky.Service {
		return flaky.Service{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				worked.Add(1)
				_, _ = io.WriteString(w, "a whole answer")
			}),
			Fail: func(w http.ResponseWriter, status int) { w.WriteHeader(status) },
			Throttle: func(w http.ResponseWriter, _ *http.Request, after time.Duration) {
				w.Header().Set("Retry-After", after.String())
				w.WriteHeader(http.StatusTooManyRequests)
			},
			Refuse: func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, &worked
}

// call sends a request over a new connection, and returns the status and the body, or the error.
func call(ctx context.Context, t *testing.T, address, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/thing?x=y", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(read), err
}

func TestEachKindOfFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  flaky.Fault
		status int
		fails  bool
		worked int32
	}{
		"an answer is lost":            {flaky.Fault{Kind: flaky.LostAnswer}, 0, true, 1},
		"an answer is cut":             {flaky.Fault{Kind: flaky.Truncated}, 200, true, 1},
		"an answer comes late":         {flaky.Fault{Kind: flaky.Slow, Delay: time.Millisecond}, 200, false, 1},
		"an answer that is held back":  {flaky.Fault{Kind: flaky.Slow, WorkFirst: true, Delay: time.Millisecond}, 200, false, 1},
		"a failure after the work":     {flaky.Fault{Kind: flaky.StatusAfter, Status: 504}, 504, false, 1},
		"a failure before the work":    {flaky.Fault{Kind: flaky.StatusBefore}, 503, false, 0},
		"a connection is reset":        {flaky.Fault{Kind: flaky.Reset}, 0, true, 0},
		"a rate limit refuses":         {flaky.Fault{Kind: flaky.RateLimited}, 429, false, 0},
		"a token is refused":           {flaky.Fault{Kind: flaky.Unauthorized}, 401, false, 0},
		"another call is left alone":   {flaky.Fault{Kind: flaky.Reset, Path: "/other"}, 200, false, 1},
		"another method is left alone": {flaky.Fault{Kind: flaky.Reset, Method: http.MethodGet}, 200, false, 1},
		"only what matches":            {flaky.Fault{Kind: flaky.Reset, Match: func(r *http.Request) bool { return r.URL.RawQuery == "" }}, 200, false, 1},
		"the first calls pass":         {flaky.Fault{Kind: flaky.Reset, Skip: 1}, 200, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, worked := start(t)
			server.Inject(c.fault)
			status, body, err := call(t.Context(), t, server.Address(), "")
			if status != c.status || (err != nil) != c.fails || worked.Load() != c.worked {
				t.Errorf("answer %d %q, %v, work done %d times; want %d, an error: %t, and %d",
					status, body, err, worked.Load(), c.status, c.fails, c.worked)
			}
			if c.fails && c.fault.Kind == flaky.Truncated && body != "a whole" {
				t.Errorf("the answer was cut to %q", body)
			}
			server.ClearFaults()
			if status, body, err = call(t.Context(), t, server.Address(), ""); status != 200 || body != "a whole answer" {
				t.Errorf("afterwards: %d %q, %v", status, body, err)
			}
		})
	}
}

func TestAHangingAnswerEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	for _, workFirst := range []bool{false, true} {
		server, worked := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		server.Inject(flaky.Fault{Kind: flaky.Hang, WorkFirst: workFirst, OnWait: cancel})
		if _, _, err := call(ctx, t, server.Address(), ""); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller got %v", err)
		}
		if err := server.WaitIdle(t.Context()); err != nil || (worked.Load() == 1) != workFirst {
			t.Errorf("the work was done %d times, %v", worked.Load(), err)
		}
	}
}

func TestAHangingAnswerEndsWithTheServer(t *testing.T) {
	t.Parallel()
	server, _ := start(t)
	server.Inject(flaky.Fault{Kind: flaky.Hang, OnWait: func() { go server.Close() }})
	if status, _, err := call(t.Context(), t, server.Address(), ""); err == nil {
		t.Errorf("it answered %d", status)
	}
}

func TestSlowWorkIsDoneAlthoughItsCallerGaveUp(t *testing.T) {
	t.Parallel()
	server, worked := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	resume := make(chan struct{})
	server.Inject(flaky.Fault{Kind: flaky.Slow, Delay: time.Millisecond, OnWait: func() {
		cancel()
		<-resume
	}})
	if _, _, err := call(ctx, t, server.Address(), ""); !errors.Is(err, context.Canceled) || worked.Load() != 0 {
		t.Errorf("the caller got %v, and the work was done %d times", err, worked.Load())
	}
	close(resume)
	if err := server.WaitIdle(t.Context()); err != nil || worked.Load() != 1 {
		t.Errorf("afterwards the work was done %d times, %v", worked.Load(), err)
	}
}

func TestFaultsSendRetryAfter(t *testing.T) {
	t.Parallel()
	server, _ := start(t)
	for kind, want := range map[flaky.Kind]string{flaky.StatusBefore: "2", flaky.RateLimited: "1.5s"} {
		server.Inject(flaky.Fault{Kind: kind, RetryAfter: 1500 * time.Millisecond})
		recorder := httptest.NewRecorder()
		server.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
		if got := recorder.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", kind, got, want)
		}
	}
}

func TestFaultsAreUsedUp(t *testing.T) {
	t.Parallel()
	server, _ := start(t)
	server.Inject(flaky.Fault{Kind: flaky.StatusBefore, Status: 500, Times: 2})
	server.Inject(flaky.Fault{Kind: flaky.Unauthorized, Times: -1})
	var got []int
	for range 4 {
		status, _, _ := call(t.Context(), t, server.Address(), "secret")
		got = append(got, status)
	}
	if got[0] != 500 || got[1] != 500 || got[2] != 401 || got[3] != 401 {
		t.Errorf("statuses are %v", got)
	}
	calls := server.Calls()
	want := flaky.Call{Method: "POST", Path: "/thing", Query: "x=y", Status: 500, Fault: flaky.StatusBefore, At: calls[0].At}
	if len(calls) != 4 || calls[0] != want || server.CountCalls("", "/th") != 4 || server.CountCalls("GET", "") != 0 {
		t.Errorf("the calls are %+v", calls)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	server, worked := start(t)
	status, _, err := call(t.Context(), t, server.Address(), strings.Repeat("x", 2<<20))
	if status != http.StatusRequestEntityTooLarge && err == nil || worked.Load() != 0 {
		t.Errorf("a huge request: %d, %v, work done %d times", status, err, worked.Load())
	}
	server.Close()
	if _, _, err := call(t.Context(), t, server.Address(), ""); err == nil {
		t.Errorf("a closed server: %v", err)
	}
}
