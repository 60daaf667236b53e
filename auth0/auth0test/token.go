package auth0test

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenAnswer has its members in the recorded order.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token,omitempty"`
	Scope       string `json:"scope,omitempty"`
	ExpiresIn   int    `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

// tokenPath is the path of all grants.
const tokenPath = "/oauth/token"

// postToken is POST /oauth/token: https://auth0.com/docs/api/authentication/client-credential-flow/get-token
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	state, ok := takeToken(s.tokens, s.now())
	if !ok {
		tokenLimit(w, state)
		return
	}
	state.write(w.Header())
	params, refusal := readTokenParams(r)
	byCode := params.Get("grant_type") == grantAuthorizationCode
	if refusal == nil && !byCode {
		refusal = s.checkClient(r, params)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	var answer tokenAnswer
	switch params.Get("grant_type") {
	case grantClientCredentials:
		answer, refusal = s.grantClient(w.Header(), params)
	case grantPassword, grantPasswordRealm:
		answer, refusal = s.grantUser(r, params)
	case grantAuthorizationCode:
		answer, refusal = s.grantCode(r, params)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	writeBody(w, http.StatusOK, answer)
}

// readTokenParams reads a form (documented) or JSON (recorded). It ignores unknown members.
func readTokenParams(r *http.Request) (url.Values, *oauthError) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		if err := r.ParseForm(); err != nil {
			return nil, badTokenRequest("Malformed body")
		}
		return r.PostForm, nil
	}
	var members map[string]any
	if err := json.NewDecoder(r.Body).Decode(&members); err != nil {
		return nil, badTokenRequest("Malformed body")
	}
	params := url.Values{}
	for name, value := range members {
		if text, ok := value.(string); ok {
			params.Set(name, text)
		}
	}
	return params, nil
}

func badTokenRequest(description string) *oauthError {
	return &oauthError{Status: http.StatusBadRequest, Code: "invalid_request", Description: description}
}

// checkClient authenticates the application, by the body or by HTTP Basic, and checks whether it may use the grant.
func (s *Server) checkClient(r *http.Request, params url.Values) *oauthError {
	grant := params.Get("grant_type")
	switch grant {
	case "":
		return badTokenRequest("Missing required parameter: grant_type")
	case grantClientCredentials, grantPassword, grantPasswordRealm:
	default:
		return &oauthError{ // [DOC]
			Status: http.StatusBadRequest, Code: "unsupported_grant_type",
			Description: "Unsupported grant type: " + grant,
		}
	}
	id, secret := params.Get("client_id"), params.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		// Both parts are form-encoded before they are joined (RFC 6749, 2.3.1).
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(pass)
	}
	known := subtle.ConstantTimeCompare([]byte(id), []byte(s.cfg.ClientID)) &
		subtle.ConstantTimeCompare([]byte(secret), []byte(s.cfg.ClientSecret))
	if known != 1 {
		// [FIELD]: the OpenAPI document says invalid_client, but callers see this; it is the same for an unknown
		// application.
		return &oauthError{Status: http.StatusUnauthorized, Code: "access_denied", Description: "Unauthorized"}
	}
	if !slices.Contains(s.cfg.GrantTypes, grant) {
		return &oauthError{ // [FIELD]
			Status: http.StatusForbidden, Code: "unauthorized_client",
			Description: fmt.Sprintf("Grant type '%s' not allowed for the client.", grant),
			URI:         "https://auth0.com/docs/clients/client-grant-types",
		}
	}
	return nil
}

// grantClient issues a token to the application itself. All its refusals are [FIELD].
func (s *Server) grantClient(h http.Header, params url.Values) (tokenAnswer, *oauthError) {
	audience := params.Get("audience")
	denied := func(description string) (tokenAnswer, *oauthError) {
		return tokenAnswer{}, &oauthError{Status: http.StatusForbidden, Code: "access_denied", Description: description}
	}
	switch {
	case audience == "":
		return denied("Non-global clients are not allowed access to APIv1")
	case audience == s.cfg.ManagementAudience && !s.cfg.NoClientGrant:
	case audience == s.cfg.ManagementAudience || audience == s.cfg.Audience:
		return denied(fmt.Sprintf(`Client is not authorized to access "%s". You need to create a "client-grant" associated to this API. `+
			`See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`, audience))
	default:
		return denied("Service not found: " + audience)
	}
	scopes := s.cfg.Scopes
	if asked := strings.Fields(params.Get("scope")); len(asked) > 0 {
		for _, scope := range asked {
			if !slices.Contains(s.cfg.Scopes, scope) {
				return denied("Client has not been granted scopes: " + scope)
			}
		}
		scopes = asked
	}
	header, wait, ok := s.quota.take(s.now())
	if header != "" {
		h.Set("Auth0-Client-Quota-Limit", header)
	}
	if !ok {
		h.Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		return tokenAnswer{}, &oauthError{ // [DOC]
			Status: http.StatusTooManyRequests, Code: codeTooManyRequests, Description: "Client quota exceeded",
		}
	}
	scope := strings.Join(scopes, " ")
	token := s.IssueToken(TokenRequest{
		Subject: s.cfg.ClientID + "@clients", Audience: []string{audience}, Scope: scope,
		Claims: map[string]any{"gty": "client-credentials"},
	})
	return s.tokenAnswer(token, scope), nil
}

func (s *Server) tokenAnswer(token, scope string) tokenAnswer {
	return tokenAnswer{
		AccessToken: token, Scope: scope, TokenType: "Bearer",
		ExpiresIn: int(s.cfg.TokenLifetime / time.Second),
	}
}

// grantUser logs in a person with a password. Recorded: the same refusal for an unknown e-mail and a wrong password.
func (s *Server) grantUser(r *http.Request, params url.Values) (tokenAnswer, *oauthError) {
	realm := params.Get("realm")
	if realm == "" {
		realm = s.firstConnection()
	}
	audience := params.Get("audience")
	if audience != "" && audience != s.cfg.Audience {
		return tokenAnswer{}, badTokenRequest("invalid audience specified for password grant exchange")
	}
	user, ok := s.login(r, realm, params.Get("username"), params.Get("password"))
	if !ok {
		return tokenAnswer{}, &oauthError{
			Status: http.StatusForbidden, Code: "invalid_grant", Description: "Wrong email or password.",
		}
	}
	if user.Blocked != nil && *user.Blocked { // [FIELD]
		return tokenAnswer{}, &oauthError{Status: http.StatusUnauthorized, Code: "unauthorized", Description: "user is blocked"}
	}
	if s.cfg.MFA { // [DOC]
		return tokenAnswer{}, &oauthError{
			Status: http.StatusForbidden, Code: "mfa_required", Description: "Multifactor authentication required",
		}
	}
	scope := params.Get("scope")
	openid := slices.Contains(strings.Fields(scope), "openid")
	answer := s.tokenAnswer(opaqueToken(), scope)
	if audience != "" {
		audiences := []string{audience}
		if openid {
			audiences = append(audiences, s.cfg.issuer()+"userinfo")
		}
		answer.AccessToken = s.IssueToken(TokenRequest{
			Subject: user.ID, Audience: audiences, Scope: scope,
			Claims: map[string]any{"gty": "password"},
		})
	}
	if openid {
		answer.IDToken = s.idToken(user)
	}
	return answer, nil
}

// opaqueToken is the token without a requested audience: 32 random characters.
func opaqueToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// idToken returns the application's ID token; it is valid for ten hours.
func (s *Server) idToken(user User) string {
	now := s.now()
	return s.currentKey().sign(map[string]any{
		"iss": s.cfg.issuer(), "sub": user.ID, "aud": s.cfg.ClientID,
		"iat": now.Unix(), "exp": now.Add(10 * time.Hour).Unix(),
		"email": user.Email, "email_verified": user.EmailVerified,
		"name": user.Name, "nickname": user.Nickname, "picture": user.Picture,
		"updated_at": user.UpdatedAt,
	})
}
