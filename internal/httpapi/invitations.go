package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/signup"
)

// inviteSchools is the permission to invite people to sign a school up.
const inviteSchools = "invite:schools"

func (s *server) registerInvitations() {
	refusals := []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests}
	const who = "\n\nFor the school's owner and administrators, and for operators with the permission `update:tenants`."
	register(s, anyUser, huma.Operation{
		OperationID: "invite", Method: http.MethodPost, Path: "/tenants/{id}/invitations", Tags: []string{tagSchool},
		Summary: "Invite a person to a school",
		Description: "A mail with a link is sent. Inviting the same address again renews the invitation, with the new role and a new end, and sends the mail again." +
			who,
		DefaultStatus: http.StatusCreated,
		Errors:        refusals,
	}, s.postInvitation)
	register(s, anyUser, huma.Operation{
		OperationID: "listInvitations", Method: http.MethodGet, Path: "/tenants/{id}/invitations", Tags: []string{tagSchool},
		Summary: "List the invitations to a school", Description: "Newest first, in pages, with the accepted ones." + who,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.listInvitations)
	register(s, anyUser, huma.Operation{
		OperationID: "revokeInvitation", Method: http.MethodDelete, Path: "/tenants/{id}/invitations/{invitation}", Tags: []string{tagSchool},
		Metadata: flags(endsInvitation),
		Summary:  "Revoke an invitation", Description: "Its link is no longer valid." + who,
		DefaultStatus: http.StatusNoContent,
		Errors:        []int{http.StatusForbidden, http.StatusNotFound, http.StatusGone},
	}, s.deleteInvitation)
	register(s, withPermission(inviteSchools), huma.Operation{
		OperationID: "inviteSchool", Method: http.MethodPost, Path: "/invitations", Tags: []string{tagOperator},
		Summary:       "Invite a person to sign a school up",
		Description:   "A mail with a link is sent. It lets the person sign up where that needs an invitation or an approval.",
		DefaultStatus: http.StatusCreated,
		Errors:        refusals,
	}, s.postSchoolInvitation)
	register(s, withPermission(inviteSchools), huma.Operation{
		OperationID: "listSchoolInvitations", Method: http.MethodGet, Path: "/invitations", Tags: []string{tagOperator},
		Summary: "List the invitations to sign a school up", Description: "Newest first, in pages, with the accepted ones.",
		Errors: []int{http.StatusUnprocessableEntity},
	}, s.listSchoolInvitations)
	register(s, withPermission(inviteSchools), huma.Operation{
		OperationID: "revokeSchoolInvitation", Method: http.MethodDelete, Path: "/invitations/{invitation}", Tags: []string{tagOperator},
		Metadata: flags(endsInvitation),
		Summary:  "Revoke an invitation to sign a school up", Description: "Its link is no longer valid.",
		DefaultStatus: http.StatusNoContent,
		Errors:        []int{http.StatusNotFound, http.StatusGone},
	}, s.deleteSchoolInvitation)
}

// newInvitation is the body of an invitation. It parses itself, as newUser does.
type newInvitation struct {
	Email     string      `json:"email" format:"email" maxLength:"254" doc:"The address to invite." example:"grace@lincoln.example"`
	Role      invitedRole `json:"role,omitempty" doc:"The person's role at the school. Defaults to member." example:"member"`
	Locale    string      `json:"locale,omitempty" maxLength:"35" doc:"The language of the mail." example:"de"`
	LastsDays *int        `json:"lastsDays,omitempty" minimum:"1" maximum:"30" doc:"For how many days the link is valid. Defaults to 7." example:"7"`

	members
}

// UnmarshalJSON reads the members one by one.
func (n *newInvitation) UnmarshalJSON(text []byte) error {
	return n.read(text, func(o *object) {
		n.Email, n.Role, n.Locale, n.LastsDays = o.text("email"), invitedRole(o.text("role")), o.text("locale"), o.number("lastsDays", 1, 30)
	})
}

func (n newInvitation) invite(by catalog.Actor) signup.InviteRequest {
	invite := signup.InviteRequest{Email: n.Email, Role: string(n.Role), Locale: n.Locale, By: by}
	if n.LastsDays != nil {
		invite.ValidFor = time.Duration(*n.LastsDays) * 24 * time.Hour
	}
	return invite
}

type postInvitationInput struct {
	TenantPath
	Body newInvitation
}

type postSchoolInvitationInput struct{ Body newInvitation }

// InvitationPath names an invitation.
type InvitationPath struct {
	Invitation string `path:"invitation" doc:"The invitation's id."`
}

type deleteInvitationInput struct {
	TenantPath
	InvitationPath
}

type listInvitationsInput struct {
	TenantPath
	ListInput
}

// Invitation is an invitation, without the secret in its link.
type Invitation struct {
	ID        uuid.UUID        `json:"id" doc:"The invitation."`
	Email     string           `json:"email" doc:"The invited address." example:"grace@lincoln.example"`
	Role      role             `json:"role" doc:"The person's role." example:"member"`
	Status    invitationStatus `json:"status" example:"open"`
	CreatedAt time.Time        `json:"createdAt" doc:"When the person was first invited."`
	ExpiresAt time.Time        `json:"expiresAt" doc:"When the link expires."`
}

func invitationOf(row catalog.Invitation) Invitation {
	i := Invitation{ID: row.ID, Email: row.Email, Role: role(row.Role), Status: invitationOpen, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC()}
	switch {
	case row.AcceptedAt != nil:
		i.Status = invitationAccepted
	case row.RevokedAt != nil:
		i.Status = invitationRevoked
	case row.Expired:
		i.Status = invitationExpired
	}
	return i
}

// InvitationPage is a page of the list.
type InvitationPage struct {
	Invitations []Invitation `json:"invitations"`
	NextCursor  string       `json:"nextCursor,omitempty" doc:"Continues the list; absent at its end."`
}

type (
	invitationOutput     struct{ Body Invitation }
	invitationPageOutput struct{ Body InvitationPage }
)

// inviter returns the caller as an inviter.
func inviter(ctx context.Context) signup.Inviter {
	claims := claimsOf(ctx)
	return signup.Inviter{Subject: claims.Subject, Operator: claims.allows("update:tenants")}
}

func (s *server) postInvitation(ctx context.Context, in *postInvitationInput) (*invitationOutput, error) {
	school, name, err := s.cfg.Signup.ManagedSchool(ctx, inviter(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	invite := in.Body.invite(actor(ctx))
	invite.Tenant, invite.ByName = &school.ID, name
	return s.invite(ctx, invite, in.Body.members)
}

func (s *server) postSchoolInvitation(ctx context.Context, in *postSchoolInvitationInput) (*invitationOutput, error) {
	return s.invite(ctx, in.Body.invite(actor(ctx)), in.Body.members)
}

func (s *server) invite(ctx context.Context, invite signup.InviteRequest, body members) (*invitationOutput, error) {
	if err := body.invalid(); err != nil {
		return nil, err
	}
	made, err := s.cfg.Signup.InviteAs(ctx, inviter(ctx), invite)
	if err != nil {
		return nil, err
	}
	return &invitationOutput{invitationOf(made)}, nil
}

func (s *server) listInvitations(ctx context.Context, in *listInvitationsInput) (*invitationPageOutput, error) {
	school, _, err := s.cfg.Signup.ManagedSchool(ctx, inviter(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return s.invitationPage(ctx, &school.ID, in.ListInput)
}

func (s *server) listSchoolInvitations(ctx context.Context, in *ListInput) (*invitationPageOutput, error) {
	return s.invitationPage(ctx, nil, *in)
}

func (s *server) invitationPage(ctx context.Context, tenant *uuid.UUID, in ListInput) (*invitationPageOutput, error) {
	found, err := s.cfg.Catalog.Invitations(ctx, tenant, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	shown, next := page(found, invitationOf)
	return &invitationPageOutput{InvitationPage{shown, next}}, nil
}

func (s *server) deleteInvitation(ctx context.Context, in *deleteInvitationInput) (*struct{}, error) {
	school, _, err := s.cfg.Signup.ManagedSchool(ctx, inviter(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	id, err := catalog.ParseID(in.Invitation)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Signup.Revoke(ctx, &school.ID, id, actor(ctx))
}

func (s *server) deleteSchoolInvitation(ctx context.Context, in *InvitationPath) (*struct{}, error) {
	id, err := catalog.ParseID(in.Invitation)
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Signup.Revoke(ctx, nil, id, actor(ctx))
}
