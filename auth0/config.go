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
)

// How people log in.
const (
	// LoginPassword is with the password that they chose with us.
	LoginPassword = "password"
	// LoginEmail is with a code that Auth0 mails them each time. Nobody has a password.
	LoginEmail = "email"
	// LoginTicket is with a password that they choose at Auth0, by a link ([Client.PasswordResetLink]). Until then there is one
	// that nobody knows.
	LoginTicket = "ticket"
)

// Config says which tenant to talk to, and as whom.
type Config struct {
	// BaseURL is the tenant, such as https://lincoln.eu.auth0.com, without a closing slash. Required.
	BaseURL string
	// ClientID is of a machine-to-machine application that has [Config.Scopes]. Required.
	ClientID string
	// ClientSecret is that application's. Required.
	ClientSecret secret.String
	// ManagementAudience identifies the Management API; with a custom domain as BaseURL it is still the tenant's own
	// domain's. Defaults to BaseURL + "/api/v2/".
	ManagementAudience string
	// Connection is the name of the database connection that users are made in. Defaults to
	// "Username-Password-Authentication", which every new tenant has.
	Connection string
	// Login is how people log in: [LoginPassword], [LoginEmail] or [LoginTicket]. Defaults to LoginPassword.
	Login string
	// PasswordlessConnection is the name of the connection that users are made in with LoginEmail. Defaults to "email",
	// which is how Auth0 calls the only one of its kind.
	PasswordlessConnection string
	// OwnMails keeps Auth0 from sending its verification mail to a new user, since somebody else sends one. Defaults to
	// leaving that to the tenant's settings.
	OwnMails bool
	// OwnerRole, AdminRole and MemberRole are the names of the Auth0 roles that go with [identity.RoleOwner] and so on.
	// Default to none: nobody gets a role.
	OwnerRole, AdminRole, MemberRole string
	// Organizations gives each school an Auth0 organization, and roles are given within it. Defaults to none: roles are
	// given for the whole tenant.
	Organizations bool
	// Audience identifies the service's own API, which sessions are for. Defaults to none: no sessions.
	Audience string
	// CustomDomain names the domain that mails and links to a new user speak of; a tenant with several verified custom domains
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

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.ManagementAudience = cmp.Or(c.ManagementAudience, c.BaseURL+managementPath)
	c.Connection = cmp.Or(c.Connection, "Username-Password-Authentication")
	c.Login = cmp.Or(c.Login, LoginPassword)
	c.PasswordlessConnection = cmp.Or(c.PasswordlessConnection, "email")
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

// connection is the name of the one that users are made in.
func (c Config) connection() string {
	if c.Login == LoginEmail {
		return c.PasswordlessConnection
	}
	return c.Connection
}

// idPrefix is what Auth0 puts before the ids of users there.
func (c Config) idPrefix() string {
	if c.Login == LoginEmail {
		return prefixEmail
	}
	return prefixDatabase
}

// roles are the names that are set, by the roles of package identity.
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

// Scopes are the rights at the Management API that the application needs for all that is set up. The right to change
// users is for marking an e-mail as verified and for adopting a login, which nothing here says whether anybody asks for.
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
