package hosted

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"homeroom/identity"
	"homeroom/internal/jwks"
	"homeroom/internal/secret"
)

// clockSkew is by how much the provider's clock may differ from ours.
const clockSkew = 5 * time.Minute

// personClaims are the claims about a person besides sub.
type personClaims struct {
	AuthorizedParty string       `json:"azp"`
	Email           string       `json:"email"`
	EmailVerified   flexibleBool `json:"email_verified"`
	Name            string       `json:"name"`
	GivenName       string       `json:"given_name"`
	FamilyName      string       `json:"family_name"`
	Locale          string       `json:"locale"`
	OrganizationID  string       `json:"org_id"`
	Organization    string       `json:"org_name"`
}

// flexibleBool is a boolean that some providers send as a string. Every other value is false.
type flexibleBool bool

// UnmarshalJSON implements [json.Unmarshaler].
func (t *flexibleBool) UnmarshalJSON(raw []byte) error {
	*t = string(raw) == "true" || string(raw) == `"true"`
	return nil
}

var _ json.Unmarshaler = (*flexibleBool)(nil)

// redeem exchanges the code, verifies the ID token and returns the person.
func (p *Provider) redeem(ctx context.Context, provider *providerMetadata, code string, m flow) (Person, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.exchange(ctx, provider, code, m.Verifier)
	if err != nil {
		return Person{}, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, fmt.Errorf("%w: it gave no ID token", ErrUnverified)
	}
	id, claims, err := p.verify(ctx, provider, raw, token.AccessToken, m)
	if err != nil {
		return Person{}, err
	}
	if claims.Email == "" { // some providers send it from the userinfo endpoint only
		if err := p.fetchUserInfo(ctx, provider, token, id.Subject, &claims); err != nil {
			return Person{}, err
		}
	}
	if !strings.Contains(claims.Email, "@") {
		return Person{}, ErrNoEmail
	}
	return claims.person(id.Subject), nil
}

// exchange exchanges the code for tokens, with the PKCE verifier.
func (p *Provider) exchange(ctx context.Context, provider *providerMetadata, code, verifier string) (*oauth2.Token, error) {
	config := provider.oauth
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "invalid_client" && config.Endpoint.AuthStyle == oauth2.AuthStyleInHeader &&
		provider.acceptsSecretPost {
		// The provider supports both methods, but this application is registered for the other one. The code is still
		// valid.
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		token, err = config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	}
	if err == nil {
		return token, nil
	}
	secrets := []string{code, verifier, p.cfg.ClientSecret.Reveal()}
	var unavailable *identity.Unavailable
	switch {
	case errors.As(err, &unavailable):
		return nil, fmt.Errorf("exchange the code: %w", unavailable)
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		return nil, fmt.Errorf("%w: the provider does not take the code: %q", ErrCodeRejected, secret.Redact(refused.ErrorDescription, secrets...))
	case errors.As(err, &refused):
		return nil, &identity.Misconfigured{
			Hint: p.cfg.Settings.Sprintf("look at $ClientID, $ClientSecret and $RedirectURL, and at the application at the provider"),
			Err: fmt.Errorf("exchange the code: it answered %d %q: %q",
				refused.Response.StatusCode, secret.Redact(refused.ErrorCode, secrets...), secret.Redact(refused.ErrorDescription, secrets...)),
		}
	}
	return nil, fmt.Errorf("%w: its answer to the code cannot be read", ErrUnverified) // the error may quote a token
}

var subjectPattern = regexp.MustCompile(`^[ -~]{1,255}$`)

// verify checks the ID token by OpenID Connect Core 1.0, 3.1.3.7: its signature, audience, nonce, time and access token hash.
func (p *Provider) verify(ctx context.Context, provider *providerMetadata, raw, accessToken string, m flow) (*oidc.IDToken, personClaims, error) {
	invalid := func(format string, details ...any) (*oidc.IDToken, personClaims, error) {
		return nil, personClaims{}, fmt.Errorf("%w: "+format, append([]any{ErrUnverified}, details...)...)
	}
	if strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "{} ") { // only the compact serialization
		return invalid("the ID token is no JWT")
	}
	var fetch error
	id, err := provider.verifier.Verify(jwks.WithFetchError(ctx, &fetch), raw)
	if fetch != nil && !identity.Temporary(fetch) {
		fetch = &identity.Unavailable{Err: fetch}
	}
	if fetch != nil {
		return nil, personClaims{}, fmt.Errorf("check the ID token: %w", fetch)
	}
	if err != nil {
		return invalid("%s", secret.Redact(err.Error(), raw, accessToken))
	}
	var claims personClaims
	if err := id.Claims(&claims); err != nil {
		return invalid("the ID token's claims cannot be read")
	}
	switch now := p.cfg.Now(); {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(m.Nonce)) != 1:
		return invalid("the ID token answers another question")
	case len(id.Audience) > 1 && claims.AuthorizedParty == "", claims.AuthorizedParty != "" && claims.AuthorizedParty != p.cfg.ClientID:
		return invalid("the ID token was made for another application")
	case id.IssuedAt.After(now.Add(clockSkew)), id.IssuedAt.Before(time.Unix(m.BeganAt, 0).Add(-clockSkew)):
		return invalid("the ID token was not made in this registration")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(accessToken) != nil:
		return invalid("the access token is not the ID token's")
	case !subjectPattern.MatchString(id.Subject):
		return invalid("the ID token names nobody")
	case !claims.belongsTo(m.Organization):
		return invalid("the ID token is of another organization")
	}
	return id, claims, nil
}

// belongsTo reports whether the person logged in to the requested organization, given by its id or name. It is true if
// the provider sends no organization.
func (c personClaims) belongsTo(requested string) bool {
	if requested == "" || (c.OrganizationID == "" && c.Organization == "") {
		return true
	}
	return requested == c.OrganizationID || strings.EqualFold(requested, c.Organization)
}

// fetchUserInfo adds the claims of the userinfo endpoint.
func (p *Provider) fetchUserInfo(ctx context.Context, provider *providerMetadata, token *oauth2.Token, subject string, claims *personClaims) error {
	if provider.oidc.UserInfoEndpoint() == "" {
		return ErrNoEmail
	}
	info, err := provider.oidc.UserInfo(ctx, oauth2.StaticTokenSource(token))
	var unavailable *identity.Unavailable
	if errors.As(err, &unavailable) {
		return fmt.Errorf("ask who the person is: %w", unavailable)
	}
	if err != nil {
		return fmt.Errorf("%w: it does not say who the person is", ErrUnverified)
	}
	if info.Subject != subject {
		return fmt.Errorf("%w: it speaks of two people", ErrUnverified)
	}
	if err := info.Claims(claims); err != nil {
		return fmt.Errorf("%w: what it says of the person cannot be read", ErrUnverified)
	}
	return nil
}

// person omits a name that is an e-mail address, which Auth0 sends if it knows no name.
func (c personClaims) person(subject string) Person {
	if strings.Contains(c.Name, "@") {
		c.Name = ""
	}
	return Person{
		Identity:  identity.User{ID: subject, Email: c.Email, EmailVerified: bool(c.EmailVerified)},
		GivenName: c.GivenName, FamilyName: c.FamilyName, Name: c.Name, Locale: c.Locale, OrganizationID: c.OrganizationID,
	}
}
