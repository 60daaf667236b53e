package signup

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/messages"
)

// plan is what the service will do for a request under its rules.
type plan struct {
	kind       catalog.Kind
	role       string
	schoolName string
	// tenant is the school that a member joins.
	tenant uuid.UUID
	// invitation is the invitation that the request accepts, if any.
	invitation *uuid.UUID
	// gate is the status in which the sign-up will wait for a person; empty if it does not wait.
	gate catalog.Status
}

// plan checks a request against the rules. Its errors are *[ValidationError], [ErrClosed], [ErrInvitationRequired],
// [ErrInvitationGone], [ErrCannotLink], and those of the catalog.
func (s *Service) plan(ctx context.Context, req Request) (plan, error) {
	p := plan{kind: catalog.School, role: identity.RoleOwner, schoolName: req.SchoolName}
	if req.Account != nil {
		if _, links := s.cfg.Identity.(identity.AccountLinker); !links {
			return plan{}, ErrCannotLink
		}
	}
	if req.Invitation != "" {
		if err := s.planInvited(ctx, req, &p); err != nil {
			return plan{}, err
		}
	}
	if p.kind == catalog.Member {
		return p, nil
	}
	if err := s.Accepts(); err != nil && (p.invitation == nil || !errors.Is(err, ErrInvitationRequired)) {
		return plan{}, err
	}
	if p.schoolName == "" {
		return plan{}, &ValidationError{Fields: []FieldError{{Field: "schoolName", Code: "required", Message: messages.ID("field.name_required")}}}
	}
	p.gate = s.gate(catalog.Signup{Kind: p.kind, Status: catalog.Pending, InvitationID: p.invitation},
		req.Account != nil && req.Account.EmailVerified)
	return p, nil
}

// Accepts reports whether everybody may sign a school up now. It fails with [ErrClosed] when nobody may, and with
// [ErrInvitationRequired] when only invited people may.
func (s *Service) Accepts() error {
	switch s.cfg.Mode {
	case Closed:
		return ErrClosed
	case ByInvitation:
		return ErrInvitationRequired
	}
	return nil
}

// planInvited reads the invitation that a request accepts. It is valid only for the address to which it was sent, and
// proves that the address is the person's.
func (s *Service) planInvited(ctx context.Context, req Request, p *plan) error {
	invitation, err := s.Invitation(ctx, req.Invitation)
	if err != nil {
		return err
	}
	if invitation.Email != req.Email {
		return &ValidationError{Fields: []FieldError{{
			Field: "email", Code: "not_invited", Message: messages.ID("field.invited_address"),
		}}}
	}
	p.invitation = &invitation.ID
	if invitation.TenantID == nil {
		return nil
	}
	school, err := s.cfg.Catalog.TenantByID(ctx, *invitation.TenantID)
	if errors.Is(err, catalog.ErrNotFound) {
		return ErrInvitationGone
	}
	if err != nil {
		return s.unavailable(err)
	}
	p.kind, p.role, p.tenant, p.schoolName = catalog.Member, invitation.Role, school.ID, school.Name
	return nil
}

// gate returns the status in which a sign-up waits next, or an empty one when it does not wait. An invited person needs
// no approval, and has proven that the e-mail is theirs.
func (s *Service) gate(row catalog.Signup, verified bool) catalog.Status {
	if row.Kind != catalog.School || row.TenantID != nil || row.InvitationID != nil {
		return ""
	}
	switch {
	case s.cfg.VerifyFirst && !verified && row.Status == catalog.Pending:
		return catalog.AwaitingVerification
	case s.cfg.Mode == WithApproval && row.Status != catalog.AwaitingApproval:
		return catalog.AwaitingApproval
	}
	return ""
}

// admit gives a tenant to a sign-up that has nothing more to wait for.
func (s *Service) admit(ctx context.Context, j *job) error {
	held, err := s.cfg.Catalog.Admit(ctx, j.signup, s.tenantReservation(j.signup.SchoolName))
	if err != nil {
		return fmt.Errorf("give sign-up %s a tenant: %w", j.signup.ID, err)
	}
	j.signup, j.tenant = held.Signup, held.Tenant
	s.wakeRefiller(j.tenant.Server)
	return s.ensureSpare(ctx, j, false)
}
