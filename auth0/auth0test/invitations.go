package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Invitation is an invitation to an organization.
type Invitation struct {
	ID             string         `json:"id"`
	ClientID       string         `json:"client_id"`
	ConnectionID   string         `json:"connection_id,omitempty"`
	Inviter        map[string]any `json:"inviter"`
	Invitee        map[string]any `json:"invitee"`
	InvitationURL  string         `json:"invitation_url"`
	TicketID       string         `json:"ticket_id"`
	CreatedAt      Time           `json:"created_at"`
	ExpiresAt      Time           `json:"expires_at"`
	OrganizationID string         `json:"organization_id"`
	Roles          []string       `json:"roles,omitempty"`
	AppMetadata    map[string]any `json:"app_metadata,omitempty"`
	UserMetadata   map[string]any `json:"user_metadata,omitempty"`
}

var (
	invitationSchema = []property{
		{name: "inviter", kind: "object", description: "The inviter"},
		{name: "invitee", kind: "object", description: "The invitee"},
		{name: "client_id", kind: "string", min: 1, description: "Auth0 client ID. Used to resolve the application's login initiation endpoint."},
		{name: "connection_id", kind: "string", min: 1, description: "The id of the connection to force invitee to authenticate with."},
		{name: "app_metadata", kind: "object", description: "Data related to the user that does affect the application's core functionality."},
		{name: "user_metadata", kind: "object", description: "Data related to the user that does not affect the application's core functionality."},
		{name: "ttl_sec", kind: "number", description: "Number of seconds for which the invitation is valid before expiration."},
		{name: "roles", kind: "array", description: roleIDs},
		{name: "send_invitation_email", kind: "boolean", description: "Whether the user will receive an invitation email (true) or no email (false), true by default"},
	}
	inviterSchema = []property{{name: "name", kind: "string", min: 1, max: 300, description: "The inviter's name."}}
	inviteeSchema = []property{{name: "email", kind: "string", format: "email", description: "The invitee's email."}}
)

const (
	// usualInvitation is exactly as recorded.
	usualInvitation = 7 * 24 * time.Hour
	maxInvitation   = 30 * 24 * time.Hour
)

// createInvitation answers 201, as recorded; the OpenAPI says 200.
func (s *Server) createInvitation(w http.ResponseWriter, r *http.Request) {
	members, refusal := readChecked(r, invitationSchema, "inviter", "invitee", "client_id")
	if refusal == nil {
		refusal = checkSchema(members["inviter"].(map[string]any), inviterSchema, true, "name")
	}
	if refusal == nil {
		refusal = checkSchema(members["invitee"].(map[string]any), inviteeSchema, true, "email")
	}
	life := usualInvitation
	if refusal == nil {
		life, refusal = lifetime(members, usualInvitation, maxInvitation)
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.withOrganization(w, r, func(org *Organization) {
		invitation := s.newInvitation(org, members, life)
		s.directory.Invitations = append(s.directory.Invitations, invitation)
		if send := flag(members, "send_invitation_email"); send == nil || *send {
			email, _ := invitation.Invitee["email"].(string)
			s.mails = append(s.mails, Mail{Kind: MailInvitation, To: email, Link: invitation.InvitationURL, At: s.now()})
		}
		s.mustSave()
		writeJSON(w, http.StatusCreated, invitation)
	})
}

func (s *Server) newInvitation(org *Organization, members map[string]any, life time.Duration) *Invitation {
	text := func(name string) string { t, _ := members[name].(string); return t }
	object := func(name string) map[string]any { o, _ := members[name].(map[string]any); return o }
	now, ticketID := s.timestamp(), randomText(32)
	invitation := &Invitation{
		ID: newID("uinv_"), ClientID: text("client_id"), ConnectionID: text("connection_id"),
		Inviter: object("inviter"), Invitee: object("invitee"), TicketID: ticketID,
		InvitationURL: s.cfg.LoginURL + "?invitation=" + ticketID + "&organization=" + org.ID +
			"&organization_name=" + url.QueryEscape(org.Name),
		CreatedAt: now, ExpiresAt: Time{now.Add(life)}, OrganizationID: org.ID,
		AppMetadata: object("app_metadata"), UserMetadata: object("user_metadata"),
	}
	roles, _ := members["roles"].([]any)
	for _, role := range roles {
		if id, ok := role.(string); ok {
			invitation.Roles = append(invitation.Roles, id)
		}
	}
	return invitation
}

// lifetime reads ttl_sec; 0 means the default.
func lifetime(members map[string]any, usual, longest time.Duration) (time.Duration, *problem) {
	seconds, _ := members["ttl_sec"].(float64)
	life := time.Duration(seconds) * time.Second
	switch {
	case life == 0:
		return usual, nil
	case life < 0, longest > 0 && life > longest:
		return 0, badField("Value is out of range", "ttl_sec", "Number of seconds for which it is valid before expiration.")
	}
	return life, nil
}

func (s *Server) listInvitations(w http.ResponseWriter, r *http.Request) {
	s.withOrganization(w, r, func(org *Organization) {
		elsewhere := func(i *Invitation) bool { return i.OrganizationID != org.ID }
		shown := slices.DeleteFunc(slices.Clone(s.directory.Invitations), elsewhere)
		writeListing(w, r, "invitations", shown, func(i *Invitation) string { return i.ID })
	})
}

// invitation calls do with the index of the path's invitation.
func (s *Server) invitation(w http.ResponseWriter, r *http.Request, do func(int)) {
	s.withOrganization(w, r, func(org *Organization) {
		i := slices.IndexFunc(s.directory.Invitations, func(i *Invitation) bool {
			return i.ID == r.PathValue("invitation") && i.OrganizationID == org.ID
		})
		if i < 0 { // its code is recorded, its text is a [GUESS]
			problem{Status: http.StatusNotFound, Code: "inexistent_invitation", Message: "The invitation does not exist."}.write(w)
			return
		}
		do(i)
	})
}

func (s *Server) getInvitation(w http.ResponseWriter, r *http.Request) {
	s.invitation(w, r, func(i int) { writeJSON(w, http.StatusOK, s.directory.Invitations[i]) })
}

func (s *Server) deleteInvitation(w http.ResponseWriter, r *http.Request) {
	s.invitation(w, r, func(i int) {
		s.directory.Invitations = slices.Delete(s.directory.Invitations, i, i+1)
		s.mustSave()
		noContent(w)
	})
}
