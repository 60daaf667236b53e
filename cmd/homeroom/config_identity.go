package main

import (
	"fmt"
	"slices"
	"strings"

	"homeroom/auth0"
	"homeroom/beyondidentity"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/scim"
)

// IdentityConfig is the part of the environment that is about logins: which provider there is, and what only one of them
// needs.
type IdentityConfig struct {
	IdentityProvider string `env:"IDENTITY_PROVIDER" envDefault:"auth0" help:"who keeps the logins: auth0, scim or beyondidentity"`
	TokenIssuer      string `env:"HOMEROOM_TOKEN_ISSUER" help:"who signs the access tokens of operators and users, exactly as their claim iss says; Auth0 when empty"`
	TokenKeysURL     string `env:"HOMEROOM_TOKEN_KEYS_URL" help:"where the issuer publishes its keys (JWKS); .well-known/jwks.json below the issuer when empty"`
	TokenAudience    string `env:"HOMEROOM_TOKEN_AUDIENCE" help:"the audience of the access tokens; $AUTH0_AUDIENCE when empty"`

	Auth0Login                  string `env:"AUTH0_LOGIN" envDefault:"password" help:"how people log in: password; email, with a code that Auth0 mails; ticket, with a password that they choose by a link in a mail"`
	Auth0PasswordlessConnection string `env:"AUTH0_PASSWORDLESS_CONNECTION" envDefault:"email" help:"the passwordless connection that users are made in with AUTH0_LOGIN=email"`
	Auth0OwnerRole              string `env:"AUTH0_OWNER_ROLE" help:"name of the Auth0 role of whoever signs a school up; none when empty"`
	Auth0AdminRole              string `env:"AUTH0_ADMIN_ROLE" help:"name of the Auth0 role of a school's admins; none when empty"`
	Auth0MemberRole             string `env:"AUTH0_MEMBER_ROLE" help:"name of the Auth0 role of a school's other people; none when empty"`
	Auth0Organizations          bool   `env:"AUTH0_ORGANIZATIONS" envDefault:"false" help:"gives each school an Auth0 organization, with its people as members"`

	SCIMBaseURL          string        `env:"SCIM_BASE_URL" help:"the SCIM 2.0 server, such as https://api.asgardeo.io/t/lincoln"`
	SCIMTokenURL         string        `env:"SCIM_TOKEN_URL" help:"its OAuth token endpoint; $SCIM_BASE_URL/oauth2/token when empty"`
	SCIMClientID         string        `env:"SCIM_CLIENT_ID" help:"the application that may manage users, by the client credentials grant"`
	SCIMClientSecret     secret.String `env:"SCIM_CLIENT_SECRET" help:"its secret"`
	SCIMToken            secret.String `env:"SCIM_TOKEN" help:"a bearer token that does not end, for servers that want one instead of a client"`
	SCIMScope            string        `env:"SCIM_SCOPE" help:"what the token is asked to be good for; what is needed at Asgardeo when empty"`
	SCIMUserNamePrefix   string        `env:"SCIM_USERNAME_PREFIX" help:"what stands before the e-mail in user names, such as DEFAULT/ at Asgardeo"`
	SCIMUsersPath        string        `env:"SCIM_USERS_PATH" help:"where users are, below the base URL; /scim2/Users when empty"`
	SCIMRolesPath        string        `env:"SCIM_ROLES_PATH" help:"where roles are; /scim2/v2/Roles when empty. One that ends in /Groups has groups stand for roles"`
	SCIMApplicationsPath string        `env:"SCIM_APPLICATIONS_PATH" help:"where applications are; /api/server/v1/applications when empty"`
	SCIMApplication      string        `env:"SCIM_APPLICATION" help:"name of the application that the roles belong to; none when empty"`
	SCIMAdminRole        string        `env:"SCIM_ADMIN_ROLE" help:"display name of the role of owners and admins; none when empty"`
	SCIMMemberRole       string        `env:"SCIM_MEMBER_ROLE" help:"display name of the role of other people; none when empty"`

	BeyondIdentityBaseURL      string        `env:"BEYOND_IDENTITY_BASE_URL" help:"the region's API; https://api.byndid.com when empty"`
	BeyondIdentityAPIToken     secret.String `env:"BEYOND_IDENTITY_API_TOKEN" help:"an API token from the Admin Console"`
	BeyondIdentityClientID     string        `env:"BEYOND_IDENTITY_CLIENT_ID" help:"instead of an API token: a client from the Admin Console"`
	BeyondIdentityClientSecret secret.String `env:"BEYOND_IDENTITY_CLIENT_SECRET" help:"its secret"`
	BeyondIdentityVersion      string        `env:"BEYOND_IDENTITY_VERSION" help:"v1 or v2; v1 with an API token and v2 with a client when empty"`
}

// requireIdentity checks what only the service needs, and not the commands that work on databases alone.
func (c config) requireIdentity() error {
	needed := map[string]string{}
	switch c.IdentityProvider {
	case "auth0":
		needed = map[string]string{
			"AUTH0_DOMAIN": c.Auth0BaseURL, "AUTH0_CLIENT_ID": c.Auth0ClientID, "AUTH0_CLIENT_SECRET": c.Auth0ClientSecret.Reveal(),
		}
	case "scim":
		needed["SCIM_BASE_URL"] = c.SCIMBaseURL
		if c.SCIMToken == "" {
			needed["SCIM_CLIENT_ID"], needed["SCIM_CLIENT_SECRET"] = c.SCIMClientID, c.SCIMClientSecret.Reveal()
		}
	case "beyondidentity":
		if c.BeyondIdentityClientID == "" {
			needed["BEYOND_IDENTITY_API_TOKEN"] = c.BeyondIdentityAPIToken.Reveal()
		} else {
			needed["BEYOND_IDENTITY_CLIENT_SECRET"] = c.BeyondIdentityClientSecret.Reveal()
		}
	default:
		return fmt.Errorf("IDENTITY_PROVIDER is %q: use auth0, scim or beyondidentity", c.IdentityProvider)
	}
	if c.TokenIssuer == "" && c.Auth0BaseURL == "" {
		needed["HOMEROOM_TOKEN_ISSUER"] = ""
	}
	if c.audience() == "" && c.IdentityProvider == "auth0" {
		needed["AUTH0_AUDIENCE"] = ""
	} else if c.audience() == "" {
		needed["HOMEROOM_TOKEN_AUDIENCE"] = ""
	}
	if c.choosesLater() {
		needed["HOMEROOM_SMTP_URL"] = c.SMTPURL.Reveal()
	}
	var missing []string
	for name, value := range needed {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("set %s (homeroom help config tells what they are)", strings.Join(missing, ", "))
	}
	return nil
}

// issuer, keysURL and audience are what access tokens are checked against.
func (c config) issuer() string {
	if c.TokenIssuer != "" {
		return c.TokenIssuer
	}
	return c.Auth0BaseURL + "/"
}

func (c config) keysURL() string {
	if c.TokenKeysURL != "" {
		return c.TokenKeysURL
	}
	return strings.TrimRight(c.issuer(), "/") + "/.well-known/jwks.json"
}

func (c config) audience() string { return or(c.TokenAudience, c.Auth0Audience) }

// newProvider makes the client of the identity provider.
func (a *app) newProvider() (identity.Provider, error) {
	c := a.cfg
	switch c.IdentityProvider {
	case "scim":
		return scim.New(scim.Config{
			BaseURL: c.SCIMBaseURL, TokenURL: c.SCIMTokenURL, ClientID: c.SCIMClientID, ClientSecret: c.SCIMClientSecret, Scope: c.SCIMScope,
			Token: c.SCIMToken, UserNamePrefix: c.SCIMUserNamePrefix, UsersPath: c.SCIMUsersPath, RolesPath: c.SCIMRolesPath,
			ApplicationsPath: c.SCIMApplicationsPath, Application: c.SCIMApplication, AdminRole: c.SCIMAdminRole,
			MemberRole: c.SCIMMemberRole, Logger: a.logger,
		})
	case "beyondidentity":
		return beyondidentity.New(beyondidentity.Config{
			BaseURL: c.BeyondIdentityBaseURL, Version: beyondidentity.Version(c.BeyondIdentityVersion), APIToken: c.BeyondIdentityAPIToken,
			ClientID: c.BeyondIdentityClientID, ClientSecret: c.BeyondIdentityClientSecret, Logger: a.logger,
		})
	}
	return auth0.New(auth0.Config{
		BaseURL: c.Auth0BaseURL, ClientID: c.Auth0ClientID, ClientSecret: c.Auth0ClientSecret,
		ManagementAudience: c.Auth0ManagementAudience, Connection: c.Auth0Connection, CustomDomain: c.Auth0CustomDomain,
		Login: c.Auth0Login, PasswordlessConnection: c.Auth0PasswordlessConnection, OwnMails: c.verifyFirst(),
		OwnerRole: c.Auth0OwnerRole, AdminRole: c.Auth0AdminRole, MemberRole: c.Auth0MemberRole, Organizations: c.Auth0Organizations,
		Audience: c.Auth0Audience, Logger: a.logger,
	})
}
