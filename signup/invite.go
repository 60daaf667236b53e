package signup

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/messages"
)

// InviteRequest is a request to invite a person.
type InviteRequest struct {
	// Tenant is the school to join; nil invites the person to sign up a school.
	Tenant *uuid.UUID
	Email  string
	// Role is [identity.RoleAdmin] or [identity.RoleMember] at an existing school. Defaults to the latter.
	Role string
	// Locale is the language of the person; may be empty.
	Locale string
	// ValidFor is how long the invitation can be accepted, at most 30 days. Defaults to 7 days.
	ValidFor time.Duration
	// Actor is the person who invites. ByName is their name in the mail; may be empty.
	By     catalog.Actor
	ByName string
}

const (
	invitationLasts   = 7 * 24 * time.Hour
	invitationLongest = 30 * 24 * time.Hour
)

// Invite invites a person, and sends them a mail. A second invitation of the same person to the same school renews the
// first one and sends the mail again. It fails with a *[ValidationError], [catalog.ErrNotFound] and
// [ErrNotProvisioned].
func (s *Service) Invite(ctx context.Context, request InviteRequest) (catalog.Invitation, error) {
	if err := request.check(); err != nil {
		return catalog.Invitation{}, err
	}
	var schoolName string
	if request.Tenant != nil {
		school, err := s.cfg.Catalog.TenantByID(ctx, *request.Tenant)
		if err != nil {
			return catalog.Invitation{}, err
		}
		if school.State != catalog.Ready {
			return catalog.Invitation{}, ErrNotProvisioned
		}
		schoolName = school.Name
	}
	var made catalog.Invitation
	err := s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) (err error) {
		made, err = s.cfg.Catalog.InviteTx(ctx, tx, catalog.NewInvitation{
			ID: uuid.New(), TenantID: request.Tenant, Email: request.Email, Role: request.Role, Locale: request.Locale,
			InvitedBy: request.By.Name, Lasts: request.ValidFor,
		})
		if err != nil {
			return err
		}
		if err := s.cfg.Catalog.EmitTx(ctx, tx, catalog.NotifyInvitation(made, schoolName, request.ByName)); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, invitationAudit(request.By, "invitation.create", made))
	})
	return made, s.unavailable(err)
}

// InvitedRoles are the roles at an existing school to which a person can be invited; the first is the default.
var InvitedRoles = []string{identity.RoleMember, identity.RoleAdmin}

// check applies the defaults and validates the request.
func (r *InviteRequest) check() error {
	var v validation
	r.Email = v.email(r.Email)
	r.Locale = locale(r.Locale)
	roles := InvitedRoles
	if r.Tenant == nil {
		roles = []string{identity.RoleOwner}
	}
	if r.Role == "" {
		r.Role = roles[0]
	}
	if !slices.Contains(roles, r.Role) {
		v.add("role", "invalid_value", messages.ID("field.role"))
	}
	if r.ValidFor == 0 {
		r.ValidFor = invitationLasts
	}
	if r.ValidFor < time.Minute || r.ValidFor > invitationLongest {
		v.add("lasts", "out_of_range", messages.ID("field.lasts"))
	}
	if len(v.fields) > 0 {
		return &ValidationError{Fields: v.fields}
	}
	return nil
}

// InvitationToken returns the secret in the mail of an invitation. It is derived from the id and stored nowhere.
func (s *Service) InvitationToken(invitation uuid.UUID) string {
	return s.linkToken("invite", invitation)
}

// Invitation finds the open invitation of a token. It fails with [ErrInvitationGone].
func (s *Service) Invitation(ctx context.Context, token string) (catalog.Invitation, error) {
	id, err := s.readLink("invite", token)
	if err != nil {
		return catalog.Invitation{}, ErrInvitationGone
	}
	found, err := s.cfg.Catalog.Invitation(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return catalog.Invitation{}, ErrInvitationGone
	case err != nil:
		return catalog.Invitation{}, s.unavailable(err)
	case !found.Open():
		return catalog.Invitation{}, ErrInvitationGone
	}
	return found, nil
}

// Revoke revokes an invitation to a school (tenant nil: to sign up a school). It fails with [catalog.ErrNotFound], and
// with [ErrInvitationGone] when it was accepted.
func (s *Service) Revoke(ctx context.Context, tenant *uuid.UUID, id uuid.UUID, by catalog.Actor) error {
	found, err := s.cfg.Catalog.Invitation(ctx, id)
	if err != nil {
		return err
	}
	if (tenant == nil) != (found.TenantID == nil) || tenant != nil && *tenant != *found.TenantID {
		return catalog.ErrNotFound
	}
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.RevokeInvitationTx(ctx, tx, id); err != nil {
			return err
		}
		return s.cfg.Catalog.RecordTx(ctx, tx, invitationAudit(by, "invitation.revoke", found))
	})
	if errors.Is(err, catalog.ErrStateChanged) {
		return ErrInvitationGone
	}
	return s.unavailable(err)
}

// invitationAudit names the invitation, not the person: the audit log is kept without a limit of time.
func invitationAudit(by catalog.Actor, action string, i catalog.Invitation) catalog.Event {
	return catalog.NewEvent(by, action).About(i.TenantID, nil).With(
		map[string]string{"invitation": i.ID.String(), "role": i.Role})
}
