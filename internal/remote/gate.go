package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"homeroom/identity"
	"homeroom/internal/wait"
)

// Gate delays calls for a provider's rate limit. It is safe for concurrent use.
type Gate interface {
	// Wait returns when the call may be sent. Its errors are *identity.Unavailable, such as [Throttled].
	Wait(ctx context.Context, req Call) error
	// Learn records the answer to a call that was sent at sent. pause is how long the provider asks to wait; it is zero
	// unless its rate limit refused the call.
	Learn(req Call, ans Answer, sent time.Time, pause time.Duration)
}

// pauseGate is a gate that delays calls until the end of the last refusal by a rate limit.
type pauseGate struct {
	now     func() time.Time
	maxWait time.Duration

	mu  sync.Mutex
	end time.Time
}

var errPaused = errors.New("the provider asked for a pause")

// Wait implements [Gate]. A call that would have to wait longer than its deadline or maxWait allows is refused at once, with
// the time to wait.
func (p *pauseGate) Wait(ctx context.Context, _ Call) error {
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
			return Throttled(left, errPaused)
		}
		if err := wait.For(ctx, left); err != nil {
			return Throttled(left, fmt.Errorf("wait for the provider's rate limit: %w", err))
		}
	}
}

// Learn implements [Gate].
func (p *pauseGate) Learn(_ Call, _ Answer, _ time.Time, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end := p.now().Add(pause); end.After(p.end) {
		p.end = end
	}
}

// retryAfter is the time that the answer asks to wait, between one second and [MaxRetryAfter].
func (c *Client) retryAfter(ans Answer) time.Duration {
	after, ok := wait.RetryAfter(ans.Header, c.cfg.Now())
	if !ok {
		after = c.cfg.RetryAfter(ans)
	}
	return min(max(after, time.Second), MaxRetryAfter)
}
