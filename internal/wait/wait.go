// Package wait pauses a goroutine for a time, and reads the time to wait from an HTTP answer.
package wait

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// For returns nil after d, or ctx's error as soon as ctx ends. It returns at once when d is not positive.
func For(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil || d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RetryAfter reads the header of that name (RFC 9110, section 10.2.3): a number of seconds, or a date. It returns false when
// there is no such header, or an invalid one; a date in the past is zero.
func RetryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}
