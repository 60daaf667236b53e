package auth0test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
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

// deleteUser answers 204 whether or not the user existed, as recorded.
func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) {
	id, refusal := pathID(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	if s.remove(id) {
		s.index.update(id, s.now().Add(s.cfg.SearchDelay), nil)
		s.removeReferences(id)
	}
	s.mustSave()
	s.mu.Unlock()
	noContent(w)
}

// listUsersByEmail is immediately consistent, includes all connections, and is case-sensitive.
func (s *Server) listUsersByEmail(w http.ResponseWriter, r *http.Request) {
	email := r.URL.Query().Get("email")
	if email == "" {
		badQuery("Missing required property: email").write(w)
		return
	}
	users := []User{}
	s.mu.Lock()
	for _, connection := range s.connections() {
		if rec, ok := s.logins[loginName{connection.Connection.Name, byEmail, email}]; ok {
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

// badParameter refuses one parameter of the query, in the form that is recorded for properties of bodies.
func badParameter(reason, name string) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: codeQuery,
		Message: "Query validation error: '" + reason + "' on property " + name + " (" + searchParameters[name] + ").",
	}
}

// searchWindow is how many users a search shows at most, on all pages.
const searchWindow = 1000

// searchParameters are the parameters of the search, with Auth0's descriptions; all others are refused.
var searchParameters = map[string]string{
	"page":           "Page index of the results to return. First page is 0.",
	"per_page":       "Number of results per page.",
	"include_totals": "Return results inside an object that contains the total result count (true) or as a direct array of results (false, default).",
	"sort":           "Field to sort by. Use <code>field:order</code> where order is <code>1</code> for ascending and <code>-1</code> for descending. e.g. <code>created_at:1</code>",
	"connection":     "Connection filter. Only applies when using <code>search_engine=v1</code>.",
	"fields":         "Comma-separated list of fields to include or exclude (based on value provided for include_fields) in the result. Leave empty to retrieve all fields",
	"include_fields": "Whether specified fields are to be included (true) or excluded (false).",
	"q":              "Query in Lucene query string syntax.",
	"search_engine":  "The version of the search engine",
	"primary_order":  "If true (default), results are returned in a deterministic order.",
}

// listUsers is GET /api/v2/users: https://auth0.com/docs/api/management/v2/users/get-users
// It is eventually consistent: see Config.SearchDelay. The parameter connection has no effect in this version of the
// search [DOC].
func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	refusal := checkSearch(query)
	page, size, refusedPage := paging(r)
	order, refusedOrder := parseSort(query.Get("sort"))
	match, refusedQuery := parseQuery(query.Get("q"))
	if refusal = cmp.Or(refusal, refusedPage, refusedOrder, refusedQuery); refusal != nil {
		refusal.write(w)
		return
	}
	var users []User
	s.mu.Lock()
	for _, user := range s.index.users(s.now()) {
		if match(*user) {
			users = append(users, *user)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(users, order)
	start := min(page*size, len(users))
	shown := selectFields(r, users[start:min(start+size, len(users))])
	if query.Get("include_totals") != "true" {
		writeJSON(w, http.StatusOK, shown)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"start": page * size, "limit": size, "length": len(shown), "total": len(users), "users": shown,
	})
}

// userFields are the values that fields may have, and their order in the refusal of others [FIELD].
var userFields = strings.Split("phone_number,email,email_verified,picture,username,user_id,name,nickname,created_at,"+
	"identities,app_metadata,user_metadata,last_ip,last_login,logins_count,updated_at,blocked,family_name,given_name", ",")

// checkSearch allows q without search_engine, as recorded. It refuses what is not in the schema of the query; the texts
// are those of other refusals [GUESS], except of fields [FIELD] and of search_engine [DOC].
func checkSearch(query url.Values) *problem {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if _, ok := searchParameters[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return badQuery("Additional properties not allowed: " + strings.Join(unknown, ","))
	}
	for _, name := range []string{"include_totals", "include_fields", "primary_order"} {
		if value := query.Get(name); value != "" && value != "true" && value != "false" {
			return badParameter("Expected type boolean but found type string", name)
		}
	}
	if fields := query.Get("fields"); fields != "" {
		for name := range strings.SplitSeq(fields, ",") {
			if !slices.Contains(userFields, name) {
				return badParameter("String '"+fields+"' does not match pattern. Must be a comma separated list of the following values: "+
					strings.Join(userFields, ","), "fields")
			}
		}
	}
	refused := func(message string) *problem {
		return &problem{Status: http.StatusBadRequest, Code: codeQuery, Message: message}
	}
	switch engine := query.Get("search_engine"); {
	case engine == "v1":
		return refused("You are not allowed to use search_engine=v1.")
	case engine == "v2":
		return refused("You are not allowed to use search_engine=v2. Use search_engine=v3 instead.")
	case engine != "" && engine != "v3":
		return badParameter("No enum match for: "+engine, "search_engine")
	}
	return nil
}

func paging(r *http.Request) (page, size int, refusal *problem) {
	size = 50
	for name, into := range map[string]*int{"page": &page, "per_page": &size} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, 0, badParameter("Expected type integer but found type string", name)
		}
		if n < 0 {
			return 0, 0, badParameter("Value "+text+" is less than minimum 0", name)
		}
		*into = n
	}
	switch {
	case size > 100:
		return 0, 0, badParameter("Value "+strconv.Itoa(size)+" is greater than maximum 100", "per_page")
	case page > searchWindow || (page+1)*size > searchWindow: // [DOC], its code is [FIELD]
		return 0, 0, &problem{
			Status: http.StatusBadRequest, Code: codePaging,
			Message: "You can only page through the first 1000 records. " +
				"See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation",
		}
	}
	return page, size, nil
}

var sortPattern = regexp.MustCompile(`^([\w.]+):(-?1)$`)

// parseSort supports the profile's texts and times; metadata cannot be sorted by [DOC]. Equal users, and all users
// without an order, are ordered by id: a search repeats its order, and no client may rely on it.
func parseSort(text string) (order func(a, b User) int, refusal *problem) {
	byID := func(a, b User) int { return strings.Compare(a.ID, b.ID) }
	if text == "" {
		return byID, nil
	}
	m := sortPattern.FindStringSubmatch(text)
	if m == nil {
		return nil, badParameter("String does not match pattern "+sortPattern.String()+": "+text, "sort")
	}
	field, sign := m[1], 1
	if m[2] == "-1" {
		sign = -1
	}
	if _, isTime := (User{}).timeFields()[field]; isTime {
		return func(a, b User) int {
			return cmp.Or(sign*a.timeFields()[field].Compare(b.timeFields()[field]), byID(a, b))
		}, nil
	}
	if _, isText := (User{}).texts()[field]; isText {
		return func(a, b User) int {
			return cmp.Or(sign*strings.Compare(a.texts()[field], b.texts()[field]), byID(a, b))
		}, nil
	}
	return nil, badParameter("The simulator's search cannot sort by: "+field, "sort")
}

// selectFields removes the members that the query's fields does not name, or, with include_fields=false, those that it
// names.
func selectFields[T any](r *http.Request, shown []T) []any {
	selected := make([]any, len(shown))
	names := strings.Split(r.URL.Query().Get("fields"), ",")
	drop := r.URL.Query().Get("include_fields") == "false"
	for i, one := range shown {
		selected[i] = one
		if names[0] == "" {
			continue
		}
		var members map[string]json.RawMessage
		raw, _ := json.Marshal(one) // it came as JSON
		_ = json.Unmarshal(raw, &members)
		maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return slices.Contains(names, name) == drop })
		selected[i] = members
	}
	return selected
}
