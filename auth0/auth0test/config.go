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
	// BaseURL is the issuer without its closing slash. Defaults to the listener's URL in Listen and Start; New needs it.
	BaseURL string
	// ClientID is the only application of the tenant, a machine-to-machine one. Defaults to "homeroom-dev".
	ClientID string
	// ClientSecret is that application's secret. Defaults to "homeroom-dev-secret", for loopback only.
	ClientSecret string
	// Audience identifies our own API, for tokens of people. Defaults to "https://api.homeroom.test".
	Audience string
	// ManagementAudience identifies the Management API. Defaults to BaseURL + "/api/v2/".
	ManagementAudience string
	// Scopes are the application's scopes at the Management API; an empty, non-nil slice grants nothing, which is
	// still a grant. Defaults to all that the simulator has calls for.
	Scopes []string
	// NoClientGrant takes away the application's access to the Management API. Defaults to false.
	NoClientGrant bool
	// GrantTypes are the application's grant types at /oauth/token. Defaults to client_credentials, password and
	// password-realm.
	GrantTypes []string
	// TokenLifetime is the lifetime of access tokens. Defaults to 24 hours.
	TokenLifetime time.Duration
	// Connections are where users live; the first is where people log in. Defaults to a database,
	// "Username-Password-Authentication", policy "good", and the passwordless connection "email".
	Connections []Connection
	// Applications are those that people log in to with a browser. Defaults to DefaultApplication.
	Applications []Application
	// Social are the names of the connections whose accounts belong to another service. Defaults to google-oauth2 and github.
	Social []string
	// RateLimit is of the Management API as a whole. Defaults to none: the headers then tell of a large one.
	RateLimit RateLimit
	// TokenRateLimit is of /oauth/token. Defaults to none.
	TokenRateLimit RateLimit
	// TokenQuota is how many client_credentials tokens an hour (UTC) gives. Defaults to 0, no quota.
	TokenQuota int
	// SearchDelay is how long what was done to a user is not yet seen by GET /api/v2/users, the only call that is
	// eventually consistent: a new one is not found, a changed one is shown as it was, a removed one still is there.
	// Defaults to 0.
	SearchDelay time.Duration
	// MemberDelay is how long a list of an organization's members is behind. Nothing else about organizations is.
	// Defaults to 0.
	MemberDelay time.Duration
	// Roles are the names of those that a new tenant has; an empty, non-nil slice is none. Defaults to "owner", "admin" and
	// "member".
	Roles []string
	// LoginURL is the application's page for people who follow an invitation. Defaults to https://app.homeroom.test/login.
	LoginURL string
	// MFA asks everybody who logs in with a password for a second factor, which nobody has. Defaults to false.
	MFA bool
	// CustomDomainConflict makes the tenant one with several custom domains, which refuses to create a user unless the
	// request names one in its auth0-custom-domain header. Defaults to false.
	CustomDomainConflict bool
	// StateFile, when set, keeps users, roles, organizations and signing keys, so that a restart finds them. It holds salted hashes, no
	// passwords, and is readable by its owner only. Defaults to none.
	StateFile string
	// Now is the tenant's clock. Defaults to time.Now.
	Now func() time.Time
	// Logger gets one debug line per call, never a body. Defaults to none.
	Logger *slog.Logger
}

// Connection is a place where users live. An e-mail is unique within one, not within the tenant.
type Connection struct {
	// Name is its name in requests.
	Name string
	// Strategy is "auth0" for a database and "email" for passwordless logins; anything else takes no users through the
	// API. Defaults to "auth0".
	Strategy string
	// Disabled makes it refuse new users. Defaults to false.
	Disabled bool
	// RequiresUsername allows (and demands) usernames. Defaults to false.
	RequiresUsername bool
	// Policy is the strength passwords must have. Defaults to PolicyGood.
	Policy Policy
	// MinLength overrides the policy's least length. Defaults to the policy's.
	MinLength int
	// Dictionary refuses common passwords. Defaults to false.
	Dictionary bool
	// DictionaryWords are refused besides the common ones, in any letter case. Defaults to none.
	DictionaryWords []string
	// NoUserInfo refuses passwords that hold the user's name or e-mail. Defaults to false.
	NoUserInfo bool
	// History is how many former passwords are refused, up to 24. Defaults to 0.
	History int
	// NoSignup refuses public sign-ups. Defaults to false.
	NoSignup bool
	// RejectLong refuses passwords over 72 bytes. Defaults to false: bcrypt silently ignores what is beyond.
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

// allScopes are those that some call asks for.
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
