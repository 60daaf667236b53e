package auth0

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"homeroom/identity"
	"homeroom/internal/remote"
	"homeroom/internal/secret"
	"homeroom/internal/setting"
)

// The ways to log in.
const (
	// LoginPassword is a login with a password that the person chose in Homeroom.
	LoginPassword = "password"
	// LoginEmail is a login with a code that Auth0 mails each time. Nobody has a password.
	LoginEmail = "email"
	// LoginTicket is a login with a password that the person chooses at Auth0, by a link ([Client.PasswordResetLink]).
	// Until then it is random and nobody knows it.
	LoginTicket = "ticket"
)

// Config is the tenant and the client's credentials and options.
type Config struct {
	// BaseURL is the tenant, such as https://lincoln.eu.auth0.com, without a slash at the end. Required.
	BaseURL string
	// ClientID is the id of a machine-to-machine application that has [Config.Scopes]. Required.
	ClientID string
	// ClientSecret is the secret of that application. Required.
	ClientSecret secret.String
	// ManagementAudience identifies the Management API. With a custom domain as BaseURL it is still the one of the
	// tenant's own domain. Defaults to BaseURL + "/api/v2/".
	ManagementAudience string
	// Connection is the name of the database connection of new users. Defaults to
	// "Username-Password-Authentication", which every new tenant has.
	Connection string
	// Login is how people log in: [LoginPassword], [LoginEmail] or [LoginTicket]. Defaults to LoginPassword.
	Login string
	// OwnMails turns off Auth0's verification mail to new users, since Homeroom sends one. Defaults to
	// the tenant's settings.
	OwnMails bool
	// OwnerRole, AdminRole and MemberRole are the names of the Auth0 roles for [identity.RoleOwner] and so on. Default
	// to none: nobody gets a role.
	OwnerRole, AdminRole, MemberRole string
	// Organizations gives each school an Auth0 organization, and roles are given within it. Defaults to none: roles are
	// given for the whole tenant.
	Organizations bool
	// Audience identifies the service's own API, for which sessions are valid. Defaults to none: no sessions.
	Audience string
	// CustomDomain is the domain in mails and links to a new user. A tenant with several verified custom domains
	// refuses to create users without it. Defaults to none.
	CustomDomain string
	// Timeout limits each exchange with the tenant, from dialling to the last byte of the answer. Defaults to 10 s.
	Timeout time.Duration
	// MaxWait is how long a call may wait for the tenant's rate limit. A call that would wait longer, or past its
	// context's deadline, fails at once with a time to wait. Defaults to 10 s.
	MaxWait time.Duration
	// Now is the clock for the expiry of tokens and rate limits. Defaults to time.Now.
	Now func() time.Time
	// Settings names the settings of these fields in hints for operators, and of Domain, the tenant's domain in
	// BaseURL. Defaults to the fields' names.
	Settings setting.Names
	// Logger logs one debug line per exchange and warnings about the token; never a body. Defaults to none.
	Logger *slog.Logger
	// Transport sends the requests. Defaults to one with enough kept-alive connections for many parallel calls.
	Transport http.RoundTripper
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.ManagementAudience = cmp.Or(c.ManagementAudience, c.BaseURL+managementPath)
	c.Connection = cmp.Or(c.Connection, "Username-Password-Authentication")
	c.Login = cmp.Or(c.Login, LoginPassword)
	c.MaxWait = cmp.Or(c.MaxWait, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Path != "" || remote.CheckURL(c.BaseURL) != nil {
		return errors.New("auth0: BaseURL must be an address such as https://tenant.eu.auth0.com")
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		return errors.New("auth0: ClientID and ClientSecret are required")
	}
	if c.Login != LoginPassword && c.Login != LoginEmail && c.Login != LoginTicket {
		return fmt.Errorf("auth0: Login must be %s, %s or %s", LoginPassword, LoginEmail, LoginTicket)
	}
	if c.Timeout < 0 || c.MaxWait < 0 {
		return errors.New("auth0: Timeout and MaxWait must not be negative")
	}
	return nil
}

// connection returns the name of the connection of new users.
func (c Config) connection() string {
	if c.Login == LoginEmail {
		return passwordlessConnection
	}
	return c.Connection
}

// idPrefix returns Auth0's prefix of the ids of users there.
func (c Config) idPrefix() string {
	if c.Login == LoginEmail {
		return prefixEmail
	}
	return prefixDatabase
}

// roleFields are the fields of Config with the names of the Auth0 roles, by the roles of package identity.
var roleFields = map[string]string{
	identity.RoleOwner: "OwnerRole", identity.RoleAdmin: "AdminRole", identity.RoleMember: "MemberRole",
}

// roles returns the configured names, by the roles of package identity.
func (c Config) roles() map[string]string {
	named := map[string]string{
		identity.RoleOwner: c.OwnerRole, identity.RoleAdmin: c.AdminRole, identity.RoleMember: c.MemberRole,
	}
	for role, name := range named {
		if name == "" {
			delete(named, role)
		}
	}
	return named
}

// Scopes returns the scopes of the Management API that the application needs for this configuration. It always includes
// the scope to change users, for verified e-mails and linked accounts, which are configured elsewhere.
func (c Config) Scopes() []string {
	scopes := []string{scopeCreate, scopeRead, scopeDelete, scopeUpdate}
	if c.Login == LoginTicket {
		scopes = append(scopes, scopeTicket)
	}
	if len(c.roles()) > 0 {
		scopes = append(scopes, scopeReadRoles)
	}
	if len(c.roles()) > 0 && !c.Organizations {
		scopes = append(scopes, scopeAddRole, scopeRemoveRole)
	}
	if c.Organizations {
		scopes = append(scopes, scopeConnection, scopeReadOrganization, scopeCreateOrganization, scopeDeleteOrganization,
			scopeReadConnections, scopeEnableConnection, scopeReadMembers, scopeAddMember, scopeRemoveMember)
	}
	if len(c.roles()) > 0 && c.Organizations {
		scopes = append(scopes, scopeAddMemberRole, scopeRemoveMemberRole)
	}
	return slices.Clip(scopes)
}
