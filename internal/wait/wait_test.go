package wait_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"homeroom/internal/wait"
)

func TestForWaits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]time.Duration{time.Hour: time.Hour, 0: 0, -time.Hour: 0} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if err := wait.For(t.Context(), d); err != nil || time.Since(began) != want {
				t.Errorf("for %v: waited %v, %v", d, time.Since(began), err)
			}
		})
	}
}

func TestForEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		if err := wait.For(ctx, time.Hour); !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
		for _, d := range []time.Duration{time.Hour, 0} {
			if err := wait.For(ctx, d); !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
				t.Errorf("for %v after the end: %v, waited %v", d, err, time.Since(began)-time.Minute)
			}
		}
	})
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]struct {
		d  time.Duration
		ok bool
	}{
		"0": {0, true}, "120": {2 * time.Minute, true}, "2147483647": {2147483647 * time.Second, true},
		now.Add(time.Hour).Format(http.TimeFormat):  {time.Hour, true},
		now.Add(-time.Hour).Format(http.TimeFormat): {0, true},
		"": {}, "-5": {}, "1.5": {}, "soon": {}, "99999999999999999999": {},
	} {
		d, ok := wait.RetryAfter(http.Header{"Retry-After": {value}}, now)
		if d != want.d || ok != want.ok {
			t.Errorf("%q: %v, %t; want %v, %t", value, d, ok, want.d, want.ok)
		}
	}
	if d, ok := wait.RetryAfter(nil, now); ok {
		t.Errorf("without a header: %v", d)
	}
}
