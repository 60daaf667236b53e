package signup_test

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// How the rows let a sign-up wait for a person, and admit it.

// mail is a mail about a sign-up.
type mail struct {
	kind   string
	signup uuid.UUID
	email  string
}

// addMail adds a mail to the person behind a sign-up.
func (r *rows) addMail(kind string, signup uuid.UUID, email string) {
	r.mails = append(r.mails, mail{kind: kind, signup: signup, email: email})
}

// wait lets a sign-up wait for a person.
func (r *rows) wait(like catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, waitTimeout time.Duration) error {
	row := r.leased(like, catalog.Pending, catalog.AwaitingVerification)
	if row == nil {
		return catalog.ErrStateChanged
	}
	user := r.user(row.UserID)
	if user != nil && r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	becomesUser := user != nil && user.state == "unconfirmed" && identity.EmailVerified
	if becomesUser && r.emailTaken(user.Email) {
		return catalog.ErrEmailTaken
	}
	row.Status, row.Steps, row.CheckAt = status, steps, in(waitTimeout)
	row.LeaseEpoch++
	if user == nil {
		return catalog.ErrStateChanged // it waits nevertheless, as it is one statement
	}
	user.IdentityID, user.EmailVerified = identity.ID, user.EmailVerified || identity.EmailVerified
	if becomesUser {
		user.state = "pending"
	}
	r.addMail("signup."+string(status), row.ID, user.Email)
	return nil
}

// admit gives a tenant to a sign-up without one.
func (r *rows) admit(like catalog.Signup, want catalog.ReserveParams) (catalog.Reservation, error) {
	row := r.leased(like, catalog.Pending, catalog.AwaitingVerification, catalog.AwaitingApproval)
	if row == nil || row.TenantID != nil {
		return catalog.Reservation{}, catalog.ErrStateChanged
	}
	t, spare := r.placeTenant(want)
	if t == nil {
		return catalog.Reservation{}, catalog.ErrNoCapacity
	}
	if r.slugTaken(want.Slug) {
		want.Slug = r.nextSlug(want.Slug)
	}
	user := r.user(row.UserID)
	if user != nil && user.state == "unconfirmed" {
		if r.emailTaken(user.Email) {
			return catalog.Reservation{}, catalog.ErrEmailTaken
		}
		user.state = "pending"
	}
	r.assignTenant(t, spare, want)
	if user != nil {
		user.TenantID = t.ID
		user.EmailVerified = user.EmailVerified || like.Status == catalog.AwaitingVerification
	}
	row.Status, row.TenantID, row.CheckAt = catalog.Provisioning, &t.ID, in(want.Lease)
	row.LeaseEpoch++
	return catalog.Reservation{Signup: *row, Tenant: *t}, nil
}

// reserveUnconfirmed writes a sign-up that waits for its e-mail to be confirmed.
func (r *rows) reserveUnconfirmed(want catalog.ReserveParams, hideAccounts, notify bool, waitTimeout time.Duration) (catalog.Reservation, error) {
	_, noAccount := r.findUser(want.Email)
	switch {
	case noAccount == nil && !hideAccounts:
		return catalog.Reservation{}, catalog.ErrEmailTaken
	case r.keyTaken(want.IdempotencyKey):
		return catalog.Reservation{}, catalog.ErrKeyTaken
	case want.IdentityID != "" && r.identityHeld(want.IdentityID):
		return catalog.Reservation{}, catalog.ErrIdentityTaken
	}
	user, row := newUser(want), newRow(want)
	user.state, user.IdentityID = "unconfirmed", ""
	row.Status, row.CheckAt, row.InvitationID = catalog.AwaitingVerification, in(waitTimeout), nil
	r.users, r.signups = append(r.users, user), append(r.signups, row)
	if notify && noAccount == nil {
		r.addMail(catalog.SignupRepeated, row.ID, want.Email)
	} else if notify {
		r.addMail(catalog.SignupAwaitingVerification, row.ID, want.Email)
	}
	row.IdempotencyKey, row.InvitationID = nil, want.InvitationID // as in the answer
	return catalog.Reservation{Signup: row}, nil
}

// signupByIdentity finds the unfinished sign-up of an account.
func (r *rows) signupByIdentity(id string) (catalog.Signup, error) {
	for _, s := range r.signups {
		if s.IdentityID != nil && *s.IdentityID == id && s.CheckAt != nil {
			return s, nil
		}
	}
	return catalog.Signup{}, catalog.ErrNotFound
}

// invite writes an invitation, or renews an open one.
func (r *rows) invite(n catalog.NewInvitation) catalog.Invitation {
	made := catalog.Invitation{
		ID: n.ID, TenantID: n.TenantID, Email: n.Email, Role: n.Role, Locale: n.Locale, InvitedBy: n.InvitedBy,
		CreatedAt: time.Now(), ExpiresAt: *in(n.Lasts),
	}
	i := slices.IndexFunc(r.invitations, func(old catalog.Invitation) bool {
		return old.RevokedAt == nil && old.AcceptedAt == nil && old.Email == n.Email &&
			(old.TenantID == nil) == (n.TenantID == nil) && (n.TenantID == nil || *old.TenantID == *n.TenantID)
	})
	if i < 0 {
		r.invitations = append(r.invitations, made)
		return made
	}
	made.ID, made.CreatedAt = r.invitations[i].ID, r.invitations[i].CreatedAt
	r.invitations[i] = made
	return made
}

func (r *rows) invitation(id uuid.UUID) (catalog.Invitation, error) {
	for _, i := range r.invitations {
		if i.ID == id {
			i.Expired = !i.ExpiresAt.After(time.Now())
			return i, nil
		}
	}
	return catalog.Invitation{}, catalog.ErrNotFound
}

func (r *rows) revokeInvitation(id uuid.UUID) error {
	for i := range r.invitations {
		if row := &r.invitations[i]; row.ID == id && row.AcceptedAt == nil {
			if row.RevokedAt == nil {
				row.RevokedAt = in(0)
			}
			return nil
		}
	}
	return catalog.ErrStateChanged
}

// accept marks the invitation of a sign-up as accepted.
func (r *rows) accept(id *uuid.UUID) {
	for i := range r.invitations {
		if row := &r.invitations[i]; id != nil && row.ID == *id && row.AcceptedAt == nil && row.RevokedAt == nil {
			row.AcceptedAt = in(0)
		}
	}
}
