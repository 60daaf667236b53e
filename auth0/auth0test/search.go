package auth0test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func userMissing() *problem {
	return &problem{Status: http.StatusNotFound, Code: codeUserMissing, Message: "The user does not exist."}
}

// getUser is immediately consistent.
func (s *Server) getUser(w http.ResponseWriter, r *http.Request) {
	id, refusal := pathID(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	user, ok := s.User(id)
	if !ok {
		userMissing().write(w)
		return
	}
	writeJSON(w, http.StatusOK, selectFields(r, []User{user})[0])
}

// deleteUser answers 204 whether or not there was such a user, as recorded.
func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) {
	id, refusal := pathID(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	s.remove(id)
	s.mustSave()
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusNoContent)
}

// listUsersByEmail is immediately consistent, spans all connections, and minds the letter case.
func (s *Server) listUsersByEmail(w http.ResponseWriter, r *http.Request) {
	email := r.URL.Query().Get("email")
	if email == "" {
		badQuery("Missing required property: email").write(w)
		return
	}
	users := []User{}
	s.mu.Lock()
	for _, connection := range s.cfg.Connections {
		if rec, ok := s.logins[loginName{connection.Name, byEmail, email}]; ok {
			users = append(users, rec.User.clone())
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, selectFields(r, users))
}

func badQuery(reason string) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: codeQuery, Message: "Query validation error: '" + reason + "'.",
	}
}

// searchWindow is how many users a search shows at most, whatever the page.
const searchWindow = 1000

// listUsers is GET /api/v2/users: https://auth0.com/docs/api/management/v2/users/get-users
// It is eventually consistent: see Config.SearchDelay. Of the query language, field:value joined by AND is understood.
func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) {
	page, size, refusal := paging(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	match, refusal := parseSearch(r.URL.Query().Get("q"))
	if refusal != nil {
		refusal.write(w)
		return
	}
	connection := r.URL.Query().Get("connection")
	s.mu.Lock()
	now := s.now()
	users := s.usersWhere(func(rec *record) bool {
		return !rec.Seen.After(now) && match(rec.User) &&
			(connection == "" || rec.User.Identities[0].Connection == connection)
	})
	s.mu.Unlock()
	start := min(page*size, len(users))
	shown := selectFields(r, users[start:min(start+size, len(users))])
	if r.URL.Query().Get("include_totals") != "true" {
		writeJSON(w, http.StatusOK, shown)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"start": page * size, "limit": size, "length": len(shown), "total": len(users), "users": shown,
	})
}

func paging(r *http.Request) (page, size int, refusal *problem) {
	size = 50
	for name, into := range map[string]*int{"page": &page, "per_page": &size} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, 0, badQuery("Expected type integer but found type string' on property " + name)
		}
		*into = n
	}
	switch {
	case size > 100:
		return 0, 0, badQuery("Value " + strconv.Itoa(size) + " is greater than maximum 100' on property per_page")
	case page > searchWindow || (page+1)*size > searchWindow: // [DOC], its code is a [FIELD] one
		return 0, 0, &problem{
			Status: http.StatusBadRequest, Code: codePaging,
			Message: "You can only page through the first 1000 records. " +
				"See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation",
		}
	}
	return page, size, nil
}

// parseSearch understands field:value and field:"value", joined by AND.
func parseSearch(q string) (func(User) bool, *problem) {
	type term struct{ field, value string }
	var terms []term
	for part := range strings.SplitSeq(q, " AND ") {
		if part = strings.TrimSpace(part); part == "" || part == "*" {
			continue
		}
		field, value, ok := strings.Cut(part, ":")
		value = strings.Trim(value, `"`)
		if !ok || field == "" || strings.ContainsAny(value, `*?[]{}"`) {
			return nil, badQuery("The simulator's search does not understand: " + part)
		}
		terms = append(terms, term{field, value})
	}
	return func(u User) bool {
		return !slices.ContainsFunc(terms, func(t term) bool { return !u.has(t.field, t.value) })
	}, nil
}

func (u User) has(field, value string) bool {
	if key, ok := strings.CutPrefix(field, "app_metadata."); ok {
		text, isText := u.AppMetadata[key].(string)
		return isText && text == value
	}
	if key, ok := strings.CutPrefix(field, "user_metadata."); ok {
		text, isText := u.UserMetadata[key].(string)
		return isText && text == value
	}
	fields := map[string]string{
		"user_id": u.ID, "email": u.Email, "username": u.Username, "name": u.Name, "nickname": u.Nickname,
		"given_name": u.GivenName, "family_name": u.FamilyName, "email_verified": strconv.FormatBool(u.EmailVerified),
		"identities.connection": u.Identities[0].Connection,
	}
	have, ok := fields[field]
	return ok && strings.EqualFold(have, value)
}

// selectFields leaves the members that the query's fields names, or, with include_fields=false, all others.
func selectFields(r *http.Request, users []User) []any {
	selected := make([]any, len(users))
	names := strings.Split(r.URL.Query().Get("fields"), ",")
	drop := r.URL.Query().Get("include_fields") == "false"
	for i, user := range users {
		selected[i] = user
		if names[0] == "" {
			continue
		}
		var members map[string]json.RawMessage
		raw, _ := json.Marshal(user) // it came as JSON
		_ = json.Unmarshal(raw, &members)
		maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return slices.Contains(names, name) == drop })
		selected[i] = members
	}
	return selected
}
