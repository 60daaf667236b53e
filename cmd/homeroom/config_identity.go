package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"homeroom/auth0"
	"homeroom/beyondidentity"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/scim"
)

// IdentityConfig holds the settings of the identity provider: which one is used, and what each of them needs.
type IdentityConfig struct {
	IdentityProvider string `env:"HOMEROOM_IDENTITY_PROVIDER" choices:"auth0,scim,beyondidentity" envDefault:"auth0" help:"the identity provider: auth0, scim or beyondidentity"`
	TokenIssuer      string `env:"HOMEROOM_TOKEN_ISSUER" is:"url" help:"the issuer of the access tokens of operators and users, exactly as in their claim iss; Auth0 when empty"`
	TokenKeysURL     string `env:"HOMEROOM_TOKEN_KEYS_URL" is:"url" help:"the URL of the issuer's keys (JWKS); .well-known/jwks.json below the issuer when empty"`
	TokenAudience    string `env:"HOMEROOM_TOKEN_AUDIENCE" help:"the audience of the access tokens; $AUTH0_AUDIENCE when empty"`

	Auth0Login         string `env:"AUTH0_LOGIN" choices:"password,email,ticket" envDefault:"password" help:"how people log in: password; email, with a code that Auth0 mails; ticket, with a password that they choose after following a link in a mail"`
	Auth0OwnerRole     string `env:"AUTH0_OWNER_ROLE" help:"name of the Auth0 role of a school's owner; none when empty"`
	Auth0AdminRole     string `env:"AUTH0_ADMIN_ROLE" help:"name of the Auth0 role of a school's administrators; none when empty"`
	Auth0MemberRole    string `env:"AUTH0_MEMBER_ROLE" help:"name of the Auth0 role of a school's members; none when empty"`
	Auth0Organizations bool   `env:"AUTH0_ORGANIZATIONS" envDefault:"false" help:"gives each school an Auth0 organization, with its people as members"`

	SCIMBaseURL        string        `env:"SCIM_BASE_URL" is:"url" help:"the SCIM 2.0 server, such as https://api.asgardeo.io/t/lincoln"`
	SCIMTokenURL       string        `env:"SCIM_TOKEN_URL" is:"url" help:"its OAuth token endpoint; $SCIM_BASE_URL/oauth2/token when empty"`
	SCIMClientID       string        `env:"SCIM_CLIENT_ID" help:"the client that may manage users, for the client credentials grant"`
	SCIMClientSecret   secret.String `env:"SCIM_CLIENT_SECRET" help:"its secret"`
	SCIMToken          secret.String `env:"SCIM_TOKEN" help:"a bearer token that does not expire, for servers that need one instead of a client"`
	SCIMScope          string        `env:"SCIM_SCOPE" help:"the scopes to request; those that Asgardeo needs when empty"`
	SCIMUserNamePrefix string        `env:"SCIM_USERNAME_PREFIX" help:"prefix of user names before the e-mail, such as DEFAULT/ at Asgardeo"`
	SCIMUsersPath      string        `env:"SCIM_USERS_PATH" is:"path" help:"path of users below the base URL; /scim2/Users when empty"`
	SCIMRolesPath      string        `env:"SCIM_ROLES_PATH" is:"path" help:"path of roles below the base URL; /scim2/v2/Roles when empty. With a path that ends in /Groups, groups are used as roles"`
	SCIMApplication    string        `env:"SCIM_APPLICATION" help:"name of the application that the roles belong to; none when empty"`
	SCIMAdminRole      string        `env:"SCIM_ADMIN_ROLE" help:"display name of the role of owners and administrators; none when empty"`
	SCIMMemberRole     string        `env:"SCIM_MEMBER_ROLE" help:"display name of the role of members; none when empty"`

	BeyondIdentityBaseURL      string        `env:"BEYOND_IDENTITY_BASE_URL" is:"url" help:"the region's API; https://api.byndid.com when empty"`
	BeyondIdentityAPIToken     secret.String `env:"BEYOND_IDENTITY_API_TOKEN" help:"an API token from the Admin Console"`
	BeyondIdentityClientID     string        `env:"BEYOND_IDENTITY_CLIENT_ID" help:"a client from the Admin Console, instead of an API token"`
	BeyondIdentityClientSecret secret.String `env:"BEYOND_IDENTITY_CLIENT_SECRET" help:"its secret"`
	BeyondIdentityVersion      string        `env:"BEYOND_IDENTITY_VERSION" choices:"v1,v2" help:"v1 or v2; v1 with an API token and v2 with a client when empty"`
}

// requireIdentity checks the settings that the service needs, and the commands that only work on databases do not.
func (c config) requireIdentity() error { return problemsError(c.identityProblems()) }

// identityProblems returns which settings of the identity provider are missing.
func (c config) identityProblems() (wrong []problem) {
	need := func(name, value, why string) {
		if value == "" {
			wrong = append(wrong, problem{name, "is not set: " + why})
		}
	}
	why := fmt.Sprintf("HOMEROOM_IDENTITY_PROVIDER=%s needs it", c.IdentityProvider)
	switch c.IdentityProvider {
	case "auth0":
		need("AUTH0_DOMAIN", c.Auth0BaseURL, why+", the Auth0 tenant, such as lincoln.eu.auth0.com")
		need("AUTH0_CLIENT_ID", c.Auth0ClientID, why+", the machine-to-machine application")
		need("AUTH0_CLIENT_SECRET", c.Auth0ClientSecret.Reveal(), why+", that application's secret")
	case "scim":
		need("SCIM_BASE_URL", c.SCIMBaseURL, why)
		if c.SCIMToken == "" {
			need("SCIM_CLIENT_ID", c.SCIMClientID, why+", or SCIM_TOKEN")
			need("SCIM_CLIENT_SECRET", c.SCIMClientSecret.Reveal(), why+", or SCIM_TOKEN")
		}
		if c.SCIMApplication != "" && c.SCIMAdminRole == "" && c.SCIMMemberRole == "" {
			wrong = append(wrong, problem{"SCIM_APPLICATION", "is set, and needs SCIM_ADMIN_ROLE or SCIM_MEMBER_ROLE, a role of that application"})
		}
	case "beyondidentity":
		wrong = append(wrong, c.beyondIdentityProblems()...)
	}
	if c.TokenIssuer == "" && c.Auth0BaseURL == "" && c.IdentityProvider != "auth0" {
		need("HOMEROOM_TOKEN_ISSUER", "", "it is the issuer of the access tokens, exactly as in their claim iss")
	}
	if c.IdentityProvider == "auth0" {
		need("AUTH0_AUDIENCE", c.audience(), "access tokens are checked against it, the identifier of Homeroom's own API at Auth0")
	} else {
		need("HOMEROOM_TOKEN_AUDIENCE", c.audience(), "access tokens are checked against it")
	}
	if c.choosesLater() {
		need("HOMEROOM_SMTP_URL", c.SMTPURL.Reveal(), "AUTH0_LOGIN=ticket needs a mail server, since people choose their passwords after following a link in a mail")
	}
	return wrong
}

// beyondIdentityProblems checks that there is either an API token or a client.
func (c config) beyondIdentityProblems() []problem {
	token, id, secret := c.BeyondIdentityAPIToken != "", c.BeyondIdentityClientID != "", c.BeyondIdentityClientSecret != ""
	switch {
	case token && (id || secret):
		return []problem{{"BEYOND_IDENTITY_API_TOKEN", "is set, and a client (BEYOND_IDENTITY_CLIENT_ID, BEYOND_IDENTITY_CLIENT_SECRET) too: remove one of them"}}
	case id && !secret:
		return []problem{{"BEYOND_IDENTITY_CLIENT_SECRET", "is not set: BEYOND_IDENTITY_CLIENT_ID needs it"}}
	case secret && !id:
		return []problem{{"BEYOND_IDENTITY_CLIENT_ID", "is not set: BEYOND_IDENTITY_CLIENT_SECRET needs it"}}
	case !token && !id:
		return []problem{{
			"BEYOND_IDENTITY_API_TOKEN",
			"is not set: HOMEROOM_IDENTITY_PROVIDER=beyondidentity needs it, or a client (BEYOND_IDENTITY_CLIENT_ID, BEYOND_IDENTITY_CLIENT_SECRET)",
		}}
	}
	return nil
}

// serviceProblems returns what is wrong with the settings that only the service needs, although each variable by
// itself is well formed. It builds everything that needs no connection, since each constructor checks its own
// settings best.
func (c config) serviceProblems(known []problem) []problem {
	wrong := without(c.identityProblems(), known)
	if _, err := c.rules(); err != nil {
		wrong = append(wrong, problem{"HOMEROOM_SIGNUP_DISPOSABLE_LIST", fmt.Sprintf("is %s: %v", quoted(c.SignupDisposableList), err)})
	}
	if len(known)+len(wrong) > 0 {
		return wrong
	}
	provider, err := c.newProvider(slog.New(slog.DiscardHandler))
	if err != nil {
		return append(wrong, problem{"HOMEROOM_IDENTITY_PROVIDER", fmt.Sprintf("is %s, whose settings do not fit together: %v", c.IdentityProvider, err)})
	}
	wrong = append(wrong, c.abilityProblems(provider)...)
	var h httpConfig
	wrong = append(wrong, c.applySignupPolicy(&h, provider)...)
	return append(wrong, c.hosted(&h, provider)...)
}

// issuer, keysURL and audience return what access tokens are checked against.
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

func (c config) audience() string { return cmp.Or(c.TokenAudience, c.Auth0Audience) }

// newProvider makes the client of the identity provider.
func (c config) newProvider(logger *slog.Logger) (identity.Provider, error) {
	switch c.IdentityProvider {
	case "scim":
		return scim.New(scim.Config{
			BaseURL: c.SCIMBaseURL, TokenURL: c.SCIMTokenURL, ClientID: c.SCIMClientID, ClientSecret: c.SCIMClientSecret, Scope: c.SCIMScope,
			Token: c.SCIMToken, UserNamePrefix: c.SCIMUserNamePrefix, UsersPath: c.SCIMUsersPath, RolesPath: c.SCIMRolesPath,
			Application: c.SCIMApplication, AdminRole: c.SCIMAdminRole,
			MemberRole: c.SCIMMemberRole, Settings: settingNames("SCIM"), Logger: logger,
		})
	case "beyondidentity":
		return beyondidentity.New(beyondidentity.Config{
			BaseURL: c.BeyondIdentityBaseURL, Version: beyondidentity.Version(c.BeyondIdentityVersion), APIToken: c.BeyondIdentityAPIToken,
			ClientID: c.BeyondIdentityClientID, ClientSecret: c.BeyondIdentityClientSecret, Settings: settingNames("BeyondIdentity"), Logger: logger,
		})
	}
	return auth0.New(auth0.Config{
		BaseURL: c.Auth0BaseURL, ClientID: c.Auth0ClientID, ClientSecret: c.Auth0ClientSecret,
		ManagementAudience: c.Auth0ManagementAudience, Connection: c.Auth0Connection, CustomDomain: c.Auth0CustomDomain,
		Login: c.Auth0Login, OwnMails: c.verifyFirst(),
		OwnerRole: c.Auth0OwnerRole, AdminRole: c.Auth0AdminRole, MemberRole: c.Auth0MemberRole, Organizations: c.Auth0Organizations,
		Audience: c.Auth0Audience, Settings: settingNames("Auth0"), Logger: logger,
	})
}
