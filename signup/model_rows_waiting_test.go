package signup_test

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// The rows' ways to let a sign-up wait for a person, and to let people in.

// mail is a person being told of a sign-up.
type mail struct {
	kind   string
	signup uuid.UUID
	email  string
}

// tell writes a mail to the person behind a sign-up.
func (r *rows) tell(kind string, signup uuid.UUID, email string) {
	r.mails = append(r.mails, mail{kind: kind, signup: signup, email: email})
}

// wait lets a sign-up wait for a person.
func (r *rows) wait(like catalog.Signup, identity catalog.Identity, status catalog.Status, steps json.RawMessage, patience time.Duration) error {
	row := r.held(like, catalog.Pending, catalog.AwaitingVerification)
	if row == nil {
		return catalog.ErrStateChanged
	}
	user := r.user(row.UserID)
	if user != nil && r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	row.Status, row.Steps, row.CheckAt = status, steps, in(patience)
	row.LeaseEpoch++
	if user == nil {
		return catalog.ErrStateChanged // it waits all the same, as it is one statement
	}
	user.IdentityID, user.EmailVerified = identity.ID, identity.EmailVerified
	r.tell("signup."+string(status), row.ID, user.Email)
	return nil
}

// admit gives a sign-up that has no tenant one.
func (r *rows) admit(like catalog.Signup, want catalog.Reservation) (catalog.Held, error) {
	row := r.held(like, catalog.Pending, catalog.AwaitingVerification, catalog.AwaitingApproval)
	if row == nil || row.TenantID != nil {
		return catalog.Held{}, catalog.ErrStateChanged
	}
	t, spare := r.place(want)
	if t == nil {
		return catalog.Held{}, catalog.ErrNoRoom
	}
	if r.slugTaken(want.Slug) {
		want.Slug = r.nextSlug(want.Slug)
	}
	r.settleIn(t, spare, want)
	if user := r.user(row.UserID); user != nil {
		user.TenantID = t.ID
		user.EmailVerified = user.EmailVerified || like.Status == catalog.AwaitingVerification
	}
	row.Status, row.TenantID, row.CheckAt = catalog.Provisioning, &t.ID, in(want.Lease)
	row.LeaseEpoch++
	return catalog.Held{Signup: *row, Tenant: *t}, nil
}

// reserveQuietly writes a sign-up that waits for its e-mail to be confirmed, whether or not the e-mail has an account.
func (r *rows) reserveQuietly(want catalog.Reservation, tell bool, patience time.Duration) (held catalog.Held, isNew bool, err error) {
	if r.keyTaken(want.IdempotencyKey) {
		return catalog.Held{}, false, catalog.ErrKeyTaken
	}
	kind, about := catalog.SignupAwaitingVerification, want.SignupID
	if user, err := r.findUser(want.Email); err != nil {
		isNew = true
		r.users = append(r.users, newUser(want))
	} else {
		i := slices.IndexFunc(r.signups, func(s catalog.Signup) bool { return s.UserID == user.ID })
		if waits := i >= 0 && r.signups[i].Status == catalog.AwaitingVerification; waits {
			about = r.signups[i].ID
		} else {
			kind = catalog.SignupRepeated
		}
	}
	row := newRow(want)
	row.Status, row.CheckAt = catalog.AwaitingVerification, in(patience)
	r.signups = append(r.signups, row)
	if tell {
		r.tell(kind, about, want.Email)
	}
	row.IdempotencyKey = nil // as the answer has it
	return catalog.Held{Signup: row}, isNew, nil
}

// identityKnown records the login of a sign-up that waits.
func (r *rows) identityKnown(like catalog.Signup, identity catalog.Identity) error {
	row := r.signup(like.ID)
	if row == nil || row.Status != catalog.AwaitingVerification || r.user(row.UserID) == nil {
		return catalog.ErrStateChanged
	}
	if r.identityTaken(identity.ID, row.UserID) {
		return catalog.ErrIdentityTaken
	}
	r.user(row.UserID).IdentityID = identity.ID
	return nil
}

// invite writes an invitation, or renews the one that is open.
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

// accept marks the invitation that a sign-up answers.
func (r *rows) accept(id *uuid.UUID) {
	for i := range r.invitations {
		if row := &r.invitations[i]; id != nil && row.ID == *id && row.AcceptedAt == nil && row.RevokedAt == nil {
			row.AcceptedAt = in(0)
		}
	}
}
