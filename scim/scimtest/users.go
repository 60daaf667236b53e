package scimtest

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode"
)

func (s *Server) createUser(w http.ResponseWriter, r *http.Request) {
	body, u := map[string]any{}, &User{ID: s.newID(), CreatedAt: s.cfg.Now().UTC()}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != mediaType {
		s.refuse(w, http.StatusBadRequest, "invalidSyntax", "Request is unparsable, syntactically incorrect, or violates schema.")
		return
	}
	u.Body = body
	u.UserName, _ = body["userName"].(string)
	u.ExternalID, _ = body["externalId"].(string)
	u.Password, _ = body["password"].(string)
	if emails, _ := body["emails"].([]any); len(emails) > 0 {
		first, _ := emails[0].(map[string]any)
		u.Email, _ = first["value"].(string)
	}
	name := u.UserName[strings.Index(u.UserName, "/")+1:]
	if !strings.Contains(name, "@") { // in this organization user names are e-mails [FIELD]
		s.refuse(w, http.StatusBadRequest, "invalidValue", "31301 - Username "+name+
			" is not valid. User name must be a non null string with following format, ^[\\S]{3,30}$")
		return
	}
	if problem := weak(u.Password); problem != "" {
		s.refuse(w, http.StatusBadRequest, "invalidValue", "20035 - "+problem) // [FIELD]
		return
	}
	if s.cfg.Quirks.DropsExternalIDs {
		u.ExternalID = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[strings.ToLower(u.UserName)] != nil {
		if s.cfg.Quirks.DuplicateIsBadRequest {
			s.refuse(w, http.StatusBadRequest, "invalidValue", "Username '"+u.UserName+
				"' already exists in the system. Please pick another username.") // [FIELD]
			return
		}
		s.refuse(w, http.StatusConflict, "uniqueness",
			"User with the name: "+u.UserName+" already exists in the system.") // [FIELD]
		return
	}
	s.users[u.ID], s.names[strings.ToLower(u.UserName)] = u, u
	writeJSON(w, http.StatusCreated, mediaType, s.show(u))
}

// weak returns the problem of a password: Asgardeo requires 8 characters, of both letter cases, and a digit [DOC].
func weak(password string) string {
	switch {
	case len(password) < 8:
		return "The password must have at least 8 characters"
	case !strings.ContainsFunc(password, unicode.IsUpper) || !strings.ContainsFunc(password, unicode.IsLower):
		return "The password must have a letter of each case"
	case !strings.ContainsFunc(password, unicode.IsDigit):
		return "The password must have a digit"
	}
	return ""
}

// userMatches reports whether a user meets a term. externalId is case-sensitive, the others are not (RFC 7643, section 8.7.1).
func (s *Server) userMatches(u *User, t term) bool {
	switch t.attribute {
	case "externalId":
		return s.matches(u.ExternalID, t.value, true)
	case "userName":
		return s.matches(u.UserName, t.value, false)
	case "emails", "emails.value":
		return s.matches(u.Email, t.value, false)
	default:
		return false
	}
}

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[r.PathValue("id")]
	if u == nil {
		s.noUser(w, r)
		return
	}
	writeJSON(w, http.StatusOK, mediaType, s.show(u))
}

// patchUser replaces a password, and supports no other change.
func (s *Server) patchUser(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Operations []struct {
			Op    string
			Value struct{ Password string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Operations) != 1 || body.Operations[0].Op != "replace" {
		s.refuse(w, http.StatusBadRequest, "invalidSyntax", "Request is unparsable, syntactically incorrect, or violates schema.")
		return
	}
	if problem := weak(body.Operations[0].Value.Password); problem != "" {
		s.refuse(w, http.StatusBadRequest, "invalidValue", "20035 - "+problem)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[r.PathValue("id")]
	if u == nil {
		s.noUser(w, r)
		return
	}
	u.Password = body.Operations[0].Value.Password
	writeJSON(w, http.StatusOK, mediaType, s.show(u))
}

func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[r.PathValue("id")]
	if u == nil {
		s.noUser(w, r)
		return
	}
	delete(s.users, u.ID)
	delete(s.names, strings.ToLower(u.UserName))
	for _, held := range s.roles {
		delete(held.members, u.ID)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) noUser(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, http.StatusNotFound, "", "No user with the id : "+r.PathValue("id")+" in the user store.") // [DOC]
}

// show returns a user as the server sends it. It needs s.mu.
func (s *Server) show(u *User) map[string]any {
	shown := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User", "urn:scim:wso2:schema"},
		"id":      s.shownID(u.ID), "userName": u.UserName,
		"meta": map[string]string{
			"resourceType": "User", "created": u.CreatedAt.Format(time.RFC3339Nano), "location": s.URL() + "/scim2/Users/" + u.ID,
		},
		"urn:scim:wso2:schema": map[string]any{"emailVerified": u.EmailVerified},
	}
	if u.ExternalID != "" {
		shown["externalId"] = u.ExternalID
	}
	switch {
	case u.Email == "":
	case s.cfg.Quirks.ObjectEmails:
		shown["emails"] = []map[string]any{{"type": "other", "value": "second." + u.Email}, {"primary": true, "value": u.Email}}
	default:
		shown["emails"] = []string{u.Email}
	}
	if !s.cfg.Quirks.OmitsRoles {
		// every user has this one [DOC]
		roles := []map[string]any{{"value": "everyone", "display": "everyone", "audienceType": "organization"}}
		for _, held := range s.roles {
			if held.members[u.ID] {
				roles = append(roles, map[string]any{"value": s.shownID(held.ID), "display": held.Name, "audienceValue": held.Audience})
			}
		}
		shown["roles"] = roles
	}
	if s.cfg.Quirks.Reshape != nil {
		s.cfg.Quirks.Reshape(shown)
	}
	return shown
}
