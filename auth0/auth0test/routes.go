package auth0test

import "net/http"

// routeDirectory adds the routes besides those of users and tokens. The documentation of each call lists its scopes.
func (s *Server) routeDirectory(mux *http.ServeMux) {
	on := func(pattern string, handler http.HandlerFunc, scopes ...string) {
		mux.HandleFunc(pattern, s.managed(handler, scopes...))
	}

	on("GET /api/v2/roles", s.listRoles, "read:roles")
	on("POST /api/v2/roles", s.createRole, "create:roles")
	on("GET /api/v2/roles/{id}", s.getRole, "read:roles")
	on("DELETE /api/v2/roles/{id}", s.deleteRole, "delete:roles")
	on("GET /api/v2/users/{id}/roles", s.listUserRoles, "read:users", "read:roles", "read:role_members")
	on("POST /api/v2/users/{id}/roles", s.addUserRoles, "read:roles", "update:users")
	on("DELETE /api/v2/users/{id}/roles", s.removeUserRoles, "update:users")
	on("GET /api/v2/users/{id}/organizations", s.listUserOrganizations, "read:users", "read:organizations")

	on("GET /api/v2/connections", s.listConnections, "read:connections")
	on("POST /api/v2/connections", s.createConnection, "create:connections")
	on("GET /api/v2/connections/{id}", s.getConnection, "read:connections")
	on("PATCH /api/v2/connections/{id}", s.updateConnection, "update:connections")
	on("DELETE /api/v2/connections/{id}", s.deleteConnection, "delete:connections")

	on("POST /api/v2/tickets/password-change", s.createPasswordTicket, "create:user_tickets")
	on("POST /api/v2/tickets/email-verification", s.createVerifyTicket, "create:user_tickets")
	on("POST /api/v2/jobs/verification-email", s.createVerification, "update:users")
	on("GET /api/v2/jobs/{id}", s.getJob, "create:users", "read:users")

	s.routeOrganizations(mux)

	for _, path := range []string{resetPath, otherResetPath} {
		mux.HandleFunc("GET "+path, s.getReset)
		mux.HandleFunc("POST "+path, s.postReset)
	}
	mux.HandleFunc("GET "+verifyPath, s.getVerification)
	mux.HandleFunc("POST /passwordless/start", s.startPasswordless)
	mux.HandleFunc("POST /dbconnections/change_password", s.changePassword)
}

func (s *Server) routeOrganizations(mux *http.ServeMux) {
	on := func(pattern string, handler http.HandlerFunc, scopes ...string) {
		mux.HandleFunc(pattern, s.managed(handler, scopes...))
	}

	on("GET /api/v2/organizations", s.listOrganizations, "read:organizations", "read:organizations_summary")
	on("POST /api/v2/organizations", s.createOrganization, "create:organizations")
	on("GET /api/v2/organizations/{id}", s.getOrganization, "read:organizations", "read:organizations_summary")
	on("PATCH /api/v2/organizations/{id}", s.updateOrganization, "update:organizations")
	on("DELETE /api/v2/organizations/{id}", s.deleteOrganization, "delete:organizations")
	on("POST /api/v2/organizations/{id}/members", s.addMembers, "create:organization_members")
	on("DELETE /api/v2/organizations/{id}/members", s.removeMembers, "delete:organization_members")
	on("GET /api/v2/organizations/{id}/members/{user}/roles", s.listMemberRoles, "read:organization_member_roles")
	on("POST /api/v2/organizations/{id}/members/{user}/roles", s.addMemberRoles, "create:organization_member_roles")
	on("DELETE /api/v2/organizations/{id}/members/{user}/roles", s.removeMemberRoles, "delete:organization_member_roles")
	on("POST /api/v2/organizations/{id}/enabled_connections", s.enableConnection, "create:organization_connections")
	on("GET /api/v2/organizations/{id}/enabled_connections/{connection}", s.getOrgConnection, "read:organization_connections")
	on("DELETE /api/v2/organizations/{id}/enabled_connections/{connection}", s.disableConnection, "delete:organization_connections")
	on("POST /api/v2/organizations/{id}/invitations", s.createInvitation, "create:organization_invitations")
	on("GET /api/v2/organizations/{id}/invitations/{invitation}", s.getInvitation, "read:organization_invitations")
	on("DELETE /api/v2/organizations/{id}/invitations/{invitation}", s.deleteInvitation, "delete:organization_invitations")

	// These four are one pattern for net/http, which otherwise could not distinguish /organizations/name/members.
	byName := s.managed(s.getOrganizationByName, "read:organizations")
	parts := map[string]http.HandlerFunc{
		"members":             s.managed(s.listMembers, "read:organization_members", "read:organization_member_roles"),
		"enabled_connections": s.managed(s.listOrgConnections, "read:organization_connections"),
		"invitations":         s.managed(s.listInvitations, "read:organization_invitations"),
	}
	mux.HandleFunc("GET /api/v2/organizations/{id}/{part}", func(w http.ResponseWriter, r *http.Request) {
		part, ok := parts[r.PathValue("part")]
		switch {
		case r.PathValue("id") == "name":
			byName(w, r)
		case ok:
			part(w, r)
		default:
			notFound(w, r)
		}
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	problem{Status: http.StatusNotFound, Message: "Not Found"}.write(w)
}
