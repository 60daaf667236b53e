package auth0test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Organization is an organization with all its data.
type Organization struct {
	ID            string              `json:"id"`
	Name          string              `json:"name"`
	DisplayName   string              `json:"display_name,omitempty"`
	Branding      map[string]any      `json:"branding,omitempty"`
	Metadata      map[string]string   `json:"metadata,omitempty"`
	Connections   []OrgConnection     `json:"connections,omitempty"`
	Members       []Member            `json:"members,omitempty"`
	FormerMembers []Member            `json:"gone,omitempty"`
	Roles         map[string][]string `json:"roles,omitempty"` // ids of roles, by user id
}

// Member is a present or former member; Since is when that began.
type Member struct {
	UserID string    `json:"user_id"`
	Since  time.Time `json:"since"`
}

// organizationResponse is what the Management API shows of an organization.
type organizationResponse struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	DisplayName string            `json:"display_name,omitempty"`
	Branding    map[string]any    `json:"branding,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	// Connections are only in the answer to a create with connections, as recorded.
	Connections []connectionResponse `json:"enabled_connections,omitempty"`
}

func (o *Organization) response() organizationResponse {
	return organizationResponse{ID: o.ID, Name: o.Name, DisplayName: o.DisplayName, Branding: o.Branding, Metadata: o.Metadata}
}

// Organizations returns copies of all organizations, the oldest first, with their present members, without the delay of
// lists.
func (s *Server) Organizations() []Organization {
	s.mu.Lock()
	defer s.mu.Unlock()
	orgs := make([]Organization, len(s.directory.Organizations))
	for i, org := range s.directory.Organizations {
		orgs[i] = *org
		orgs[i].Members, orgs[i].FormerMembers = slices.Clone(org.Members), slices.Clone(org.FormerMembers)
		orgs[i].Connections = slices.Clone(org.Connections)
		orgs[i].Roles = map[string][]string{}
		for user, roles := range org.Roles {
			orgs[i].Roles[user] = slices.Clone(roles)
		}
	}
	return orgs
}

// SeedOrganization adds an old organization. Its name must be free.
func (s *Server) SeedOrganization(name string, metadata map[string]string) (id string, err error) {
	org := &Organization{ID: newID("org_"), Name: name, Metadata: metadata}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal := s.addOrganization(org); refusal != nil {
		return "", fmt.Errorf("seed organization %s: %s", name, refusal.Message)
	}
	return org.ID, nil
}

// organizationName is the documented alphabet and length; it is a [GUESS] that a name may begin with any of its
// characters.
var organizationName = regexp.MustCompile(`^[a-z0-9_-]{1,50}$`)

var newOrganizationSchema = []property{
	{name: "name", kind: "string", min: 1, max: 50, description: "The name of this organization."},
	{name: "display_name", kind: "string", min: 1, max: 255, description: "Friendly name of this organization."},
	{name: "branding", kind: "object", description: "Theme defines how to style the login pages."},
	{name: "metadata", kind: "object", description: "Metadata associated with the organization, in the form of an object with string values (max 255 chars). Maximum of 25 metadata properties allowed."},
	{name: "enabled_connections", kind: "array", description: "Connections that will be enabled for this organization. See POST enabled_connections endpoint for the object format. (Max of 10 connections allowed)"},
}

// createOrganization is POST /api/v2/organizations: https://auth0.com/docs/api/management/v2/organizations/post-organizations
func (s *Server) createOrganization(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, newOrganizationSchema, "name")
	org := &Organization{ID: newID("org_"), Roles: map[string][]string{}}
	if refusal == nil {
		refusal = s.fillOrganization(org, members)
	}
	if refusal == nil && len(org.Connections) > 0 { // [DOC]
		refusal = s.authorize(w.Header(), r, []string{"create:organization_connections"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal == nil {
		refusal = s.addOrganization(org)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	shown := org.response()
	shown.Connections = s.shownConnections(org)
	writeJSON(w, http.StatusCreated, shown)
}

// addOrganization stores an organization if its name is free. It needs s.mu.
func (s *Server) addOrganization(org *Organization) *problem {
	if slices.ContainsFunc(s.directory.Organizations, func(other *Organization) bool { return other.Name == org.Name }) {
		return &problem{ // [DOC]
			Status: http.StatusConflict, Code: codeOrganizationConflict, Message: "An organization with this name already exists.",
		}
	}
	if org.Roles == nil {
		org.Roles = map[string][]string{}
	}
	s.directory.Organizations = append(s.directory.Organizations, org)
	s.mustSave()
	return nil
}

// fillOrganization copies the members of the body.
func (s *Server) fillOrganization(org *Organization, members map[string]any) *problem {
	if name, ok := members["name"].(string); ok {
		if !organizationName.MatchString(name) {
			return badField("Object didn't pass validation for format organization-name: "+name, "name", newOrganizationSchema[0].description)
		}
		org.Name = name
	}
	if display, ok := members["display_name"].(string); ok {
		org.DisplayName = display
	}
	if branding, ok := members["branding"].(map[string]any); ok {
		org.Branding = branding
	}
	if metadata, ok := members["metadata"].(map[string]any); ok {
		if refusal := org.mergeMetadata(metadata); refusal != nil {
			return refusal
		}
	}
	connections, _ := members["enabled_connections"].([]any)
	for _, value := range connections {
		connection, _ := value.(map[string]any)
		enabled, refusal := s.readOrgConnection(connection)
		if refusal != nil {
			return refusal
		}
		org.Connections = append(org.Connections, enabled)
	}
	return nil
}

// mergeMetadata adds and replaces; null removes [GUESS], as it does for users.
func (o *Organization) mergeMetadata(patch map[string]any) *problem {
	merged := map[string]string{}
	maps.Copy(merged, o.Metadata)
	for name, value := range patch {
		text, ok := value.(string)
		switch {
		case value == nil:
			delete(merged, name)
		case !ok:
			return badField("Expected type string but found type "+kindOf(value), name, "metadata")
		case len([]rune(text)) > 255:
			return badField(fmt.Sprintf("String is too long (%d chars), maximum 255", len([]rune(text))), name, "metadata")
		default:
			merged[name] = text
		}
	}
	if len(merged) > 25 {
		return badField("Too many properties defined", "metadata", newOrganizationSchema[3].description)
	}
	o.Metadata = merged
	return nil
}

func (s *Server) listOrganizations(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	shown := []organizationResponse{}
	for _, org := range s.directory.Organizations {
		shown = append(shown, org.response())
	}
	s.mu.Unlock()
	writeListing(w, r, "organizations", shown, func(org organizationResponse) string { return org.ID })
}

func (s *Server) listUserOrganizations(w http.ResponseWriter, r *http.Request) {
	id, refusal := s.knownUser(r, "id")
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	shown := []organizationResponse{}
	for _, org := range s.directory.Organizations {
		if org.isMember(id) {
			shown = append(shown, org.response())
		}
	}
	s.mu.Unlock()
	writeListing(w, r, "organizations", shown, func(org organizationResponse) string { return org.ID })
}

// organizationMissing has no code, as recorded.
func organizationMissing() *problem {
	return &problem{Status: http.StatusNotFound, Message: "No organization found by that id or name"}
}

// organization finds an organization by its id. It needs s.mu.
func (s *Server) organization(id string) (*Organization, *problem) {
	for _, org := range s.directory.Organizations {
		if org.ID == id {
			return org, nil
		}
	}
	return nil, organizationMissing()
}

func (s *Server) getOrganization(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) { writeJSON(w, http.StatusOK, org.response()) })
}

// withOrganization calls do with the organization of the path, under the lock, or answers that there is none.
func (s *Server) withOrganization(w http.ResponseWriter, r *http.Request, do func(*Organization)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	org, refusal := s.organization(r.PathValue("id"))
	if refusal != nil {
		refusal.write(w)
		return
	}
	do(org)
}

func (s *Server) getOrganizationByName(w http.ResponseWriter, r *http.Request) {
	name := strings.ToLower(r.PathValue("part"))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, org := range s.directory.Organizations {
		if org.Name == name {
			writeJSON(w, http.StatusOK, org.response())
			return
		}
	}
	organizationMissing().write(w)
}

func (s *Server) updateOrganization(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, newOrganizationSchema[:4])
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		if refusal := s.fillOrganization(org, members); refusal != nil {
			refusal.write(w)
			return
		}
		s.mustSave()
		writeJSON(w, http.StatusOK, org.response())
	})
}

// deleteOrganization does not change its members' accounts [DOC].
func (s *Server) deleteOrganization(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		d := s.directory
		d.Organizations = slices.DeleteFunc(d.Organizations, func(o *Organization) bool { return o == org })
		d.Invitations = slices.DeleteFunc(d.Invitations, func(i *Invitation) bool { return i.OrganizationID == org.ID })
		s.mustSave()
		noContent(w)
	})
}
