package scimtest

import (
	"encoding/json"
	"net/http"
	"regexp"
)

func (s *Server) roleMatches(held *role, t term) bool {
	switch t.attribute {
	case "displayName":
		return s.matches(held.Name, t.value, false)
	case "audience.value":
		return s.cfg.Quirks.LooseFilters || held.Audience == t.value
	default:
		return false
	}
}

func (s *Server) showRole(held *role) map[string]any {
	audience := map[string]string{"type": "organization"}
	if held.Audience != "" {
		audience = map[string]string{"type": "application", "value": held.Audience}
	}
	return map[string]any{"id": s.shownID(held.ID), "displayName": held.Name, "audience": audience}
}

// The two syntaxes of the path of one user.
var (
	barePath   = regexp.MustCompile(`^users\[value eq ([\w-]+)\]$`)
	quotedPath = regexp.MustCompile(`^users\[value eq "([\w-]+)"\]$`)
)

func (s *Server) patchRole(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Schemas    []string
		Operations []memberOperation
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Operations) == 0 || len(body.Schemas) != 1 {
		s.refuse(w, http.StatusBadRequest, "invalidSyntax", "Request is unparsable, syntactically incorrect, or violates schema.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed *role
	for _, held := range s.roles {
		if held.ID == r.PathValue("id") {
			changed = held
		}
	}
	if changed == nil {
		s.refuse(w, http.StatusNotFound, "", "No Role with the id : "+r.PathValue("id")+" in the system.") // [DOC]
		return
	}
	for _, op := range body.Operations {
		if kind, detail := s.changeMembers(changed, op); kind != "" {
			s.refuse(w, http.StatusBadRequest, kind, detail)
			return
		}
	}
	writeJSON(w, http.StatusOK, mediaType, s.showRole(changed))
}

// memberOperation is a change of a role's members.
type memberOperation struct {
	Op, Path string
	Value    []struct{ Value string }
}

// changeMembers changes a role's members, or says what is wrong with the change: the kind of the error and its text.
func (s *Server) changeMembers(changed *role, op memberOperation) (kind, detail string) {
	path := barePath
	if s.cfg.Quirks.QuotedPaths {
		path = quotedPath
	}
	m := path.FindStringSubmatch(op.Path)
	switch {
	case op.Op == "add" && op.Path == "users":
		for _, added := range op.Value {
			if s.users[added.Value] == nil {
				return "invalidValue", "There is no user " + added.Value // [GUESS]
			}
			changed.members[added.Value] = true
		}
	case op.Op == "remove" && m != nil:
		if s.cfg.Quirks.NoTarget && !changed.members[m[1]] {
			return "noTarget", "There is no such user in the role"
		}
		delete(changed.members, m[1])
	default:
		return "invalidPath", "The path " + op.Path + " is not supported"
	}
	return "", ""
}

// listApplications answers in another format: the management API is not SCIM [DOC].
func (s *Server) listApplications(w http.ResponseWriter, r *http.Request) {
	terms, err := readFilter(r.URL.Query().Get("filter"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, "application/json", map[string]string{
			"code": "APP-60004", "message": "Invalid filter", "description": err.Error(),
		})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []map[string]any{}
	for _, a := range s.applications {
		if len(terms) == 1 && terms[0].attribute == "name" && s.matches(a.Name, terms[0].value, false) {
			found = append(found, map[string]any{"id": s.shownID(a.ID), "name": a.Name})
		}
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"totalResults": len(found), "startIndex": 1, "count": len(found), "applications": found, "links": []string{},
	})
}
