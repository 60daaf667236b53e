package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"homeroom/internal/jwks"
)

// clockSkew is how far the issuer's clock may be ahead of ours.
const clockSkew = time.Minute

// claims are the claims of an access token that are used.
type claims struct {
	Subject     string   `json:"sub"`
	Permissions []string `json:"permissions"`
	Scope       string   `json:"scope"`
}

// allows reports whether the token has a permission: in the claim that Auth0 adds for people, or in the scope of
// applications.
func (c claims) allows(permission string) bool {
	return slices.Contains(c.Permissions, permission) || slices.Contains(strings.Fields(c.Scope), permission)
}

// verifier checks access tokens.
type verifier struct {
	oidc             *oidc.IDTokenVerifier
	issuer, audience string
}

// newVerifier makes a verifier. It sends nothing; the keys are fetched with the first token (see jwks.Set).
func newVerifier(issuer, jwksURL, audience string, keysFor time.Duration) *verifier {
	return &verifier{issuer: issuer, audience: audience, oidc: oidc.NewVerifier(issuer, jwks.New(jwks.Config{URL: jwksURL, MaxAge: keysFor}), &oidc.Config{
		ClientID: audience, SupportedSigningAlgs: []string{oidc.RS256},
	})}
}

// verify verifies a token. Its error is about the token, unless it is [jwks.ErrFetch].
func (v *verifier) verify(ctx context.Context, token string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, "{} ") { // only the compact serialisation
		return claims{}, errors.New("it is not a JWT")
	}
	var fetch error
	_, err := v.oidc.Verify(jwks.WithFetchError(ctx, &fetch), token)
	if fetch != nil {
		return claims{}, fmt.Errorf("%w: %w", jwks.ErrFetch, fetch)
	}
	if err != nil {
		return claims{}, err
	}
	if err := checkType(parts[0]); err != nil {
		return claims{}, err
	}
	return v.strictClaims(parts[1], time.Now())
}

// checkType refuses tokens whose type is not that of an access token: RFC 9068 calls those at+jwt, and Auth0 JWT.
func checkType(part string) error {
	var header struct {
		Type *string `json:"typ"`
	}
	if err := decodeStrictly(part, &header, "alg", "kid", "typ"); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	if header.Type == nil {
		return nil
	}
	switch name := strings.TrimPrefix(strings.ToLower(*header.Type), "application/"); name {
	case "jwt", "at+jwt":
		return nil
	}
	return errors.New("its type is not that of an access token")
}

// strictClaims reads claims whose signature was verified. go-oidc reads them with encoding/json, which uses the last
// of two members, names in any letter case, and numbers in quotes; another reader of the same token, such as a
// gateway, may have read it differently.
func (v *verifier) strictClaims(part string, now time.Time) (claims, error) {
	var read struct {
		claims
		Issuer          string         `json:"iss"`
		Audience        jsontext.Value `json:"aud"`
		AuthorizedParty string         `json:"azp"`
		Expiry          *float64       `json:"exp"`
		NotBefore       float64        `json:"nbf"`
		IssuedAt        float64        `json:"iat"`
	}
	err := decodeStrictly(part, &read, "iss", "sub", "aud", "azp", "exp", "nbf", "iat", "scope", "permissions")
	if err != nil {
		return claims{}, fmt.Errorf("read claims: %w", err)
	}
	audience := make([]string, 1)
	if read.Audience.Kind() == '[' {
		err = json.Unmarshal(read.Audience, &audience)
	} else {
		err = json.Unmarshal(read.Audience, &audience[0])
	}
	seconds := float64(now.UnixNano()) / 1e9
	ahead := seconds + clockSkew.Seconds()
	switch {
	case err != nil:
		return claims{}, errors.New("its audience is neither text nor a list of texts")
	case read.Subject == "":
		return claims{}, errors.New("it has no subject")
	case read.Issuer != v.issuer || !slices.Contains(audience, v.audience):
		return claims{}, errors.New("it is from another issuer, or for another audience")
	case read.Expiry == nil || math.Floor(*read.Expiry) <= seconds:
		return claims{}, errors.New("it has expired")
	case read.NotBefore > ahead || read.IssuedAt > ahead:
		return claims{}, errors.New("it is not valid yet")
	}
	return read.claims, nil
}

// decodeStrictly reads a part of a token: no member twice, and known members in no other letter case.
func decodeStrictly(part string, into any, known ...string) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil { // it refuses duplicates at every depth
		return errors.New("it is not an object without duplicate members")
	}
	for name := range members {
		same := func(k string) bool { return strings.EqualFold(k, name) }
		if i := slices.IndexFunc(known, same); i >= 0 && known[i] != name {
			return fmt.Errorf("it has the member %s in another letter case", known[i])
		}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return errors.New("a member has the wrong type")
	}
	return nil
}
