package auth0test

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// isMember reports whether a user is a member, without delay.
func (o *Organization) isMember(userID string) bool {
	return slices.ContainsFunc(o.Members, func(m Member) bool { return m.UserID == userID })
}

// removeMember ends a membership. Its roles stay [GUESS]: since roles can be assigned before a membership, as recorded,
// they need not end with it, and that is the harder case for a client.
func (o *Organization) removeMember(userID string, now time.Time) {
	for i, m := range o.Members {
		if m.UserID == userID {
			o.FormerMembers = append(o.FormerMembers, Member{UserID: userID, Since: now})
			o.Members = slices.Delete(o.Members, i, i+1)
			return
		}
	}
}

// listedMembers returns the members in a delayed list: it misses those who were added within the delay, and still has
// those who were removed within it.
func (o *Organization) listedMembers(now time.Time, delay time.Duration) []string {
	var ids []string
	for _, m := range o.Members {
		if !m.Since.Add(delay).After(now) {
			ids = append(ids, m.UserID)
		}
	}
	for _, m := range o.FormerMembers {
		if m.Since.Add(delay).After(now) && !slices.Contains(ids, m.UserID) {
			ids = append(ids, m.UserID)
		}
	}
	return ids
}

const memberIDs = "List of user IDs to add to the organization as members."

// addMembers treats existing members as a success [GUESS]: Auth0's answer was not found.
func (s *Server) addMembers(w http.ResponseWriter, r *http.Request) {
	s.changeMembers(w, r, func(org *Organization, ids []string) *problem {
		for _, id := range ids {
			if _, ok := s.users[id]; !ok { // [GUESS]: no 404 is documented here
				return &problem{Status: http.StatusBadRequest, Message: "One or more users do not exist."}
			}
		}
		for _, id := range ids {
			if !org.isMember(id) {
				org.Members = append(org.Members, Member{UserID: id, Since: s.now()})
			}
		}
		return nil
	})
}

// removeMembers treats users who are not members as a success [GUESS].
func (s *Server) removeMembers(w http.ResponseWriter, r *http.Request) {
	s.changeMembers(w, r, func(org *Organization, ids []string) *problem {
		for _, id := range ids {
			org.removeMember(id, s.now())
		}
		return nil
	})
}

func (s *Server) changeMembers(w http.ResponseWriter, r *http.Request, change func(org *Organization, ids []string) *problem) {
	ids, refusal := readIDs(r, "members", memberIDs)
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		if refusal := change(org, ids); refusal != nil {
			refusal.write(w)
			return
		}
		s.mustSave()
		noContent(w)
	})
}

// memberResponse is a member in a list, with the recorded members of a profile.
type memberResponse struct {
	UserID  string `json:"user_id"`
	Email   string `json:"email,omitempty"`
	Picture string `json:"picture,omitempty"`
	Name    string `json:"name,omitempty"`
}

// listMembers is eventually consistent: see Config.MemberDelay.
func (s *Server) listMembers(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		shown := []memberResponse{}
		for _, id := range org.listedMembers(s.now(), s.cfg.MemberDelay) {
			one := memberResponse{UserID: id}
			if rec, ok := s.users[id]; ok {
				one.Email, one.Picture, one.Name = rec.User.Email, rec.User.Picture, rec.User.Name
			}
			shown = append(shown, one)
		}
		writeListing(w, r, "members", shown, func(m memberResponse) string { return m.UserID })
	})
}

// listMemberRoles also shows the roles of a user who is not a member, as recorded.
func (s *Server) listMemberRoles(w http.ResponseWriter, r *http.Request) {
	id, refusal := s.knownUser(r, "user")
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		writeListing(w, r, "roles", s.rolesWith(org.Roles[id]), func(role Role) string { return role.ID })
	})
}

// addMemberRoles does not check whether the user is a member, as recorded; it checks whether the user exists [GUESS].
func (s *Server) addMemberRoles(w http.ResponseWriter, r *http.Request) {
	s.changeMemberRoles(w, r, s.withRoles)
}

func (s *Server) removeMemberRoles(w http.ResponseWriter, r *http.Request) {
	s.changeMemberRoles(w, r, func(have, ids []string) ([]string, *problem) { return without(have, ids), nil })
}

func (s *Server) changeMemberRoles(w http.ResponseWriter, r *http.Request, change func(have, ids []string) ([]string, *problem)) {
	id, refusal := s.knownUser(r, "user")
	var ids []string
	if refusal == nil {
		ids, refusal = readIDs(r, "roles", roleIDs)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		roles, refusal := change(org.Roles[id], ids)
		if refusal != nil {
			refusal.write(w)
			return
		}
		org.Roles[id] = roles
		maps.DeleteFunc(org.Roles, func(_ string, roles []string) bool { return len(roles) == 0 })
		s.mustSave()
		noContent(w)
	})
}

// MemberRoles returns the names of the roles that a user has in an organization.
func (s *Server) MemberRoles(organizationID, userID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	org, refusal := s.organization(organizationID)
	if refusal != nil {
		return nil
	}
	return s.roleNames(org.Roles[userID])
}
