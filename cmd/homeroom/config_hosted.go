package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/httpapi"
	"homeroom/internal/secret"
)

// HostedConfig is the part of the environment that is about signing up on an identity provider's own pages.
type HostedConfig struct {
	HostedIssuer       string        `env:"HOMEROOM_HOSTED_ISSUER" is:"url" help:"the OpenID Connect provider whose pages people sign up on, letter for letter as its tokens name it; Auth0, with its closing slash, when empty"`
	HostedClientID     string        `env:"HOMEROOM_HOSTED_CLIENT_ID" help:"our application there; nobody can sign up there when empty"`
	HostedClientSecret secret.String `env:"HOMEROOM_HOSTED_CLIENT_SECRET" help:"its secret; none for a public client"`
	HostedRedirectURL  string        `env:"HOMEROOM_HOSTED_REDIRECT_URL" is:"url" help:"where the provider sends people back to, as it is registered there; $HOMEROOM_URL/callback when empty"`
	HostedScopes       []string      `env:"HOMEROOM_HOSTED_SCOPES" envSeparator:" " help:"what is asked for, with spaces between; openid profile email when empty"`
	HostedParams       hostedParams  `env:"HOMEROOM_HOSTED_PARAMS" help:"what the provider needs besides to show its registration, such as organization_id=…,environment_id=…; screen_hint=signup when empty; none"`
	HostedRegisterURL  string        `env:"HOMEROOM_HOSTED_REGISTER_URL" is:"url" help:"where people are sent, for a provider whose registration has an address of its own; its authorization endpoint when empty"`
	HostedReturnURLs   []string      `env:"HOMEROOM_HOSTED_RETURN_URLS" help:"addresses, separated by commas, to which people may be sent on in the end; the first is the usual one; a page of ours when empty"`
	HostedRate         rate          `env:"HOMEROOM_HOSTED_RATE" envDefault:"20/1h" help:"registrations on the provider's pages that a client address may begin, such as 20/1h; off"`
}

// hostedParams are parameters of a request; nil is the usual ones.
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

// isIdentityIssuer reports whether an issuer is who keeps the logins, as far as that can be told: whoever can choose ids at another
// one could otherwise take over identities here.
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

// hosted has the API let people sign up on the provider's pages, where that is configured, and finds what is wrong with that.
func (c config) hosted(into *httpapi.Config, provider identity.Provider) []problem {
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
		return []problem{{"HOMEROOM_HOSTED_CLIENT_ID", "is set, and this identity provider cannot take on a login that somebody has made on its page: leave it out"}}
	}
	issuer := c.HostedIssuer
	if issuer == "" && c.Auth0BaseURL != "" {
		issuer = c.Auth0BaseURL + "/"
	}
	if !c.isIdentityIssuer(issuer) {
		return []problem{{"HOMEROOM_HOSTED_ISSUER", fmt.Sprintf("is %s, and the logins are kept by another Auth0 tenant: the ids of one would be taken for those of the other. "+
			"If it is the same by a custom domain, set AUTH0_CUSTOM_DOMAIN", issuer)}}
	}
	into.HostedRate = c.HostedRate.allowance
	var err error
	into.Hosted, err = hosted.New(hosted.Config{
		Issuer: issuer, ClientID: c.HostedClientID, ClientSecret: c.HostedClientSecret,
		RedirectURL: cmp.Or(c.HostedRedirectURL, c.publicURL()+"/callback"), Scopes: c.HostedScopes, Params: c.HostedParams.values,
		RegisterURL: c.HostedRegisterURL, ReturnURLs: c.HostedReturnURLs, Key: c.TenantKey,
	})
	var wrong *hosted.ConfigError
	if errors.As(err, &wrong) {
		return []problem{{c.hostedVariable(wrong.Field), "cannot be used: " + wrong.What}}
	}
	if err != nil {
		return []problem{{"HOMEROOM_HOSTED_CLIENT_ID", fmt.Sprintf("cannot be used: %v", err)}}
	}
	return nil
}

// hostedVariable is where a field of the provider's configuration comes from.
func (c config) hostedVariable(field string) string {
	switch {
	case field == "RedirectURL" && c.HostedRedirectURL == "" && c.URL != "":
		return "HOMEROOM_URL"
	case field == "Issuer" && c.HostedIssuer == "":
		return "AUTH0_BASE_URL"
	}
	return map[string]string{
		"Issuer": "HOMEROOM_HOSTED_ISSUER", "RedirectURL": "HOMEROOM_HOSTED_REDIRECT_URL", "RegisterURL": "HOMEROOM_HOSTED_REGISTER_URL",
		"ReturnURLs": "HOMEROOM_HOSTED_RETURN_URLS", "Params": "HOMEROOM_HOSTED_PARAMS", "Key": "HOMEROOM_TENANT_KEY",
	}[field]
}
