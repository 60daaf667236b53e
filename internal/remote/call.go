package remote

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

// Call is one request.
type Call struct {
	Method string
	// Route is appended to the base URL, or is an address of its own. It stands in errors and logs, so nothing of a
	// person belongs into it.
	Route string
	// ID fills the route's {id}.
	ID    string
	Query url.Values
	// Body is sent as JSON, under the media type Type, which defaults to application/json.
	Body any
	Type string
	// Form is sent instead of a body.
	Form url.Values
	// User and Password are sent by HTTP's Basic scheme instead of the access token.
	User     string
	Password secret.String
	// Creates is true when doing it twice is not the same as doing it once. Such a call is sent once, and its error says
	// when its outcome is unknown.
	Creates bool
	// Private is what must not be quoted in errors, besides what every call hides.
	Private []string
}

// Answer is what the provider said to a call, whatever the status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode reads the answer's JSON. Of a body that is none it says only that: it may hold anything.
func (a Answer) Decode(into any) error {
	if err := json.Unmarshal(a.Body, into); err != nil {
		return ErrUnreadable
	}
	return nil
}

// ErrUnreadable is all that is said of a success that makes no sense.
var ErrUnreadable = errors.New("the provider's answer is not what it should be")

// Do sends a call with the access token, or with the call's own credentials. Its errors are *identity.Unavailable, or those
// of getting a token; a refusal is an answer like any other.
func (c *Client) Do(ctx context.Context, req Call) (Answer, error) {
	if req.User != "" {
		return c.repeat(ctx, req, "")
	}
	token, err := c.tokens.get(ctx)
	if err != nil {
		return Answer{}, err
	}
	ans, err := c.repeat(ctx, req, token)
	if err != nil || ans.Status != http.StatusUnauthorized {
		return ans, err
	}
	// A refused token may be revoked before its time. The call was not looked at, so it may be sent again, a create too.
	c.tokens.drop(token)
	if token, err = c.tokens.get(ctx); err != nil {
		return Answer{}, err
	}
	return c.repeat(ctx, req, token)
}

// repeat sends a call that can do no harm again when it failed for a moment.
func (c *Client) repeat(ctx context.Context, req Call, token secret.String) (Answer, error) {
	for attempt := 1; ; attempt++ {
		ans, err := c.send(ctx, req, token)
		if req.Creates || attempt == attempts || !momentary(ans, err) || !pause(ctx, attempt) {
			return ans, err
		}
	}
}

// momentary tells whether it is worth trying again right away. A rate limit is not, nor a provider too slow to answer.
func momentary(ans Answer, err error) bool {
	if err != nil {
		var u *identity.Unavailable
		return errors.As(err, &u) && !u.Throttled &&
			!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	}
	return ans.Status >= http.StatusInternalServerError && ans.Status != http.StatusNotImplemented
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

// send waits while the provider has asked for a pause, and exchanges one request for one answer.
func (c *Client) send(ctx context.Context, req Call, token secret.String) (Answer, error) {
	if err := c.pauses.wait(ctx); err != nil {
		return Answer{}, err
	}
	start := time.Now()
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
		if ctx.Err() != nil { // says more than the connection's "operation was canceled"
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
	if ans.Status == http.StatusTooManyRequests {
		c.pauses.until(c.retryAfter(ans))
	}
	c.cfg.Logger.DebugContext(ctx, c.cfg.Name+" exchange", "method", req.Method, "route", req.Route,
		"status", ans.Status, "duration", time.Since(start))
	return ans, nil
}

// request builds the request. It never has an Idempotency-Key: net/http takes one as leave to send a POST again when a
// kept-alive connection breaks.
func (c *Client) request(ctx context.Context, req Call, token secret.String) *resty.Request {
	r := c.http.R().SetContext(ctx).SetHeader("Accept", "application/json")
	if req.Type != "" && req.Type != "application/json" {
		r.SetHeader("Accept", req.Type+", application/json")
	}
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
	if req.Query != nil {
		r.SetQueryParamsFromValues(req.Query)
	}
	switch {
	case req.Form != nil:
		r.SetFormDataFromValues(req.Form)
	case req.Body != nil:
		body, err := json.Marshal(req.Body)
		if err != nil {
			panic(fmt.Sprintf("remote: encode a body: %v", err)) // cannot be: bodies are structs of texts
		}
		r.SetHeader("Content-Type", orJSON(req.Type)).SetBody(body)
	}
	return r
}

func orJSON(mediaType string) string {
	if mediaType == "" {
		return "application/json"
	}
	return mediaType
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
