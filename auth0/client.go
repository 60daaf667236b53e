// Package auth0 creates and finds users at an Auth0 tenant, through its Management API, and gives them their places in
// organizations and roles.
//
// [Client] implements [identity.Provider] and all the abilities besides. Four things make it dependable:
//
//   - A user's Auth0 id is derived from ours ("auth0|" + UUID), so a create whose answer was lost is settled by one
//     lookup. A create is never repeated blindly, neither here nor by net/http.
//   - One access token serves all calls. It is renewed in the background before it ends, and once after a 401.
//   - Calls wait here, in order, when the tenant's rate-limit headers say that it would refuse them.
//   - An organization is known by the tenant's id in its metadata, and its name is unique at Auth0: so a create whose answer
//     was lost, or that two made at once, ends in one organization.
//
// The package auth0test is a tenant to try it against.
package auth0

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"

	"homeroom/identity"
)

var (
	_ identity.Provider      = (*Client)(nil)
	_ identity.Lister        = (*Client)(nil)
	_ identity.Enroller      = (*Client)(nil)
	_ identity.Adopter       = (*Client)(nil)
	_ identity.Verifier      = (*Client)(nil)
	_ identity.SessionOpener = (*Client)(nil)
	_ identity.Ticketer      = (*Client)(nil)
	_ identity.Passwordless  = (*Client)(nil)

	_ identity.PasswordSetter     = (*Client)(nil)
	_ identity.OrganizationLister = (*Client)(nil)
)

// Client talks to one tenant. It may be used by many goroutines.
type Client struct {
	cfg    Config
	http   *resty.Client
	tokens *tokens
	limits *limits
	places *places
}

// New makes a client. It sends nothing: see [Client.Warm].
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, http: newHTTP(cfg), limits: newLimits(cfg.Now, cfg.MaxWait), places: newPlaces()}
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
