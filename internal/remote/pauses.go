package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"homeroom/identity"
)

// pauses holds calls back after a refusal by a rate limit. It knows no more of the limit than when the refusal ends.
type pauses struct {
	now     func() time.Time
	maxWait time.Duration

	mu  sync.Mutex
	end time.Time
}

var errPaused = errors.New("the provider has asked for a pause")

// wait returns when the call may be sent. One that would have to wait longer than its deadline or maxWait allows is
// refused at once, and told how long.
func (p *pauses) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &identity.Unavailable{Err: fmt.Errorf("wait to send: %w", err)}
	}
	for {
		p.mu.Lock()
		left := p.end.Sub(p.now())
		p.mu.Unlock()
		if left <= 0 {
			return nil
		}
		deadline, ok := ctx.Deadline()
		if left > p.maxWait || ok && time.Until(deadline) < left {
			return throttled(left, errPaused)
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return throttled(left, fmt.Errorf("wait for the provider's rate limit: %w", ctx.Err()))
		}
	}
}

func (p *pauses) until(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end := p.now().Add(d); end.After(p.end) {
		p.end = end
	}
}

// retryAfter is how long the answer asks to wait, between one second and [maxRetryAfter].
func (c *Client) retryAfter(ans Answer) time.Duration {
	wait := c.cfg.RetryAfter(ans)
	after := ans.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		wait = at.Sub(c.cfg.Now())
	}
	return min(max(wait, time.Second), maxRetryAfter)
}

func throttled(after time.Duration, err error) error {
	return &identity.Unavailable{Throttled: true, RetryAfter: min(max(after, time.Millisecond), maxRetryAfter), Err: err}
}
