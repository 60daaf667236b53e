package auth0test_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"syscall"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

const usersPath = "/api/v2/users"

func TestFaultsThatAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault  auth0test.Fault
		status int
		stored int
	}{
		{auth0test.Fault{Kind: auth0test.FaultStatusBefore, Status: 500}, 500, 0},
		{auth0test.Fault{Kind: auth0test.FaultStatusAfter}, 503, 1},
		{auth0test.Fault{Kind: auth0test.FaultRateLimited}, 429, 0},
		{auth0test.Fault{Kind: auth0test.FaultUnauthorized}, 401, 0},
		{auth0test.Fault{Kind: auth0test.FaultSlow, Delay: time.Millisecond}, 201, 1},
		{auth0test.Fault{Kind: auth0test.FaultSlow, Delay: time.Millisecond, WorkFirst: true}, 201, 1},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{})
			c.fault.Method, c.fault.Path = "POST", usersPath
			tn.Inject(c.fault)
			rep := tn.create("ada@example.com", "")
			if rep.Status != c.status || len(tn.Users()) != c.stored {
				t.Errorf("%d with %d stored, want %d with %d: %s", rep.Status, len(tn.Users()), c.status, c.stored, rep.Raw)
			}
			if calls := tn.Calls(); len(calls) != 1 || calls[0].Status != c.status || calls[0].Fault != c.fault.Kind || calls[0].Method != "POST" || calls[0].Path != usersPath {
				t.Errorf("calls are %+v", calls)
			}
			if rep := tn.create("bob@example.com", ""); rep.Status != 201 {
				t.Errorf("the next call: %d %s", rep.Status, rep.Raw)
			}
		})
	}
}

func TestFaultsThatCutTheConnection(t *testing.T) {
	t.Parallel()
	for kind, c := range map[auth0test.FaultKind]struct {
		stored int
		err    error
	}{
		auth0test.FaultLostAnswer:  {1, io.EOF},
		auth0test.FaultResetBefore: {0, syscall.ECONNRESET},
		auth0test.FaultTruncated:   {1, io.ErrUnexpectedEOF},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{})
			tn.Inject(auth0test.Fault{Method: "POST", Path: usersPath, Kind: kind})
			rep, err := tn.do(tn.request("POST", usersPath, `{"connection":"`+auth0test.DefaultConnection+`","email":"ada@example.com","password":"Correct-h0rse"}`))
			if !errors.Is(err, c.err) {
				t.Errorf("the caller got %v and %+v, want %v", err, rep, c.err)
			}
			if len(tn.Users()) != c.stored || tn.CountCalls("POST", usersPath) != 1 {
				t.Errorf("%d stored, want %d, after %d calls", len(tn.Users()), c.stored, tn.CountCalls("POST", usersPath))
			}
		})
	}
}

func TestFaultHangs(t *testing.T) {
	t.Parallel()
	for name, workFirst := range map[string]bool{"before the work": false, "after the work": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{})
			ctx, giveUp := context.WithCancel(t.Context())
			tn.Inject(auth0test.Fault{Kind: auth0test.FaultHang, WorkFirst: workFirst, Held: giveUp})
			req := tn.request("POST", usersPath, `{"connection":"`+auth0test.DefaultConnection+`","email":"ada@example.com","password":"Correct-h0rse"}`)
			if _, err := tn.do(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller got %v", err)
			}
			if (len(tn.Users()) == 1) != workFirst {
				t.Errorf("%d stored", len(tn.Users()))
			}
		})
	}
}

func TestCloseEndsAHangingAnswer(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.Inject(auth0test.Fault{Kind: auth0test.FaultHang})
	failed := make(chan error)
	go func() {
		_, err := tn.do(tn.request("GET", usersPath, ""))
		failed <- err
	}()
	for tn.CountCalls("GET", usersPath) == 0 {
		select {
		case err := <-failed:
			t.Fatalf("it answered: %v", err)
		default:
		}
	}
	tn.Close()
	if err := <-failed; err == nil {
		t.Error("it answered")
	}
}

func TestFaultsAreChosenAndCounted(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.Inject(auth0test.Fault{Method: "GET", Path: "/api/v2/users-by", Kind: auth0test.FaultStatusBefore, Skip: 1, Times: 2})
	if rep := tn.call("GET", usersPath, ""); rep.Status != 200 {
		t.Errorf("another path: %d", rep.Status)
	}
	for i, want := range []int{200, 503, 503, 200} {
		if rep := tn.call("GET", "/api/v2/users-by-email?email=a@b.c", ""); rep.Status != want {
			t.Errorf("call %d: %d, want %d", i, rep.Status, want)
		}
	}
	tn.Inject(auth0test.Fault{Kind: auth0test.FaultStatusBefore, Times: -1})
	for range 3 {
		if rep := tn.call("GET", usersPath, ""); rep.Status != 503 {
			t.Errorf("always: %d", rep.Status)
		}
	}
	tn.ClearFaults()
	if rep := tn.call("GET", usersPath, ""); rep.Status != 200 {
		t.Errorf("cleared: %d", rep.Status)
	}
}

func TestStatusFaultTellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.Inject(auth0test.Fault{Kind: auth0test.FaultStatusBefore, RetryAfter: 1500 * time.Millisecond})
	if rep := tn.call("GET", usersPath, ""); rep.Status != 503 || rep.Header.Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q", rep.Status, rep.Header.Get("Retry-After"))
	}
}

func TestRateLimitedFaultTellsTheReset(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{Now: clock.Now})
	tn.Inject(auth0test.Fault{Kind: auth0test.FaultRateLimited, RetryAfter: 7 * time.Second, Times: 2})
	rep := tn.create("ada@example.com", "")
	wantError(t, rep, 429, "too_many_requests", "Global limit has been reached")
	if want := strconv.FormatInt(clock.Now().Unix()+7, 10); rep.Header.Get("X-Ratelimit-Reset") != want {
		t.Errorf("reset is %s, want %s", rep.Header.Get("X-Ratelimit-Reset"), want)
	}
	if rep := tn.grant(tn.clientForm()); rep.Status != 429 || rep.Body["error"] != "too_many_requests" {
		t.Errorf("a token: %d %s", rep.Status, rep.Raw)
	}
}

func TestSlowWorkOutlivesTheCaller(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	ctx, giveUp := context.WithCancel(t.Context())
	goOn := make(chan struct{})
	tn.Inject(auth0test.Fault{Method: "POST", Kind: auth0test.FaultSlow, Held: func() {
		giveUp()
		<-goOn
	}})
	req := tn.request("POST", usersPath, `{"connection":"`+auth0test.DefaultConnection+`","email":"ada@example.com","password":"Correct-h0rse","user_id":"x"}`)
	if _, err := tn.do(req.WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	if rep := tn.call("GET", userPath("auth0|x"), ""); rep.Status != 404 {
		t.Errorf("a look at once: %d %s", rep.Status, rep.Raw)
	}
	close(goOn)
	if err := tn.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := tn.call("GET", userPath("auth0|x"), ""); rep.Status != 200 {
		t.Errorf("a later look: %d %s", rep.Status, rep.Raw)
	}
}
