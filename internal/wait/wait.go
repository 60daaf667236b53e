// Package wait pauses a goroutine for a time, and reads for how long an HTTP answer asks to wait.
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

// RetryAfter reads the header of that name (RFC 9110, section 10.2.3): a number of seconds, or a date. It is false when
// there is no such header, or none that makes sense; a date that has passed is zero.
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
