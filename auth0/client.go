// Package auth0 creates and finds users at an Auth0 tenant, through its Management API.
//
// [Client] implements [identity.Provider] and [identity.Lister]. Three things make it dependable:
//
//   - A user's Auth0 id is derived from ours ("auth0|" + UUID), so a create whose answer was lost is settled by one
//     lookup. A create is never repeated blindly, neither here nor by net/http.
//   - One access token serves all calls. It is renewed in the background before it ends, and once after a 401.
//   - Calls wait here, in order, when the tenant's rate-limit headers say that it would refuse them.
//
// The package auth0test is a tenant to try it against.
package auth0

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

	"homeroom/identity"
	"homeroom/internal/secret"
)

var (
	_ identity.Provider = (*Client)(nil)
	_ identity.Lister   = (*Client)(nil)
)

// Config says which tenant to talk to, and as whom.
type Config struct {
	// BaseURL is the tenant, such as https://lincoln.eu.auth0.com, without a closing slash. Required.
	BaseURL string
	// ClientID is of a machine-to-machine application that may create, read and delete users. Required.
	ClientID string
	// ClientSecret is that application's. Required.
	ClientSecret secret.String
	// ManagementAudience identifies the Management API; with a custom domain as BaseURL it is still the tenant's own
	// domain's. Defaults to BaseURL + "/api/v2/".
	ManagementAudience string
	// Connection is the name of the database connection that users are made in. Defaults to
	// "Username-Password-Authentication", which every new tenant has.
	Connection string
	// CustomDomain names the domain that mails to a new user speak of; a tenant with several verified custom domains
	// creates nobody without it. Defaults to none.
	CustomDomain string
	// Timeout bounds each exchange with the tenant, from dialling to the answer's last byte. Defaults to 10 s.
	Timeout time.Duration
	// MaxWait is how long a call may wait here for its turn under the tenant's rate limit; one that would wait longer,
	// or past its context's deadline, fails at once and tells when to come back. Defaults to 10 s.
	MaxWait time.Duration
	// Now is the clock for the ends of tokens and rate limits. Defaults to time.Now.
	Now func() time.Time
	// Logger gets one debug line per exchange and warnings about the token; never a body. Defaults to none.
	Logger *slog.Logger
	// Transport carries the requests. Defaults to one of its own with enough kept-alive connections for a busy hour.
	Transport http.RoundTripper
}

// Client talks to one tenant. It may be used by many goroutines.
type Client struct {
	cfg    Config
	http   *resty.Client
	tokens *tokens
	limits *limits
}

// New makes a client. It sends nothing: see [Client.Warm].
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: newHTTP(cfg), limits: newLimits(cfg.Now, cfg.MaxWait)}
	c.tokens = &tokens{fetch: c.fetchToken, now: cfg.Now, log: cfg.Logger, patience: cfg.MaxWait + 2*cfg.Timeout}
	return c, nil
}

// Warm fetches the access token and leaves a connection open, so that the first sign-up does not pay for them. Its error
// tells early that the tenant is unreachable or refuses our credentials; the client may be used all the same.
func (c *Client) Warm(ctx context.Context) error {
	if _, err := c.tokens.get(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.ManagementAudience = cmp.Or(c.ManagementAudience, c.BaseURL+managementPath)
	c.Connection = cmp.Or(c.Connection, "Username-Password-Authentication")
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	return c
}

func (c Config) validate() error {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || base.Path != "" || base.RawQuery != "" || base.User != nil ||
		(base.Scheme != "https" && base.Scheme != "http") {
		return errors.New("auth0: BaseURL must be an address such as https://tenant.eu.auth0.com")
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		return errors.New("auth0: ClientID and ClientSecret are required")
	}
	if c.Timeout < 0 || c.MaxWait < 0 {
		return errors.New("auth0: Timeout and MaxWait must not be negative")
	}
	return nil
}

// newHTTP makes a resty client without what resty.New would add: a cookie jar (Auth0 sets cookies, and we are no
// browser) and redirects (a 307 would carry a password to wherever it points).
func newHTTP(cfg Config) *resty.Client {
	r := resty.NewWithClient(&http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	return r.SetBaseURL(cfg.BaseURL).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", "homeroom").
		SetResponseBodyLimit(maxAnswer).
		SetLogger(silent{}).SetDisableWarn(true)
}

// newTransport keeps more connections than net/http's two per host, and drops idle ones before a load balancer
// between us and the tenant is likely to: a connection closed under a create leaves its outcome unknown.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 128
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = 50 * time.Second
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// silent is resty's logger: requests hold passwords and tokens, so resty prints nothing.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
