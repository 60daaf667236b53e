// Package remote exchanges requests and answers with an identity provider over HTTP.
//
// The clients of all providers use it. It has one access token for all calls, renewed once when it is refused; a create that
// is sent once, and whose error reports an unknown outcome; a rate limit that delays the next call; and
// errors that quote a remote text only without secrets and e-mails.
package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"homeroom/internal/secret"
)

// Config is the configuration of a [Client]. The clients of providers fill it from their own.
type Config struct {
	// Name is the provider's name in the log, such as "scim". Required.
	Name string
	// BaseURL is put before the routes of calls. Required.
	BaseURL string
	// Token fetches an access token. Required; [StaticToken] returns a configured one.
	Token func(context.Context, *Client) (Token, error)
	// Secrets are texts that no error may quote, besides the private texts of a call.
	Secrets []secret.String
	// RetryAfter returns the time to wait from an answer without the header of that name; zero if the answer
	// has none. Defaults to none.
	RetryAfter func(Answer) time.Duration
	// Gate delays calls for the provider's rate limit. Defaults to one that delays all calls after a refusal, for as
	// long as it asks.
	Gate Gate
	// LogHeaders are the headers of answers that the debug lines show, by their names in the log. Defaults to none.
	LogHeaders map[string]string
	// Timeout bounds each exchange, from dialling to the answer's last byte. Defaults to 10 s.
	Timeout time.Duration
	// MaxWait is how long a call may wait here when the provider asked for a pause: the default Gate keeps to it, and a
	// fetch of the token takes no longer than MaxWait and two Timeouts. Defaults to 10 s.
	MaxWait time.Duration
	// Now is the clock for the expiry of tokens and pauses. Defaults to time.Now.
	Now func() time.Time
	// Logger gets one debug line per exchange and warnings about the token; never a body. Defaults to none.
	Logger *slog.Logger
	// Transport carries the requests. Defaults to one with enough kept-alive connections for many parallel calls.
	Transport http.RoundTripper
}

// Client talks to one provider. It may be used by many goroutines.
type Client struct {
	cfg    Config
	http   *resty.Client
	tokens *tokens
}

const (
	// maxAnswer is far above the size of the largest page of users.
	maxAnswer = 4 << 20
	// MaxRetryAfter is the longest time to wait that is taken from a header.
	MaxRetryAfter = time.Minute
	// Attempts is the number of attempts of a call that creates nothing.
	Attempts = 3
)

// New creates a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if cfg.Name == "" || cfg.Token == nil {
		return nil, errors.New("remote: Name and Token are required")
	}
	if err := CheckURL(cfg.BaseURL); err != nil {
		return nil, fmt.Errorf("%s: the base URL %w", cfg.Name, err)
	}
	if cfg.Timeout < 0 || cfg.MaxWait < 0 {
		return nil, fmt.Errorf("%s: timeouts must not be negative", cfg.Name)
	}
	c := &Client{cfg: cfg, http: newHTTP(cfg)}
	c.tokens = &tokens{
		fetch: func(ctx context.Context) (Token, error) { return cfg.Token(ctx, c) },
		now:   cfg.Now, log: cfg.Logger, name: cfg.Name, fetchTimeout: cfg.MaxWait + 2*cfg.Timeout,
	}
	return c, nil
}

// Warm fetches the access token and opens a connection, so that the first call need not wait for them. Its error shows
// early that the provider is unreachable or refuses the credentials; the client may be used nevertheless.
func (c *Client) Warm(ctx context.Context) error {
	if _, err := c.tokens.get(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

// CheckURL validates a configured address. It may have a path, but no query and no password.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		(u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("must be an address such as https://api.example.com")
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 10*time.Second)
	if c.RetryAfter == nil {
		c.RetryAfter = func(Answer) time.Duration { return 0 }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Gate == nil {
		c.Gate = &pauseGate{now: c.Now, maxWait: c.MaxWait}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	return c
}

// newHTTP creates a resty client without a cookie jar and without redirects, which resty.New would add (a 307
// would send a password to another address).
func newHTTP(cfg Config) *resty.Client {
	r := resty.NewWithClient(&http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return r.SetBaseURL(cfg.BaseURL).
		SetHeader("User-Agent", "homeroom").
		SetResponseBodyLimit(maxAnswer).
		SetLogger(discardLogger{}).SetDisableWarn(true)
}

// newTransport keeps more connections than net/http's two per host, and closes idle ones before a load balancer is likely
// to: a connection closed under a create leaves its outcome unknown.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 128
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = 50 * time.Second
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// discardLogger is resty's logger: requests hold passwords and tokens, so resty logs nothing.
type discardLogger struct{}

func (discardLogger) Errorf(string, ...any) {}
func (discardLogger) Warnf(string, ...any)  {}
func (discardLogger) Debugf(string, ...any) {}
