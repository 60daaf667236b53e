package auth0test

import (
	"net/http"
	"slices"
	"strings"
)

// Role is a role of the tenant.
type Role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// maxRoles is how many roles a user, or a member of an organization, may have [DOC].
const maxRoles = 50

// Roles returns the tenant's roles.
func (s *Server) Roles() []Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	var roles []Role
	for _, role := range s.directory.Roles {
		roles = append(roles, *role)
	}
	return roles
}

// RolesOf returns the names of the roles that a user has for the whole tenant, outside of organizations.
func (s *Server) RolesOf(userID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roleNames(s.directory.UserRoles[userID])
}

// roleNames needs s.mu.
func (s *Server) roleNames(ids []string) []string {
	var names []string
	for _, role := range s.rolesWith(ids) {
		names = append(names, role.Name)
	}
	return names
}

// rolesWith returns the roles with these ids. It needs s.mu.
func (s *Server) rolesWith(ids []string) []Role {
	var roles []Role
	for _, id := range ids {
		if i := s.roleIndex(id); i >= 0 {
			roles = append(roles, *s.directory.Roles[i])
		}
	}
	return roles
}

// roleIndex needs s.mu.
func (s *Server) roleIndex(id string) int {
	return slices.IndexFunc(s.directory.Roles, func(role *Role) bool { return role.ID == id })
}

// roleMissing has no code, as recorded.
func roleMissing() *problem {
	return &problem{Status: http.StatusNotFound, Message: "The role does not exist."}
}

var newRoleSchema = []property{
	{name: "name", kind: "string", min: 1, description: "Name of the role."},
	{name: "description", kind: "string", description: "Description of the role."},
}

// createRole answers 200, as recorded.
func (s *Server) createRole(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, newRoleSchema, "name")
	if refusal != nil {
		refusal.write(w)
		return
	}
	role := &Role{ID: newID("rol_"), Name: members["name"].(string)}
	role.Description, _ = members["description"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.directory.Roles, func(other *Role) bool { return other.Name == role.Name }) {
		problem{Status: http.StatusConflict, Message: "A role with the same name already exists."}.write(w) // [GUESS]
		return
	}
	s.directory.Roles = append(s.directory.Roles, role)
	s.mustSave()
	writeJSON(w, http.StatusOK, role)
}

// listRoles filters by a part of the name, case-insensitively [DOC].
func (s *Server) listRoles(w http.ResponseWriter, r *http.Request) {
	part := strings.ToLower(r.URL.Query().Get("name_filter"))
	roles := slices.DeleteFunc(s.Roles(), func(role Role) bool { return !strings.Contains(strings.ToLower(role.Name), part) })
	writeListing(w, r, "roles", roles, func(role Role) string { return role.ID })
}

func (s *Server) getRole(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	roles := s.rolesWith([]string{r.PathValue("id")})
	s.mu.Unlock()
	if len(roles) == 0 {
		roleMissing().write(w)
		return
	}
	writeJSON(w, http.StatusOK, roles[0])
}

// deleteRole answers 200 with an empty object, as recorded, and removes the role from everybody.
func (s *Server) deleteRole(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dropRole(r.PathValue("id")) {
		roleMissing().write(w)
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

// dropRole removes a role, and reports whether it existed. It needs s.mu.
func (s *Server) dropRole(id string) bool {
	i := s.roleIndex(id)
	if i < 0 {
		return false
	}
	s.directory.Roles = slices.Delete(s.directory.Roles, i, i+1)
	same := func(other string) bool { return other == id }
	for user, ids := range s.directory.UserRoles {
		s.directory.UserRoles[user] = slices.DeleteFunc(ids, same)
	}
	for _, org := range s.directory.Organizations {
		for user, ids := range org.Roles {
			org.Roles[user] = slices.DeleteFunc(ids, same)
		}
	}
	s.mustSave()
	return true
}

func (s *Server) listUserRoles(w http.ResponseWriter, r *http.Request) {
	id, refusal := s.knownUser(r, "id")
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	roles := s.rolesWith(s.directory.UserRoles[id])
	s.mu.Unlock()
	writeListing(w, r, "roles", roles, func(role Role) string { return role.ID })
}

const roleIDs = "List of roles IDs to associated with the user."

func (s *Server) addUserRoles(w http.ResponseWriter, r *http.Request) {
	s.changeUserRoles(w, r, func(have, ids []string) ([]string, *problem) { return s.withRoles(have, ids) })
}

func (s *Server) removeUserRoles(w http.ResponseWriter, r *http.Request) {
	s.changeUserRoles(w, r, func(have, ids []string) ([]string, *problem) { return without(have, ids), nil })
}

func (s *Server) changeUserRoles(w http.ResponseWriter, r *http.Request, change func(have, ids []string) ([]string, *problem)) {
	id, refusal := s.knownUser(r, "id")
	var ids []string
	if refusal == nil {
		ids, refusal = readIDs(r, "roles", roleIDs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal == nil {
		var roles []string
		if roles, refusal = change(s.directory.UserRoles[id], ids); refusal == nil {
			s.directory.UserRoles[id] = roles
		}
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mustSave()
	noContent(w)
}

// withRoles adds roles to existing ones; a role that exists already is not added again. It needs s.mu.
func (s *Server) withRoles(have, ids []string) ([]string, *problem) {
	have = slices.Clone(have)
	for _, id := range ids {
		if s.roleIndex(id) < 0 {
			return nil, roleMissing() // [GUESS]
		}
		if !slices.Contains(have, id) {
			have = append(have, id)
		}
	}
	if len(have) > maxRoles {
		return nil, &problem{Status: http.StatusConflict, Message: "No more roles can be assigned to this organization member."} // [DOC]
	}
	return have, nil
}

// without returns a list without some of its members.
func without(have, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(have), func(id string) bool { return slices.Contains(ids, id) })
}

// knownUser returns the user id of the path, if the user exists.
func (s *Server) knownUser(r *http.Request, name string) (string, *problem) {
	id, refusal := userIDOf(r.PathValue(name))
	if refusal != nil {
		return "", refusal
	}
	if _, ok := s.User(id); !ok {
		return "", userMissing()
	}
	return id, nil
}

// RemoveRole removes a role by its name, and from everybody who has it.
func (s *Server) RemoveRole(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range s.directory.Roles {
		if role.Name == name {
			s.dropRole(role.ID)
			return
		}
	}
}
