package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// call is one request to the tenant.
type call struct {
	method, route string
	// id and other fill the route's {id} and {other}.
	id, other string
	query     url.Values
	json      []byte
	form      url.Values
	// scope is what the token needs for it, for people's hints.
	scope string
	// creates is true when doing it twice is not the same as doing it once. Such a call is sent once, and its error says
	// when its outcome is unknown.
	creates bool
	// branded is true when what Auth0 makes of it speaks of a domain: a mail, a link.
	branded bool
	// setsPassword is true when the password that a person has chosen may be refused.
	setsPassword bool
	// login is true for a person's login, which has limits of its own; client is that person's address, if known.
	login  bool
	client string
	// missing is what a 404 without a code means: that it is the wrong address, when nil.
	missing error
	// private is what must not be quoted in errors, besides what every call hides.
	private []string
}

// answer is what the tenant said to a call, whatever the status.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a call with the access token. Its errors are *identity.Unavailable, or those of getting a token.
func (c *Client) do(ctx context.Context, req call) (answer, error) {
	token, err := c.tokens.get(ctx)
	if err != nil {
		return answer{}, err
	}
	ans, err := c.repeat(ctx, req, token)
	if err == nil && ans.status == http.StatusForbidden {
		c.tokens.outgrow(token) // for the next call
	}
	if err != nil || ans.status != http.StatusUnauthorized {
		return ans, err
	}
	// A refused token may be revoked, or its key rotated out, before its time. The call was not looked at, so it may be
	// sent again, a create too.
	c.tokens.drop(token)
	if token, err = c.tokens.get(ctx); err != nil {
		return answer{}, err
	}
	return c.repeat(ctx, req, token)
}

// exchange sends a call that is to answer 200 or 201 with JSON, which it reads into a pointer, or, if that is nil, 204.
func (c *Client) exchange(ctx context.Context, req call, into any) error {
	ans, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	switch {
	case into == nil && ans.status == http.StatusNoContent:
		return nil
	case into == nil || ans.status != http.StatusOK && ans.status != http.StatusCreated:
		return c.failure(req, ans)
	}
	if err := json.Unmarshal(ans.body, into); err != nil {
		return &identity.Unavailable{Unknown: req.creates, Err: errUnreadable}
	}
	return nil
}

// repeat sends a call that can do no harm again when it failed for a moment.
func (c *Client) repeat(ctx context.Context, req call, token secret.String) (answer, error) {
	for attempt := 1; ; attempt++ {
		ans, err := c.send(ctx, req, token)
		if req.creates || attempt == attempts || !momentary(ans, err) || !pause(ctx, attempt) {
			return ans, err
		}
	}
}

// momentary tells whether it is worth trying again right away. A rate limit is not, nor a tenant too slow to answer.
func momentary(ans answer, err error) bool {
	if err != nil {
		var u *identity.Unavailable
		return errors.As(err, &u) && !u.Throttled &&
			!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	}
	return ans.status >= http.StatusInternalServerError
}

// pause waits before the next attempt, some 100 ms and then some 400; false when ctx ended first.
func pause(ctx context.Context, attempt int) bool {
	d := 25 * time.Millisecond << (2 * attempt)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send waits for the call's turn and exchanges one request for one answer.
func (c *Client) send(ctx context.Context, req call, token secret.String) (answer, error) {
	limit := c.limits.of(req)
	if err := limit.wait(ctx); err != nil {
		return answer{}, err
	}
	start, sentAt := time.Now(), c.cfg.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	ctx, sent := traceSent(ctx)

	resp, err := c.request(ctx, req, token).Execute(req.method, req.route)
	if err != nil {
		// A *url.Error quotes the address, which may hold an e-mail.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil { // says more than the connection's "operation was canceled"
			err = ctx.Err()
		}
		c.cfg.Logger.DebugContext(ctx, "auth0 exchange failed", "method", req.method, "route", req.route,
			"error", err, "sent", sent(), "duration", time.Since(start))
		return answer{}, &identity.Unavailable{
			Unknown: req.creates && sent(),
			Err:     fmt.Errorf("%s %s: %w", req.method, req.route, err),
		}
	}
	ans := answer{status: resp.StatusCode(), header: resp.Header(), body: resp.Body()}
	if !req.login { // whose limits are a person's
		limit.learn(ans, sentAt)
		if ans.status == http.StatusTooManyRequests {
			c.limits.pause(req, retryAfter(ans, c.cfg.Now()))
		}
	}
	c.cfg.Logger.DebugContext(ctx, "auth0 exchange", "method", req.method, "route", req.route, "status", ans.status,
		"duration", time.Since(start), "request_id", ans.header.Get(headerRequestID),
		"rate_limit", ans.header.Get(headerLimit), "rate_remaining", ans.header.Get(headerRemaining))
	return ans, nil
}

// request builds the request. It never has an Idempotency-Key: Auth0 ignores it, but net/http takes it as leave to send
// a POST again when a kept-alive connection breaks.
func (c *Client) request(ctx context.Context, req call, token secret.String) *resty.Request {
	r := c.http.R().SetContext(ctx)
	if token != "" {
		r.SetAuthToken(token.Reveal())
	}
	if req.id != "" {
		r.SetPathParam("id", req.id)
	}
	if req.other != "" {
		r.SetPathParam("other", req.other)
	}
	if req.query != nil {
		r.SetQueryParamsFromValues(req.query)
	}
	if req.form != nil {
		r.SetFormDataFromValues(req.form)
	}
	if req.json != nil {
		r.SetHeader("Content-Type", "application/json").SetBody(req.json)
	}
	if req.branded && c.cfg.CustomDomain != "" {
		r.SetHeader(headerDomain, c.cfg.CustomDomain)
	}
	if req.client != "" {
		r.SetHeader(headerForwarded, req.client)
	}
	return r
}

// traceSent returns a context to send a request with, and a function that tells afterwards whether any of it may have
// left. It may have as soon as there was a connection: the bytes are written by another goroutine, which a cancelled
// request does not wait for. A transport that reports nothing is taken to have sent it.
func traceSent(ctx context.Context) (context.Context, func() bool) {
	var asked, got atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}
	return httptrace.WithClientTrace(ctx, trace), func() bool { return got.Load() || !asked.Load() }
}
