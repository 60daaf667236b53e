package auth0test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TokenRequest is a request for an access token without a login, as Auth0 would issue it after one.
type TokenRequest struct {
	// Subject is the owner of the token. Defaults to "auth0|operator".
	Subject string
	// Permissions become the claim of that name, as Auth0 adds it for APIs with RBAC. Defaults to no claim.
	Permissions []string
	// Scope is the claim scope, separated by spaces. Defaults to none.
	Scope string
	// Audience is the claim aud: one becomes a string, several an array. Defaults to Config.Audience.
	Audience []string
	// ExpiresIn may be negative, for an expired token. Defaults to Config.TokenLifetime.
	ExpiresIn time.Duration
	// Issuer defaults to BaseURL with a slash at the end.
	Issuer string
	// KeyID is the key id in the header. Defaults to the current key's; another one is an unknown key.
	KeyID string
	// WrongKey signs with a key that is not the tenant's. Defaults to false.
	WrongKey bool
	// Claims are added last, and replace those above. Defaults to none.
	Claims map[string]any
}

// IssueToken returns a signed access token. It does not count as a call.
func (s *Server) IssueToken(req TokenRequest) string {
	now := s.now()
	if req.Subject == "" {
		req.Subject = "auth0|operator"
	}
	if len(req.Audience) == 0 {
		req.Audience = []string{s.cfg.Audience}
	}
	if req.ExpiresIn == 0 {
		req.ExpiresIn = s.cfg.TokenLifetime
	}
	if req.Issuer == "" {
		req.Issuer = s.cfg.issuer()
	}
	claims := map[string]any{
		"iss": req.Issuer, "sub": req.Subject, "aud": audienceClaim(req.Audience),
		"iat": now.Unix(), "exp": now.Add(req.ExpiresIn).Unix(), "azp": s.cfg.ClientID,
	}
	if req.Scope != "" {
		claims["scope"] = req.Scope
	}
	if req.Permissions != nil {
		claims["permissions"] = req.Permissions
	}
	maps.Copy(claims, req.Claims)
	key := s.currentKey()
	if req.WrongKey {
		private, err := newRSAKey()
		if err != nil {
			panic(fmt.Sprintf("auth0test: make a key: %v", err))
		}
		key = &signingKey{id: key.id, private: private}
	}
	if req.KeyID != "" {
		key = &signingKey{id: req.KeyID, private: key.private}
	}
	return key.sign(claims)
}

// audienceClaim returns a string for one audience and an array for several.
func audienceClaim(audience []string) any {
	if len(audience) == 1 {
		return audience[0]
	}
	return audience
}

// sign panics on failure, because the key and the claims are our own.
func (k *signingKey) sign(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("auth0test: encode claims: %v", err))
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: k.private},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.id),
	)
	if err != nil {
		panic(fmt.Sprintf("auth0test: make signer: %v", err))
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(fmt.Sprintf("auth0test: sign token: %v", err))
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(fmt.Sprintf("auth0test: serialize token: %v", err))
	}
	return token
}

// bearer is the part of a token that the Management API reads.
type bearer struct {
	Issuer   string `json:"iss"`
	Audience any    `json:"aud"`
	Expiry   int64  `json:"exp"`
	Scope    string `json:"scope"`
}

// Refusals of a token. The texts of the first two are documented, that of the third is [FIELD], the last a [GUESS].
var (
	errTokenMalformed = errors.New("Invalid token")                                            //nolint:staticcheck // Auth0's text
	errTokenSignature = errors.New("Invalid signature received for JSON Web Token validation") //nolint:staticcheck // Auth0's text
	errTokenExpired   = errors.New("Expired token received for JSON Web Token validation")     //nolint:staticcheck // Auth0's text
	errTokenAudience  = errors.New("Bad audience")                                             //nolint:staticcheck // Auth0's style
)

// readBearer checks a token as the Management API does.
func (s *Server) readBearer(token string) (bearer, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return bearer{}, errTokenMalformed
	}
	key, ok := s.keyByID(signed.Signatures[0].Header.KeyID)
	if !ok {
		return bearer{}, errTokenSignature
	}
	payload, err := signed.Verify(key.private.Public())
	if err != nil {
		return bearer{}, errTokenSignature
	}
	var b bearer
	if err := json.Unmarshal(payload, &b); err != nil || b.Issuer != s.cfg.issuer() {
		return bearer{}, errTokenMalformed
	}
	if !s.now().Before(time.Unix(b.Expiry, 0)) {
		return bearer{}, errTokenExpired
	}
	if !b.isFor(s.cfg.ManagementAudience) {
		return bearer{}, errTokenAudience
	}
	return b, nil
}

func (b bearer) isFor(audience string) bool {
	switch aud := b.Audience.(type) {
	case string:
		return aud == audience
	case []any:
		return slices.Contains(aud, any(audience))
	}
	return false
}

func (b bearer) hasAnyScope(scopes []string) bool {
	return slices.ContainsFunc(strings.Fields(b.Scope), func(have string) bool { return slices.Contains(scopes, have) })
}
