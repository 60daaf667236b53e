package auth0test

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
)

// storedConnection is a connection with the members of its answers. It is immutable: a change makes a new one.
type storedConnection struct {
	Connection Connection `json:"connection"`
	// Members are those of the create and of later changes, which are returned as they were sent.
	Members map[string]any `json:"members,omitempty"`
}

// loadConnections loads the connections of the configuration.
func (s *Server) loadConnections() {
	held := make([]storedConnection, len(s.cfg.Connections))
	for i, conn := range s.cfg.Connections {
		held[i] = storedConnection{Connection: conn}
	}
	s.storedConnections.Store(&held)
}

// connections returns the present connections.
func (s *Server) connections() []storedConnection { return *s.storedConnections.Load() }

func (s *Server) connection(name string) (Connection, bool) {
	for _, held := range s.connections() {
		if held.Connection.Name == name {
			return held.Connection, true
		}
	}
	return Connection{}, false
}

// firstConnection returns the name of the default connection.
func (s *Server) firstConnection() string {
	for _, held := range s.connections() {
		return held.Connection.Name
	}
	return ""
}

func (s *Server) connectionByID(id string) (storedConnection, bool) {
	for _, held := range s.connections() {
		if connectionID(held.Connection.Name) == id {
			return held, true
		}
	}
	return storedConnection{}, false
}

// response returns what the Management API shows of a connection, as far as the simulator supports it. The options of a
// new database are recorded.
func (h storedConnection) response() map[string]any {
	conn := h.Connection
	options := map[string]any{"brute_force_protection": true}
	if conn.Strategy == strategyDatabase {
		options["passwordPolicy"] = conn.Policy
		options["requires_username"] = conn.RequiresUsername
	}
	shown := map[string]any{
		"id": connectionID(conn.Name), "name": conn.Name, "strategy": conn.Strategy, "realms": []string{conn.Name},
		"is_domain_connection": false, "enabled_clients": []string{},
	}
	maps.Copy(shown, h.Members)
	if asked, ok := h.Members["options"].(map[string]any); ok {
		maps.Copy(options, asked)
	}
	shown["options"] = options
	return shown
}

var (
	connectionPattern = regexp.MustCompile(`^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$`)

	changedConnectionSchema = []property{
		{name: "display_name", kind: "string", max: 128, description: "Connection name used in the new universal login experience"},
		{name: "options", kind: "object", description: "The connection's options"},
		{name: "enabled_clients", kind: "array", description: "Use of this property is NOT RECOMMENDED. Use the PATCH /v2/connections/{id}/clients endpoint to enable the connection for a set of clients."},
		{name: "is_domain_connection", kind: "boolean", description: "<code>true</code> promotes to a domain-level connection so that third-party applications can use it. <code>false</code> does not promote the connection, so only first-party applications with the connection enabled can use it. (Defaults to <code>false</code>.)"},
		{name: "show_as_button", kind: "boolean", description: "Enables showing a button for the connection in the login page (new experience only). If false, it will be usable only by HRD. (Defaults to <code>false</code>.)"},
		{name: "realms", kind: "array", description: "Defines the realms for which the connection will be used (ie: email domains). If the array is empty or the property is not specified, the connection name will be added as realm."},
		{name: "metadata", kind: "object", description: "Metadata associated with the connection"},
	}
	newConnectionSchema = append(slices.Clone(changedConnectionSchema),
		property{name: "name", kind: "string", min: 1, max: 128, pattern: connectionPattern, description: "The name of the connection. Must start and end with an alphanumeric character and can only contain alphanumeric characters and '-'. Max length 128"},
		property{name: "strategy", kind: "string", min: 1, description: "The type of the connection"},
	)
)

// configured returns the connection with the given options, which replace the old ones completely [DOC].
func (c Connection) configured(options map[string]any) (Connection, *problem) {
	is := func(group, name string) bool {
		if group == "" {
			on, _ := options[name].(bool)
			return on
		}
		inner, _ := options[group].(map[string]any)
		on, _ := inner[name].(bool)
		return on
	}
	number := func(group, name string) int {
		inner, _ := options[group].(map[string]any)
		n, _ := inner[name].(float64)
		return int(n)
	}
	policy, _ := options["passwordPolicy"].(string)
	c.Policy = cmp.Or(Policy(policy), PolicyGood)
	if _, known := policies[c.Policy]; !known {
		return c, badBody("No enum match for: " + policy)
	}
	c.RequiresUsername, c.NoSignup = is("", "requires_username"), is("", "disable_signup")
	c.MinLength = number("password_complexity_options", "min_length")
	c.Dictionary, c.NoUserInfo = is("password_dictionary", "enable"), is("password_no_personal_info", "enable")
	c.History = 0
	if is("password_history", "enable") {
		c.History = number("password_history", "size")
	}
	return c, nil
}

// createConnection is POST /api/v2/connections: https://auth0.com/docs/api/management/v2/connections/post-connections
func (s *Server) createConnection(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, newConnectionSchema, "name", "strategy")
	made := storedConnection{Members: members}
	if refusal == nil {
		options, _ := members["options"].(map[string]any)
		made.Connection = Connection{Name: members["name"].(string), Strategy: members["strategy"].(string)}
		made.Connection, refusal = made.Connection.configured(options)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.connection(made.Connection.Name); taken { // the status and the message are [DOC], the code is a [GUESS]
		problem{
			Status: http.StatusConflict, Code: codeConnectionConflict, Message: "A connection with the same name already exists",
		}.write(w)
		return
	}
	s.storeConnections(append(slices.Clone(s.connections()), made))
	writeJSON(w, http.StatusCreated, made.response())
}

// updateConnection is PATCH /api/v2/connections/{id}:
// https://auth0.com/docs/api/management/v2/connections/patch-connections-by-id
func (s *Server) updateConnection(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, changedConnectionSchema)
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.connectionByID(r.PathValue("id"))
	if !ok {
		connectionMissing().write(w)
		return
	}
	changed := storedConnection{held.Connection, maps.Clone(held.Members)}
	if changed.Members == nil {
		changed.Members = map[string]any{}
	}
	maps.Copy(changed.Members, members)
	if options, ok := members["options"].(map[string]any); ok {
		if changed.Connection, refusal = changed.Connection.configured(options); refusal != nil {
			refusal.write(w)
			return
		}
	}
	all := slices.Clone(s.connections())
	all[slices.IndexFunc(all, func(h storedConnection) bool { return h.Connection.Name == held.Connection.Name })] = changed
	s.storeConnections(all)
	writeJSON(w, http.StatusOK, changed.response())
}

// deleteConnection deletes the connection's users too [DOC]. It answers 202, as recorded, and 204 for a missing one
// [DOC].
func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.PathValue("id")
	held, ok := s.connectionByID(id)
	if !ok {
		noContent(w)
		return
	}
	for userID, rec := range s.users {
		if rec.User.Identities[0].Connection == held.Connection.Name && s.remove(userID) {
			s.index.update(userID, s.now().Add(s.cfg.SearchDelay), nil)
			s.removeReferences(userID)
		}
	}
	for _, org := range s.directory.Organizations {
		org.Connections = slices.DeleteFunc(org.Connections, func(c OrgConnection) bool { return c.ConnectionID == id })
	}
	s.storeConnections(slices.DeleteFunc(slices.Clone(s.connections()), func(h storedConnection) bool { return h.Connection.Name == held.Connection.Name }))
	writeJSON(w, http.StatusAccepted, map[string]Time{"deleted_at": s.timestamp()})
}

// storeConnections replaces the connections. It needs s.mu; reading them does not.
func (s *Server) storeConnections(all []storedConnection) {
	s.directory.Connections = all
	s.storedConnections.Store(&all)
	s.mustSave()
}
