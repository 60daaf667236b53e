package auth0test

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const grantAuthorizationCode = "authorization_code"

// invalidCode is recorded, for any code that cannot be exchanged.
func invalidCode() *oauthError {
	return &oauthError{Status: http.StatusForbidden, Code: "invalid_grant", Description: "Invalid authorization code"}
}

// grantCode exchanges a code for tokens:
// https://auth0.com/docs/api/authentication/authorization-code-flow-with-pkce/get-token-pkce
func (s *Server) grantCode(r *http.Request, params url.Values) (tokenAnswer, *oauthError) {
	app, refusal := s.checkApplication(r, params)
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	found, refusal := s.browser.useCode(params.Get("code"), app, s.now(), func(c *code) *oauthError {
		if !verifierMatches(params.Get("code_verifier"), c.of.challenge) {
			// The status is recorded, the text was removed from the recording [GUESS].
			return &oauthError{Status: http.StatusUnauthorized, Code: "invalid_grant", Description: "Failed to verify code verifier"}
		}
		if asked := params.Get("redirect_uri"); asked != c.of.redirectURI && (asked != "" || c.of.explicitRedirect) { // [FIELD]
			return &oauthError{Status: http.StatusForbidden, Code: "invalid_grant", Description: "The redirect URI is wrong."}
		}
		return nil
	})
	if refusal != nil {
		return tokenAnswer{}, refusal
	}
	user, ok := s.User(found.userID)
	if !ok {
		return tokenAnswer{}, invalidCode()
	}
	a := found.of
	scopes := strings.Fields(a.scope)
	answer := s.tokenAnswer(opaqueToken(), a.scope)
	if a.audience != "" {
		answer.AccessToken = s.IssueToken(TokenRequest{
			Subject: user.ID, Audience: audiences(a.audience, slices.Contains(scopes, "openid"), s.cfg.issuer()), Scope: a.scope,
			Claims: a.tokenClaims(),
		})
	}
	s.browser.grantAccess(answer.AccessToken, access{userID: user.ID, scope: a.scope, expires: s.now().Add(s.cfg.TokenLifetime)})
	if slices.Contains(scopes, "openid") {
		answer.IDToken = s.codeIDToken(user, a)
	}
	return answer, nil
}

// audiences returns the API and, if openid was requested, /userinfo, as Auth0 does.
func audiences(audience string, openid bool, issuer string) []string {
	if openid {
		return []string{audience, issuer + "userinfo"}
	}
	return []string{audience}
}

func (a *authorization) tokenClaims() map[string]any {
	claims := map[string]any{"azp": a.app.ClientID}
	if a.organization != "" {
		claims["org_id"] = a.organization
	}
	return claims
}

// checkApplication authenticates a browser application: by its secret, in the body or by HTTP Basic, or not at all if
// it has none.
func (s *Server) checkApplication(r *http.Request, params url.Values) (Application, *oauthError) {
	id, secret := params.Get("client_id"), params.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(pass)
	}
	app, ok := s.cfg.application(id)
	if !ok || subtle.ConstantTimeCompare([]byte(secret), []byte(app.Secret)) != 1 {
		return Application{}, &oauthError{Status: http.StatusUnauthorized, Code: "access_denied", Description: "Unauthorized"} // [FIELD]
	}
	return app, nil
}

// verifierMatches reports whether a verifier belongs to a challenge (RFC 7636, S256). Without a challenge there must be
// no verifier.
func verifierMatches(verifier, challenge string) bool {
	if challenge == "" || verifier == "" {
		return challenge == verifier
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// codeIDToken returns the ID token for the application, with its nonce.
func (s *Server) codeIDToken(user User, a *authorization) string {
	now := s.now()
	claims := s.personClaims(user, a.scope)
	maps.Copy(claims, map[string]any{
		"iss": s.cfg.issuer(), "sub": user.ID, "aud": a.app.ClientID, "iat": now.Unix(), "exp": now.Add(10 * time.Hour).Unix(),
		"sid": randomText(32),
	})
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	if a.organization != "" {
		claims["org_id"] = a.organization
	}
	return s.currentKey().sign(claims)
}

// personClaims returns the standard claims, by scope:
// https://auth0.com/docs/get-started/apis/scopes/openid-connect-scopes
func (s *Server) personClaims(user User, scope string) map[string]any {
	claims, scopes := map[string]any{}, strings.Fields(scope)
	if slices.Contains(scopes, "profile") {
		maps.Copy(claims, map[string]any{
			"name": user.Name, "nickname": user.Nickname, "picture": user.Picture, "updated_at": user.UpdatedAt,
		})
		for name, text := range map[string]string{"given_name": user.GivenName, "family_name": user.FamilyName} {
			if text != "" {
				claims[name] = text
			}
		}
	}
	if slices.Contains(scopes, "email") && user.Email != "" {
		claims["email"], claims["email_verified"] = user.Email, user.EmailVerified
	}
	return claims
}

// getUserInfo is GET /userinfo. The refusal is recorded.
func (s *Server) getUserInfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" { // recorded without a body
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	granted, ok := s.browser.access(token, s.now())
	user, known := s.User(granted.userID)
	if !strings.EqualFold(scheme, "Bearer") || !ok || !known {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Users", error="invalid_token", error_description="The access token expired"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("Unauthorized"))
		return
	}
	claims := s.personClaims(user, granted.scope)
	claims["sub"] = user.ID
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeBody(w, http.StatusOK, claims)
}
