package auth0test_test

import (
	"strconv"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
	"homeroom/internal/flaky"
)

const usersPath = "/api/v2/users"

func TestFaultsThatAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault  flaky.Fault
		status int
		stored int
	}{
		{flaky.Fault{Kind: flaky.StatusBefore, Status: 500}, 500, 0},
		{flaky.Fault{Kind: flaky.StatusAfter}, 503, 1},
		{flaky.Fault{Kind: flaky.RateLimited}, 429, 0},
		{flaky.Fault{Kind: flaky.Unauthorized}, 401, 0},
		{flaky.Fault{Kind: flaky.Slow, Delay: time.Millisecond}, 201, 1},
		{flaky.Fault{Kind: flaky.Slow, Delay: time.Millisecond, WorkFirst: true}, 201, 1},
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

func TestStatusFaultTellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.Inject(flaky.Fault{Kind: flaky.StatusBefore, RetryAfter: 1500 * time.Millisecond})
	if rep := tn.call("GET", usersPath, ""); rep.Status != 503 || rep.Header.Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q", rep.Status, rep.Header.Get("Retry-After"))
	}
}

func TestRateLimitedFaultTellsTheReset(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{Now: clock.Now})
	tn.Inject(flaky.Fault{Kind: flaky.RateLimited, RetryAfter: 7 * time.Second, Times: 2})
	rep := tn.create("ada@example.com", "")
	wantError(t, rep, 429, "too_many_requests", "Global limit has been reached")
	if want := strconv.FormatInt(clock.Now().Unix()+7, 10); rep.Header.Get("X-Ratelimit-Reset") != want {
		t.Errorf("reset is %s, want %s", rep.Header.Get("X-Ratelimit-Reset"), want)
	}
	if rep := tn.grant(tn.clientForm()); rep.Status != 429 || rep.Body["error"] != "too_many_requests" {
		t.Errorf("a token: %d %s", rep.Status, rep.Raw)
	}
}
