package scimtest

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// grant is a token's scopes and expiry.
type grant struct {
	scopes []string
	until  time.Time
}

// postToken is the client credentials grant: a form, and HTTP's Basic scheme. A token has the requested scopes
// [DOC]; whether the application may request them is not simulated.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	id, password, _ := r.BasicAuth()
	fail := func(status int, code, description string) {
		writeJSON(w, status, "application/json", map[string]string{"error": code, "error_description": description})
	}
	switch {
	case id != s.cfg.ClientID || password != s.cfg.ClientSecret:
		fail(http.StatusUnauthorized, "invalid_client", "A valid OAuth client could not be found for client_id: "+id)
		return
	case r.FormValue("grant_type") != "client_credentials":
		fail(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type value")
		return
	}
	token := uuid.NewString() // opaque, as Asgardeo's are by default [DOC]
	s.mu.Lock()
	s.tokens[token] = grant{scopes: strings.Fields(r.FormValue("scope")), until: s.cfg.Now().Add(s.cfg.TokenLifetime)}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"access_token": token, "scope": r.FormValue("scope"), "token_type": "Bearer",
		"expires_in": int(s.cfg.TokenLifetime.Seconds()),
	})
}

// RevokeTokens revokes all access tokens.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// managed wraps a handler in the check of the token and its scope.
func (s *Server) managed(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		granted, ok := s.tokens[token]
		s.mu.Unlock()
		fixed := s.cfg.Token != "" && token == s.cfg.Token
		switch {
		case !fixed && (!ok || !s.cfg.Now().Before(granted.until)):
			s.refuse(w, http.StatusUnauthorized, "Unauthorized", "")
		case !fixed && !slices.Contains(granted.scopes, scope):
			s.refuse(w, http.StatusForbidden, "Forbidden", "Operation is not permitted.")
		default:
			next(w, r)
		}
	}
}

// refuse answers with an error of RFC 7644, section 3.12.
func (s *Server) refuse(w http.ResponseWriter, status int, kind, detail string) {
	const schema = "urn:ietf:params:scim:api:messages:2.0:Error"
	body := map[string]any{"schemas": []string{schema}, "status": strconv.Itoa(status)}
	if s.cfg.Quirks.BareSchemas {
		body["schemas"] = schema
	}
	if s.cfg.Quirks.NumericStatus {
		body["status"] = status
	}
	if kind != "" {
		body["scimType"] = kind
	}
	if detail != "" {
		body["detail"] = detail
	}
	writeJSON(w, status, mediaType, body)
}

const mediaType = "application/scim+json"

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
