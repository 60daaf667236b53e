package auth0test

import (
	"cmp"
	"net/http"
	"slices"
)

// OrgConnection is a connection that is enabled for an organization.
type OrgConnection struct {
	ConnectionID            string `json:"connection_id"`
	AssignMembershipOnLogin bool   `json:"assign_membership_on_login"`
	ShowAsButton            bool   `json:"show_as_button"`
	SignupEnabled           bool   `json:"is_signup_enabled,omitempty"`
}

// connectionResponse contains the connection itself too, as recorded.
type connectionResponse struct {
	OrgConnection
	Connection namedConnection `json:"connection"`
}

type namedConnection struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
}

// connectionMissing is recorded at GET /connections/{id}: without a full stop, unlike that of users.
func connectionMissing() *problem {
	return &problem{Status: http.StatusNotFound, Code: codeConnectionMissing, Message: "The connection does not exist"}
}

// noConnection is the refusal of organizations, without a code, as recorded.
func noConnection() *problem {
	return &problem{Status: http.StatusNotFound, Message: "No connection found by that id"}
}

// listConnections filters by the exact name, and by strategies.
func (s *Server) listConnections(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	shown := []map[string]any{}
	for _, conn := range s.connections() {
		if query.Has("name") && query.Get("name") != conn.Connection.Name ||
			query.Has("strategy") && !slices.Contains(query["strategy"], conn.Connection.Strategy) {
			continue
		}
		shown = append(shown, conn.response())
	}
	writeListing(w, r, "connections", shown, func(c map[string]any) string { return c["id"].(string) })
}

func (s *Server) getConnection(w http.ResponseWriter, r *http.Request) {
	conn, ok := s.connectionByID(r.PathValue("id"))
	if !ok {
		connectionMissing().write(w)
		return
	}
	writeJSON(w, http.StatusOK, selectFields(r, []map[string]any{conn.response()})[0])
}

var orgConnectionSchema = []property{
	{name: "connection_id", kind: "string", min: 1, description: "Single connection ID to add to the organization."},
	{name: "assign_membership_on_login", kind: "boolean", description: "When true, all users that log in with this connection will be automatically granted membership in the organization. When false, users must be granted membership in the organization before logging in with this connection."},
	{name: "show_as_button", kind: "boolean", description: "Determines whether a connection should be displayed on this organization’s login prompt. Only applicable for enterprise connections. Default: true."},
	{name: "is_signup_enabled", kind: "boolean", description: "Determines whether organization signup should be enabled for this organization connection. Only applicable for database connections. Default: false."},
}

func (s *Server) readOrgConnection(members map[string]any) (OrgConnection, *problem) {
	if refusal := checkSchema(members, orgConnectionSchema, true, "connection_id"); refusal != nil {
		return OrgConnection{}, refusal
	}
	is := func(name string, otherwise bool) bool {
		value := flag(members, name)
		return *cmp.Or(value, &otherwise)
	}
	enabled := OrgConnection{
		ConnectionID:            members["connection_id"].(string),
		AssignMembershipOnLogin: is("assign_membership_on_login", false),
		ShowAsButton:            is("show_as_button", true),
		SignupEnabled:           is("is_signup_enabled", false),
	}
	if _, ok := s.connectionByID(enabled.ConnectionID); !ok {
		return OrgConnection{}, noConnection()
	}
	if enabled.SignupEnabled && !enabled.AssignMembershipOnLogin { // recorded as a refusal; its text is a [GUESS]
		return OrgConnection{}, badBody("is_signup_enabled needs assign_membership_on_login")
	}
	return enabled, nil
}

// shownConnections returns the connections of an organization as the API shows them.
func (s *Server) shownConnections(org *Organization) []connectionResponse {
	shown := []connectionResponse{}
	for _, enabled := range org.Connections {
		conn, _ := s.connectionByID(enabled.ConnectionID)
		shown = append(shown, connectionResponse{enabled, namedConnection{conn.Connection.Name, conn.Connection.Strategy}})
	}
	return shown
}

func (s *Server) listOrgConnections(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		writeListing(w, r, "enabled_connections", s.shownConnections(org), func(c connectionResponse) string { return c.ConnectionID })
	})
}

func (s *Server) getOrgConnection(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		for _, one := range s.shownConnections(org) {
			if one.ConnectionID == r.PathValue("connection") {
				writeJSON(w, http.StatusOK, one)
				return
			}
		}
		noConnection().write(w)
	})
}

// enableConnection treats a connection that is enabled already as a success, and does not change it [GUESS].
func (s *Server) enableConnection(w http.ResponseWriter, r *http.Request) {
	members, refusal := readBody(r, orgConnectionSchema)
	var enabled OrgConnection
	if refusal == nil {
		enabled, refusal = s.readOrgConnection(members)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		same := func(c OrgConnection) bool { return c.ConnectionID == enabled.ConnectionID }
		if !slices.ContainsFunc(org.Connections, same) {
			org.Connections = append(org.Connections, enabled)
			s.mustSave()
		}
		shown := s.shownConnections(org)
		writeJSON(w, http.StatusCreated, shown[slices.IndexFunc(org.Connections, same)])
	})
}

func (s *Server) disableConnection(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		org.Connections = slices.DeleteFunc(org.Connections, func(c OrgConnection) bool {
			return c.ConnectionID == r.PathValue("connection")
		})
		s.mustSave()
		noContent(w)
	})
}
