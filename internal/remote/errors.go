package remote

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// Transient reports whether an answer is caused by the provider's state rather than by the request.
func (a Answer) Transient() bool {
	return a.Status == http.StatusTooManyRequests || a.Status == http.StatusRequestTimeout || a.serverError()
}

// serverError reports whether the provider failed. A 501 is no such failure: a retry gets it again.
func (a Answer) serverError() bool {
	return a.Status >= http.StatusInternalServerError && a.Status != http.StatusNotImplemented
}

// Unavailable is the error for an answer that is [Answer.Transient], or for an unexpected success
// status. A gateway may answer 502 or 504 after the work was done, so a create's outcome is then unknown.
func (c *Client) Unavailable(req Call, ans Answer, cause error) error {
	if ans.Status == http.StatusTooManyRequests {
		return Throttled(c.retryAfter(ans), cause)
	}
	u := &identity.Unavailable{Unknown: req.Creates, Err: cause}
	if ans.Header.Get("Retry-After") != "" {
		u.RetryAfter = c.retryAfter(ans)
	}
	return u
}

// Throttled is the error for a call that a rate limit refuses, or would refuse. The time to wait is at most [MaxRetryAfter].
func Throttled(after time.Duration, cause error) error {
	return &identity.Unavailable{Throttled: true, RetryAfter: min(max(after, time.Millisecond), MaxRetryAfter), Err: cause}
}

// Quote describes the provider's answer in a form that is safe for a log. Empty parts are left out.
func (c *Client) Quote(req Call, ans Answer, parts ...string) error {
	quoted := []string{fmt.Sprintf("%s %s: %d %s", req.Method, req.Route, ans.Status, http.StatusText(ans.Status))}
	for _, part := range parts {
		if part != "" {
			quoted = append(quoted, c.Redact(req, part))
		}
	}
	return errors.New(strings.Join(quoted, ": "))
}

// Redact makes a remote text safe for errors and logs, as [secret.Redact] does. It also removes the call's private texts and
// the provider's secrets.
func (c *Client) Redact(req Call, text string) string {
	hidden := append([]string{c.tokens.last().Reveal()}, req.Private...)
	for _, value := range c.cfg.Secrets {
		hidden = append(hidden, value.Reveal())
	}
	return secret.Redact(text, hidden...)
}
