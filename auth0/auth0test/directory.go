package auth0test

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// directory is a tenant's data besides users: roles, organizations, and their indexes. It is a part of the state file.
// Server.mu guards it.
type directory struct {
	// Connections are nil until one is changed; until then those of the configuration apply.
	Connections   []storedConnection  `json:"connections,omitempty"`
	Roles         []*Role             `json:"roles"`
	UserRoles     map[string][]string `json:"user_roles"` // ids of roles, by user id
	Organizations []*Organization     `json:"organizations"`
	Invitations   []*Invitation       `json:"invitations"`
	Tickets       []*ticket           `json:"tickets"`
	Jobs          []*job              `json:"jobs"`
}

// newDirectory returns the directory of a new tenant: its roles, and nothing else.
func newDirectory(roles []string) *directory {
	d := &directory{UserRoles: map[string][]string{}}
	for _, name := range roles {
		d.Roles = append(d.Roles, &Role{ID: newID("rol_"), Name: name, Description: "The role " + name})
	}
	return d
}

// removeReferences removes a deleted user from everything. Delayed lists may show it for a while.
func (s *Server) removeReferences(userID string) {
	delete(s.directory.UserRoles, userID)
	for _, org := range s.directory.Organizations {
		org.removeMember(userID, s.now())
		delete(org.Roles, userID)
	}
	s.directory.Tickets = slices.DeleteFunc(s.directory.Tickets, func(t *ticket) bool { return t.UserID == userID })
}

const alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newID returns a prefix such as "org_" and 16 characters, as recorded.
func newID(prefix string) string { return prefix + randomText(16) }

func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = alphanumerics[int(b[i])%len(alphanumerics)]
	}
	return string(b)
}

// connectionID returns an id that is the same in every run, since connections come from the configuration and are in no
// state file.
func connectionID(name string) string {
	sum := sha256.Sum256([]byte(name))
	id := make([]byte, 16)
	for i := range id {
		id[i] = alphanumerics[int(sum[i])%len(alphanumerics)]
	}
	return "con_" + string(id)
}

// writeListing writes a list in the three forms of Auth0: bare; with totals; and, if take is set, with a mark for the
// next page, for which the items are ordered by id.
func writeListing[T any](w http.ResponseWriter, r *http.Request, name string, items []T, idOf func(T) string) {
	query := r.URL.Query()
	if items == nil {
		items = []T{}
	}
	if query.Has("take") || query.Has("from") {
		writeCheckpoint(w, r, name, items, idOf)
		return
	}
	page, size, refusal := paging(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	start := min(page*size, len(items))
	shown := selectFields(r, items[start:min(start+size, len(items))])
	if query.Get("include_totals") != "true" {
		writeJSON(w, http.StatusOK, shown)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{name: shown, "start": page * size, "limit": size, "total": len(items)})
}

// writeCheckpoint uses the last id of the page as its mark [GUESS]: marks are opaque. A list of members has one even on
// its last page, as recorded once.
func writeCheckpoint[T any](w http.ResponseWriter, r *http.Request, name string, items []T, idOf func(T) string) {
	take := 50
	if text := r.URL.Query().Get("take"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			badQuery("Object didn't pass validation for format take: " + text).write(w)
			return
		}
		take = n
	}
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(idOf(a), idOf(b)) })
	from := r.URL.Query().Get("from")
	items = slices.DeleteFunc(items, func(item T) bool { return idOf(item) <= from })
	shown := items[:min(take, len(items))]
	answer := map[string]any{name: selectFields(r, shown)}
	if len(items) > take || name == "members" && len(shown) > 0 {
		answer["next"] = idOf(shown[len(shown)-1])
	}
	writeJSON(w, http.StatusOK, answer)
}

// noContent writes a success without a body, as recorded.
func noContent(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusNoContent)
}

// readChecked reads a body and checks it against a schema, which allows no other members.
func readChecked(r *http.Request, schema []property, required ...string) (map[string]any, *problem) {
	members, refusal := readBody(r, schema)
	if refusal == nil {
		refusal = checkSchema(members, schema, true, required...)
	}
	return members, refusal
}

// idsSchema returns the schema of bodies with a list of ids to add or to remove.
func idsSchema(name, description string) []property {
	return []property{{name: name, kind: "array", min: 1, description: description}}
}

// readIDs reads such a body.
func readIDs(r *http.Request, name, description string) ([]string, *problem) {
	members, refusal := readChecked(r, idsSchema(name, description), name)
	if refusal != nil {
		return nil, refusal
	}
	var ids []string
	for _, value := range members[name].([]any) {
		id, ok := value.(string)
		if !ok {
			return nil, badField("Expected type string but found type "+kindOf(value), name, description)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, badField("Array is too short (0), minimum 1", name, description)
	}
	return ids, nil
}
