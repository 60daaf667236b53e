// Package scim creates and finds users at a SCIM 2.0 server (RFC 7643, RFC 7644), above all Asgardeo.
//
// [Client] implements [identity.Provider], [identity.MembershipManager] and [identity.AccountLinker]. It differs from
// other providers:
//
//   - The server chooses its own ids. Our id is the user's externalId, for which the client searches when the outcome of a create
//     is unknown. A create is never repeated without that search.
//   - SCIM has no attribute for metadata, so none is stored: the client is [identity.MetadataUnsupported].
//   - Roles are those of Asgardeo (/scim2/v2/Roles), of an application or of the whole organization. At a server without roles, a
//     group can be used as a role.
//   - Results of a filter are compared with the requested value, since servers evaluate filters differently.
//
// The package scimtest is a simulated server.
package scim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
	"homeroom/internal/setting"
)

var (
	_ identity.Provider            = (*Client)(nil)
	_ identity.MembershipManager   = (*Client)(nil)
	_ identity.AccountLinker       = (*Client)(nil)
	_ identity.MetadataUnsupported = (*Client)(nil)

	_ identity.PasswordSetter = (*Client)(nil)
)

// Config is the server and the client's credentials and options.
type Config struct {
	// BaseURL is the base of the paths below, such as https://api.asgardeo.io/t/lincoln. Required.
	BaseURL string
	// TokenURL is the OAuth token endpoint. Defaults to BaseURL + "/oauth2/token".
	TokenURL string
	// ClientID is the id of an application that may use the client credentials grant. Required unless Token is set.
	ClientID string
	// ClientSecret is the secret of that application. Required unless Token is set.
	ClientSecret secret.String
	// Scope is the requested scope of the access token. Defaults to the scopes of Asgardeo that the client needs.
	Scope string
	// Token is a bearer token that does not expire, for servers that use one. Defaults to none.
	Token secret.String
	// UserNamePrefix is put before the e-mail in a user name, such as "DEFAULT/": Asgardeo's user store. Defaults to none.
	UserNamePrefix string
	// UsersPath is the path of users. Defaults to "/scim2/Users".
	UsersPath string
	// RolesPath is the path of roles. A path that ends in "/Groups" uses groups as roles. Defaults to
	// "/scim2/v2/Roles".
	RolesPath string
	// Application is the name of the application to which the roles belong. Defaults to none: the roles are then found
	// by their names alone.
	Application string
	// AdminRole is the display name of the role of owners and admins. Defaults to none.
	AdminRole string
	// MemberRole is the display name of the role of members. Defaults to none.
	MemberRole string
	// Timeout limits each exchange with the server, from dialling to the last byte of the answer. Defaults to 10 s.
	Timeout time.Duration
	// MaxWait is how long a call may wait if the server has asked for a pause. Defaults to 10 s.
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

// Client is a client of one server. It is safe for use by many goroutines.
type Client struct {
	cfg    Config
	remote *remote.Client
	// membersAttribute is the attribute of a role with its members, rolesAttribute the attribute of a user with the roles.
	membersAttribute, rolesAttribute string

	assignments singleflight.Group

	mu    sync.Mutex
	roles map[string]string // ids by display name; nil until they are looked up
}

// New returns a client. It sends nothing: see [Client.Warm] and [Client.Prepare].
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, membersAttribute: "users", rolesAttribute: "roles"}
	if strings.HasSuffix(cfg.RolesPath, "/Groups") {
		c.membersAttribute, c.rolesAttribute = "members", "groups"
	}
	token := remote.StaticToken(cfg.Token)
	if cfg.Token == "" {
		token = remote.ClientCredentialsGrant(remote.Credentials{
			URL: cfg.TokenURL, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, Scope: cfg.Scope, RefusalHint: cfg.tokenHint,
		})
	}
	var err error
	c.remote, err = remote.New(remote.Config{
		Name: "scim", BaseURL: cfg.BaseURL, Token: token, Secrets: []secret.String{cfg.ClientSecret, cfg.Token},
		Timeout: cfg.Timeout, MaxWait: cfg.MaxWait, Now: cfg.Now, Logger: cfg.Logger, Transport: cfg.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("create the SCIM client: %w", err)
	}
	return c, nil
}

// Warm fetches the access token, so that the first sign-up need not wait for it. Its error shows early that the server
// cannot be reached or refuses the credentials; the client may be used nevertheless.
func (c *Client) Warm(ctx context.Context) error { return c.remote.Warm(ctx) }

// MetadataUnsupported implements [identity.MetadataUnsupported]: SCIM has no attribute for metadata.
func (*Client) MetadataUnsupported() bool { return true }

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.TokenURL = cmp.Or(c.TokenURL, c.BaseURL+tokenPath)
	c.UsersPath = cmp.Or(strings.TrimRight(c.UsersPath, "/"), usersPath)
	c.RolesPath = cmp.Or(strings.TrimRight(c.RolesPath, "/"), rolesPath)
	if c.Scope == "" {
		c.Scope = strings.Join([]string{
			scopeCreate, scopeList, scopeView, scopeUpdate, scopeDelete, scopeRoles, scopeRoleUpdate, scopeApplications,
		}, " ")
	}
	return c
}

func (c Config) validate() error {
	if err := remote.CheckURL(c.BaseURL); err != nil {
		return fmt.Errorf("scim: BaseURL %w", err)
	}
	if err := remote.CheckURL(c.TokenURL); err != nil {
		return fmt.Errorf("scim: TokenURL %w", err)
	}
	if c.Token == "" && (c.ClientID == "" || c.ClientSecret == "") {
		return errors.New("scim: ClientID and ClientSecret are required, or a Token")
	}
	for _, path := range []string{c.UsersPath, c.RolesPath} {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#{}") {
			return fmt.Errorf("scim: the path %q must begin with a slash and have no query", path)
		}
	}
	if c.Application != "" && c.AdminRole == "" && c.MemberRole == "" {
		return errors.New("scim: Application needs AdminRole or MemberRole")
	}
	return nil
}
