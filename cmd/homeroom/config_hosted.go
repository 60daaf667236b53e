package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/secret"
)

// HostedConfig holds the settings for signing up on the pages of an identity provider.
type HostedConfig struct {
	HostedIssuer       string        `env:"HOMEROOM_HOSTED_ISSUER" is:"url" help:"the OpenID Connect provider on whose pages people sign up, exactly as its tokens name it; Auth0, with its closing slash, when empty"`
	HostedClientID     string        `env:"HOMEROOM_HOSTED_CLIENT_ID" help:"the client id of Homeroom at that provider; nobody can sign up there when empty"`
	HostedClientSecret secret.String `env:"HOMEROOM_HOSTED_CLIENT_SECRET" help:"the client's secret; none for a public client"`
	HostedRedirectURL  string        `env:"HOMEROOM_HOSTED_REDIRECT_URL" is:"url" help:"the redirect URL that is registered at the provider; $HOMEROOM_URL/callback when empty"`
	HostedScopes       []string      `env:"HOMEROOM_HOSTED_SCOPES" envSeparator:" " help:"the scopes to request, separated by spaces; openid profile email when empty"`
	HostedParams       hostedParams  `env:"HOMEROOM_HOSTED_PARAMS" help:"further parameters that make the provider show its registration page, such as organization_id=…,environment_id=…; screen_hint=signup when empty; none"`
	HostedRegisterURL  string        `env:"HOMEROOM_HOSTED_REGISTER_URL" is:"url" help:"the registration page, for a provider where it has an address of its own; the authorization endpoint when empty"`
	HostedReturnURLs   []string      `env:"HOMEROOM_HOSTED_RETURN_URLS" help:"addresses, separated by commas, to which people may be redirected at the end; the first is the default; a page of Homeroom when empty"`
	HostedRate         rate          `env:"HOMEROOM_HOSTED_RATE" envDefault:"20/1h" help:"registrations on the provider's pages that a client address may begin, such as 20/1h; off"`
}

// hostedParams are parameters of a request. Nil stands for the default ones.
type hostedParams struct{ values map[string]string }

// UnmarshalText reads "organization_id=1,environment_id=2" or "none".
func (p *hostedParams) UnmarshalText(text []byte) error {
	p.values = map[string]string{}
	if string(text) == "none" {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := p.values[name]; !ok || name == "" || twice {
			return fmt.Errorf("%q is not a name and its value, such as organization_id=42", part)
		}
		p.values[name] = value
	}
	return nil
}

// isIdentityIssuer reports whether an issuer manages the accounts of the identity provider, as far as Homeroom can
// know. Otherwise somebody who can choose user ids at another issuer could take over accounts.
func (c config) isIdentityIssuer(issuer string) bool {
	if c.IdentityProvider != "auth0" {
		return true // SCIM has no issuer
	}
	at, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	for _, address := range []string{c.Auth0BaseURL, c.Auth0ManagementAudience, "https://" + c.Auth0CustomDomain} {
		if own, err := url.Parse(address); err == nil && own.Host != "" && own.Host == at.Host {
			return true
		}
	}
	return false
}

// hosted configures the sign-up on the provider's pages, where it is set, and returns what is wrong with its
// settings.
func (c config) hosted(into *httpConfig, provider identity.Provider) []problem {
	if c.HostedClientID == "" {
		if c.HostedIssuer != "" || c.HostedClientSecret != "" || c.HostedRegisterURL != "" {
			return []problem{{"HOMEROOM_HOSTED_CLIENT_ID", "is not set: set it, or none of the variables that begin with HOMEROOM_HOSTED_"}}
		}
		if len(c.SignupOAuth.names) > 0 {
			return []problem{{"HOMEROOM_HOSTED_CLIENT_ID", "is not set: HOMEROOM_SIGNUP_OAUTH needs the pages of an identity provider"}}
		}
		return nil
	}
	if _, adopts := provider.(identity.AccountLinker); !adopts {
		return []problem{{
			"HOMEROOM_HOSTED_CLIENT_ID",
			"is set, and with this identity provider a school cannot use an account that somebody has created on its page: leave it out",
		}}
	}
	issuer := c.HostedIssuer
	if issuer == "" && c.Auth0BaseURL != "" {
		issuer = c.Auth0BaseURL + "/"
	}
	if !c.isIdentityIssuer(issuer) {
		return []problem{{
			"HOMEROOM_HOSTED_ISSUER",
			fmt.Sprintf("is %s, and the accounts belong to another Auth0 tenant: ids of users of one would be taken for those of the other. "+
				"If it is a custom domain of the same tenant, set AUTH0_CUSTOM_DOMAIN", issuer),
		}}
	}
	into.pages.HostedRate = c.HostedRate.allowance
	var err error
	into.pages.Hosted, err = hosted.New(hosted.Config{
		Issuer: issuer, ClientID: c.HostedClientID, ClientSecret: c.HostedClientSecret,
		RedirectURL: cmp.Or(c.HostedRedirectURL, c.publicURL()+"/callback"), Scopes: c.HostedScopes, Params: c.HostedParams.values,
		RegisterURL: c.HostedRegisterURL, ReturnURLs: c.HostedReturnURLs, Key: c.TenantKey, Settings: settingNames("Hosted"),
	})
	var wrong *hosted.ConfigError
	if errors.As(err, &wrong) {
		return []problem{{c.hostedVariable(wrong.Field), "cannot be used: " + wrong.What}}
	}
	if err != nil {
		return []problem{{"HOMEROOM_HOSTED_CLIENT_ID", fmt.Sprintf("cannot be used: %v", err)}}
	}
	into.api.Hosted = into.pages.Hosted
	return nil
}

// hostedVariable returns the variable that sets a field of the provider's configuration.
func (c config) hostedVariable(field string) string {
	switch {
	case field == "RedirectURL" && c.HostedRedirectURL == "" && c.URL != "":
		return "HOMEROOM_URL"
	case field == "Issuer" && c.HostedIssuer == "":
		return "AUTH0_BASE_URL"
	case field == "Key":
		return "HOMEROOM_TENANT_KEY"
	}
	return settingNames("Hosted")(field)
}
