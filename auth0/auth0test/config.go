package auth0test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Config is the configuration of the tenant. The zero value is usable.
type Config struct {
	// BaseURL is the issuer without the slash at its end. Defaults to the listener's URL in Listen and Start; New needs
	// it.
	BaseURL string
	// ClientID is the id of the only machine-to-machine application of the tenant. Defaults to "homeroom-dev".
	ClientID string
	// ClientSecret is that application's secret. Defaults to "homeroom-dev-secret", for loopback only.
	ClientSecret string
	// Audience identifies our own API, for tokens of people. Defaults to "https://api.homeroom.test".
	Audience string
	// ManagementAudience identifies the Management API. Defaults to BaseURL + "/api/v2/".
	ManagementAudience string
	// Scopes are the application's scopes at the Management API; an empty, non-nil slice grants nothing, but still is a
	// grant. Defaults to all that the simulator's calls use.
	Scopes []string
	// NoClientGrant removes the application's access to the Management API. Defaults to false.
	NoClientGrant bool
	// GrantTypes are the application's grant types at /oauth/token. Defaults to client_credentials, password and
	// password-realm.
	GrantTypes []string
	// TokenLifetime is the lifetime of access tokens. Defaults to 24 hours.
	TokenLifetime time.Duration
	// Connections are the connections of users; people log in to the first. Defaults to a database,
	// "Username-Password-Authentication", policy "good", and the passwordless connection "email".
	Connections []Connection
	// Applications are those to which people log in with a browser. Defaults to DefaultApplication.
	Applications []Application
	// Social are the names of the connections whose accounts belong to another service. Defaults to google-oauth2 and github.
	Social []string
	// RateLimit is the limit of the whole Management API. Defaults to none: the headers then contain a large one.
	RateLimit RateLimit
	// TokenRateLimit is the limit of /oauth/token. Defaults to none.
	TokenRateLimit RateLimit
	// TokenQuota is how many client_credentials tokens are issued in an hour (UTC). Defaults to 0, no quota.
	TokenQuota int
	// SearchDelay is the delay of GET /api/v2/users, the only call that is eventually consistent: it does not find a
	// new user, shows a changed one in the old state, and still shows a removed one. Defaults to 0.
	SearchDelay time.Duration
	// MemberDelay is the delay of the list of an organization's members. Nothing else about organizations is delayed.
	// Defaults to 0.
	MemberDelay time.Duration
	// Roles are the names of the roles of a new tenant; an empty, non-nil slice means none. Defaults to "owner",
	// "admin" and "member".
	Roles []string
	// LoginURL is the application's page for people who follow an invitation. Defaults to https://app.homeroom.test/login.
	LoginURL string
	// MFA requires a second factor for every login with a password, and nobody has one. Defaults to false.
	MFA bool
	// CustomDomainConflict makes the tenant one with several custom domains, which refuses to create a user unless the
	// request names one in its auth0-custom-domain header. Defaults to false.
	CustomDomainConflict bool
	// StateFile, if not empty, stores users, roles, organizations and signing keys for a restart. It contains salted
	// hashes, no passwords, and only its owner can read it. Defaults to none.
	StateFile string
	// Now is the tenant's clock. Defaults to time.Now.
	Now func() time.Time
	// Logger logs one debug line per call, never a body. Defaults to none.
	Logger *slog.Logger
}

// Connection is a connection of users. An e-mail is unique within one, not within the tenant.
type Connection struct {
	// Name is its name in requests.
	Name string
	// Strategy is "auth0" for a database and "email" for passwordless logins; any other takes no users through the API.
	// Defaults to "auth0".
	Strategy string
	// Disabled makes it refuse new users. Defaults to false.
	Disabled bool
	// RequiresUsername allows (and demands) usernames. Defaults to false.
	RequiresUsername bool
	// Policy is the required strength of passwords. Defaults to PolicyGood.
	Policy Policy
	// MinLength overrides the policy's minimum length. Defaults to the policy's.
	MinLength int
	// Dictionary refuses common passwords. Defaults to false.
	Dictionary bool
	// DictionaryWords are refused in addition to the common passwords, in any letter case. Defaults to none.
	DictionaryWords []string
	// NoUserInfo refuses passwords that contain the user's name or e-mail. Defaults to false.
	NoUserInfo bool
	// History is how many former passwords are refused, up to 24. Defaults to 0.
	History int
	// NoSignup refuses public sign-ups. Defaults to false.
	NoSignup bool
	// RejectLong refuses passwords over 72 bytes. Defaults to false: bcrypt silently ignores the rest.
	RejectLong bool
}

// DefaultConnection is the name of the database that every new Auth0 tenant has.
const DefaultConnection = "Username-Password-Authentication"

const (
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
	grantPasswordRealm     = "http://auth0.com/oauth/grant-type/password-realm"

	strategyDatabase = "auth0"
)

// allScopes are the scopes that the simulator's calls use.
var allScopes = []string{
	"read:users", "update:users", "delete:users", "create:users",
	"read:users_app_metadata", "update:users_app_metadata", "delete:users_app_metadata", "create:users_app_metadata",
	"create:user_tickets", "read:connections", "create:connections", "update:connections", "delete:connections", "read:roles", "create:roles", "delete:roles",
	"read:role_members", "create:role_members", "delete:role_members",
	"read:organizations", "create:organizations", "update:organizations", "delete:organizations",
	"read:organization_members", "create:organization_members", "delete:organization_members",
	"read:organization_member_roles", "create:organization_member_roles", "delete:organization_member_roles",
	"read:organization_connections", "create:organization_connections", "delete:organization_connections",
	"read:organization_invitations", "create:organization_invitations", "delete:organization_invitations",
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	c.ClientID = cmp.Or(c.ClientID, "homeroom-dev")
	c.ClientSecret = cmp.Or(c.ClientSecret, "homeroom-dev-secret")
	c.Audience = cmp.Or(c.Audience, "https://api.homeroom.test")
	c.ManagementAudience = cmp.Or(c.ManagementAudience, c.BaseURL+"/api/v2/")
	c.TokenLifetime = cmp.Or(c.TokenLifetime, 24*time.Hour)
	if c.Scopes == nil {
		c.Scopes = slices.Clone(allScopes)
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{grantClientCredentials, grantPassword, grantPasswordRealm}
	}
	if c.Connections == nil {
		c.Connections = []Connection{{Name: DefaultConnection}, {Name: strategyEmail, Strategy: strategyEmail}}
	}
	if c.Applications == nil {
		c.Applications = []Application{DefaultApplication()}
	}
	if c.Social == nil {
		c.Social = []string{"google-oauth2", "github"}
	}
	c.Connections = slices.Clone(c.Connections)
	for i := range c.Connections {
		c.Connections[i].Strategy = cmp.Or(c.Connections[i].Strategy, strategyDatabase)
		c.Connections[i].Policy = cmp.Or(c.Connections[i].Policy, PolicyGood)
	}
	if c.Roles == nil {
		c.Roles = []string{"owner", "admin", "member"}
	}
	c.LoginURL = cmp.Or(c.LoginURL, "https://app.homeroom.test/login")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if c.BaseURL == "" {
		return errors.New("auth0test: BaseURL is needed, as it is the issuer; Listen and Start set it")
	}
	for _, conn := range c.Connections {
		if conn.Name == "" {
			return errors.New("auth0test: a connection has no name")
		}
		if _, ok := policies[conn.Policy]; !ok {
			return fmt.Errorf("auth0test: connection %s: unknown password policy %q", conn.Name, conn.Policy)
		}
	}
	return nil
}

func (c Config) issuer() string { return c.BaseURL + "/" }
