// Package auth0 creates and finds users at an Auth0 tenant, through its Management API, and gives them memberships in
// organizations and roles.
//
// [Client] implements [identity.Provider] and all optional abilities:
//
//   - A user's Auth0 id is derived from ours ("auth0|" + UUID), so a create whose answer was lost is resolved by one
//     lookup. A create is never repeated without that lookup, neither here nor by net/http.
//   - One access token serves all calls. It is renewed in the background before it expires, and once after a 401.
//   - Calls wait in order when the tenant would refuse them, as its rate-limit headers show.
//   - An organization is found by the tenant's id in its metadata, and its name is unique at Auth0: so a create whose answer
//     was lost, and two concurrent creates, result in one organization.
//
// The package auth0test is a simulated tenant.
package auth0

import (
	"context"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
)

var (
	_ identity.Provider            = (*Client)(nil)
	_ identity.Lister              = (*Client)(nil)
	_ identity.MembershipManager   = (*Client)(nil)
	_ identity.AccountLinker       = (*Client)(nil)
	_ identity.Verifier            = (*Client)(nil)
	_ identity.SessionOpener       = (*Client)(nil)
	_ identity.PasswordResetLinker = (*Client)(nil)
	_ identity.Passwordless        = (*Client)(nil)

	_ identity.PasswordSetter     = (*Client)(nil)
	_ identity.OrganizationLister = (*Client)(nil)
)

// Client is a client of one tenant. It is safe for use by many goroutines.
type Client struct {
	cfg     Config
	remote  *remote.Client
	limits  *limits
	idCache *idCache
}

// New returns a client. It sends nothing: see [Client.Warm].
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, limits: newLimits(cfg.Now, cfg.MaxWait), idCache: newIDCache()}
	var err error
	c.remote, err = remote.New(remote.Config{
		Name: "auth0", BaseURL: cfg.BaseURL, Secrets: []secret.String{cfg.ClientSecret},
		Token: remote.ClientCredentialsGrant(remote.Credentials{
			URL: routeToken, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, CredentialsInForm: true,
			Audience: cfg.ManagementAudience, RefusalHint: cfg.tokenHint,
		}),
		RetryAfter: c.limits.untilReset, Gate: c.limits,
		LogHeaders: map[string]string{
			"request_id": headerRequestID, "rate_limit": headerLimit, "rate_remaining": headerRemaining,
		},
		Timeout: cfg.Timeout, MaxWait: cfg.MaxWait, Now: cfg.Now, Logger: cfg.Logger, Transport: cfg.Transport,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Warm fetches the access token and leaves a connection open, so that the first sign-up does not wait for them. Its
// error shows early that the tenant cannot be reached or refuses the credentials; the client may be used nevertheless.
func (c *Client) Warm(ctx context.Context) error { return c.remote.Warm(ctx) }
