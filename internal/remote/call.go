package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"

	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/internal/wait"
)

// Call is one request.
type Call struct {
	Method string
	// Route is appended to the base URL, or is an address of its own. It stands in errors and logs, so no personal
	// data may be in it.
	Route string
	// ID and Other fill the route's {id} and {other}.
	ID, Other string
	Query     url.Values
	// Header is sent besides the headers that every call has.
	Header http.Header
	// Body is sent as JSON, under the media type Type, which defaults to application/json.
	Body any
	Type string
	// Form is sent instead of a body.
	Form url.Values
	// NoToken leaves the access token out: the call has credentials of its own.
	NoToken bool
	// User and Password are sent by HTTP's Basic scheme, if User is set.
	User     string
	Password secret.String
	// Creates is true for a call that must not be repeated. Such a call is sent once, and its error reports
	// an unknown outcome.
	Creates bool
	// Private are texts that errors must not quote, besides those of every call.
	Private []string
}

// Answer is the provider's answer to a call, with any status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode decodes the answer's JSON. Its error does not quote the body, which may hold anything.
func (a Answer) Decode(into any) error {
	if err := json.Unmarshal(a.Body, into); err != nil {
		return ErrUnreadable
	}
	return nil
}

// ErrUnreadable is the error for a success whose body is not as expected.
var ErrUnreadable = errors.New("the provider's answer has an unexpected body")

// Do sends a call with the access token, or with the call's own credentials. Its errors are *identity.Unavailable, or those
// of getting a token; a refusal is an answer like any other.
func (c *Client) Do(ctx context.Context, req Call) (Answer, error) {
	if req.NoToken {
		return c.sendWithRetries(ctx, req, "")
	}
	token, err := c.tokens.get(ctx)
	if err != nil {
		return Answer{}, err
	}
	ans, err := c.sendWithRetries(ctx, req, token)
	if err == nil && ans.Status == http.StatusForbidden {
		c.tokens.invalidateForNewScopes(token) // for the next call
	}
	if err != nil || ans.Status != http.StatusUnauthorized {
		return ans, err
	}
	// A token may be revoked, or its key rotated, before it expires. The call was refused before any work, so it may be sent
	// again, also a create.
	c.tokens.invalidate(token)
	if token, err = c.tokens.get(ctx); err != nil {
		return Answer{}, err
	}
	return c.sendWithRetries(ctx, req, token)
}

// sendWithRetries repeats a call that creates nothing after a retryable failure.
func (c *Client) sendWithRetries(ctx context.Context, req Call, token secret.String) (Answer, error) {
	for attempt := 1; ; attempt++ {
		ans, err := c.send(ctx, req, token)
		if req.Creates || attempt == Attempts || !retryable(ans, err) || wait.For(ctx, Backoff(attempt)) != nil {
			return ans, err
		}
	}
}

// Backoff is the pause after a failed attempt: about 100 ms after the first, then about 400 ms.
func Backoff(attempt int) time.Duration {
	d := 25 * time.Millisecond << (2 * attempt)
	return d/2 + rand.N(d)
}

// retryable reports whether a call may be repeated at once. A rate limit and a timeout are not retryable.
func retryable(ans Answer, err error) bool {
	if err != nil {
		var u *identity.Unavailable
		return errors.As(err, &u) && !u.Throttled &&
			!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	}
	return ans.serverError()
}

// send waits until the gate lets the call through, and exchanges one request for one answer.
func (c *Client) send(ctx context.Context, req Call, token secret.String) (Answer, error) {
	if err := c.cfg.Gate.Wait(ctx, req); err != nil {
		return Answer{}, err
	}
	start, sentAt := time.Now(), c.cfg.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	ctx, sent := traceSent(ctx)

	resp, err := c.request(ctx, req, token).Execute(req.Method, req.Route)
	if err != nil {
		// A *url.Error quotes the address, which may hold an e-mail.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil { // clearer than the connection's "operation was canceled"
			err = ctx.Err()
		}
		c.cfg.Logger.DebugContext(ctx, c.cfg.Name+" exchange failed", "method", req.Method, "route", req.Route,
			"error", err, "sent", sent(), "duration", time.Since(start))
		return Answer{}, &identity.Unavailable{
			Unknown: req.Creates && sent(),
			Err:     fmt.Errorf("%s %s: %w", req.Method, req.Route, err),
		}
	}
	ans := Answer{Status: resp.StatusCode(), Header: resp.Header(), Body: resp.Body()}
	var pause time.Duration
	if ans.Status == http.StatusTooManyRequests {
		pause = c.retryAfter(ans)
	}
	c.cfg.Gate.Learn(req, ans, sentAt, pause)
	attrs := []any{"method", req.Method, "route", req.Route, "status", ans.Status, "duration", time.Since(start)}
	for _, key := range slices.Sorted(maps.Keys(c.cfg.LogHeaders)) {
		attrs = append(attrs, key, ans.Header.Get(c.cfg.LogHeaders[key]))
	}
	c.cfg.Logger.DebugContext(ctx, c.cfg.Name+" exchange", attrs...)
	return ans, nil
}

// request builds the request. It never has an Idempotency-Key: net/http would then repeat a POST when a
// kept-alive connection breaks.
func (c *Client) request(ctx context.Context, req Call, token secret.String) *resty.Request {
	r := c.http.R().SetContext(ctx).SetHeader("Accept", "application/json")
	if req.Type != "" && req.Type != "application/json" {
		r.SetHeader("Accept", req.Type+", application/json")
	}
	maps.Copy(r.Header, req.Header)
	switch {
	case req.User != "":
		// RFC 6749, section 2.3.1: both are encoded as in a form.
		r.SetBasicAuth(url.QueryEscape(req.User), url.QueryEscape(req.Password.Reveal()))
	case token != "":
		r.SetAuthToken(token.Reveal())
	}
	if req.ID != "" {
		r.SetPathParam("id", req.ID)
	}
	if req.Other != "" {
		r.SetPathParam("other", req.Other)
	}
	if req.Query != nil {
		r.SetQueryParamsFromValues(req.Query)
	}
	switch {
	case req.Form != nil:
		r.SetFormDataFromValues(req.Form)
	case req.Body != nil:
		body, err := json.Marshal(req.Body)
		if err != nil {
			panic(fmt.Sprintf("remote: encode a body: %v", err)) // never: bodies are structs of texts
		}
		r.SetHeader("Content-Type", cmp.Or(req.Type, "application/json")).SetBody(body)
	}
	return r
}

// traceSent returns a context for a request, and a function that reports afterwards whether any of it may have
// been sent. That is true as soon as there was a connection: the bytes are written by another goroutine, which a cancelled
// request does not wait for. If a transport reports nothing, the request counts as sent.
func traceSent(ctx context.Context) (context.Context, func() bool) {
	var asked, got atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}
	return httptrace.WithClientTrace(ctx, trace), func() bool { return got.Load() || !asked.Load() }
}
