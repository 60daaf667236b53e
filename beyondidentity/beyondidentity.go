// Package beyondidentity creates and finds users at Beyond Identity, who log in with passkeys and have no passwords.
//
// [Client] implements [identity.Provider]. It is [identity.Passwordless]: Beyond Identity sends every new user a mail
// with which they enrol a device, and nobody can log in before. It is [identity.MetadataUnsupported]: users have no
// metadata. Our id is a user's external_id, which is unique within the tenant. The client searches for it when the
// outcome of a create is unknown. A create is never repeated without that search, as each one sends a mail.
//
// The package bitest is a simulated tenant.
package beyondidentity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
	"homeroom/internal/setting"
)

var (
	_ identity.Provider            = (*Client)(nil)
	_ identity.Passwordless        = (*Client)(nil)
	_ identity.MetadataUnsupported = (*Client)(nil)
)

// Version is the version of the API that creates users.
type Version string

const (
	// V1 is the management API of the sign-up guide.
	V1 Version = "v1"
	// V2 is the Secure Workforce API.
	V2 Version = "v2"
)

// Config is the client's credentials, which identify the tenant, and its options.
type Config struct {
	// BaseURL is the address of the region: https://api.byndid.com or https://api-eu.byndid.com. Defaults to the former.
	BaseURL string
	// Version is the version of the API for creates. Defaults to V1 with an APIToken and V2 with a client.
	Version Version
	// APIToken is a bearer token from the Admin Console. Required unless there is a client.
	APIToken secret.String
	// ClientID and ClientSecret are those of a client from the Admin Console (API Access). Its tokens are fetched
	// automatically. Required unless there is an APIToken.
	ClientID     string
	ClientSecret secret.String
	// Timeout limits each exchange with the API, from dialling to the last byte of the answer. Defaults to 10 s.
	Timeout time.Duration
	// MaxWait is how long a call may wait if the API has asked for a pause. Defaults to 10 s.
	MaxWait time.Duration
	// Now is the clock for the expiry of tokens and pauses. Defaults to time.Now.
	Now func() time.Time
	// Settings names the settings of these fields in hints for operators. Defaults to the fields' names.
	Settings setting.Names
	// Logger logs one debug line per exchange and warnings about the token; never a body. Defaults to none.
	Logger *slog.Logger
	// Transport sends the requests. Defaults to one with enough kept-alive connections for many parallel calls.
	Transport http.RoundTripper
}

// Client is a client of one tenant. It is safe for use by many goroutines.
type Client struct {
	cfg    Config
	remote *remote.Client
}

// New returns a client. It sends nothing: see [Client.Warm].
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	token := remote.StaticToken(cfg.APIToken)
	if cfg.APIToken == "" {
		token = remote.ClientCredentialsGrant(remote.Credentials{
			URL: routeToken, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, RefusalHint: cfg.tokenHint,
		})
	}
	client, err := remote.New(remote.Config{
		Name: "beyond identity", BaseURL: cfg.BaseURL, Token: token, Secrets: []secret.String{cfg.APIToken, cfg.ClientSecret},
		RetryAfter: rateLimitReset, Timeout: cfg.Timeout, MaxWait: cfg.MaxWait, Now: cfg.Now, Logger: cfg.Logger,
		Transport: cfg.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("create the Beyond Identity client: %w", err)
	}
	return &Client{cfg: cfg, remote: client}, nil
}

// Warm fetches the access token, so that the first sign-up need not wait for it. Its error shows early that the API
// cannot be reached or refuses the credentials; the client may be used nevertheless.
func (c *Client) Warm(ctx context.Context) error { return c.remote.Warm(ctx) }

// Passwordless implements [identity.Passwordless].
func (*Client) Passwordless() bool { return true }

// MetadataUnsupported implements [identity.MetadataUnsupported].
func (*Client) MetadataUnsupported() bool { return true }

func (c Config) withDefaults() Config {
	c.BaseURL = cmp.Or(strings.TrimRight(c.BaseURL, "/"), "https://api.byndid.com")
	if c.Version == "" {
		c.Version = V2
		if c.APIToken != "" {
			c.Version = V1
		}
	}
	return c
}

func (c Config) validate() error {
	if err := remote.CheckURL(c.BaseURL); err != nil {
		return fmt.Errorf("beyondidentity: BaseURL %w", err)
	}
	if c.Version != V1 && c.Version != V2 {
		return fmt.Errorf("beyondidentity: the version must be %q or %q, not %q", V1, V2, c.Version)
	}
	client := c.ClientID != "" && c.ClientSecret != ""
	if client == (c.APIToken != "") || !client && (c.ClientID != "" || c.ClientSecret != "") {
		return errors.New("beyondidentity: either an APIToken or a ClientID and a ClientSecret is required")
	}
	return nil
}

// rateLimitReset returns the time until the limit ends. The header contains seconds, not a time.
func rateLimitReset(ans remote.Answer) time.Duration {
	seconds, err := strconv.ParseInt(ans.Header.Get(headerReset), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
