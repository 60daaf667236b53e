package signup_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/modeltest"
	"homeroom/internal/secret"
)

// The simulated provider's abilities besides creating accounts.

// organization is an organization at the simulated provider.
type organization struct {
	tenant  uuid.UUID
	members map[string]bool // by the provider's account ids
}

// organization finds the organization of a tenant.
func (w *world) organization(tenant uuid.UUID) *organization {
	for _, o := range w.organizations {
		if o.tenant == tenant {
			return o
		}
	}
	return nil
}

// Find implements identity.AccountLinker.
func (p providerSim) Find(ctx context.Context, id string) (identity.User, error) {
	about, detail := nameOf(id)
	return modeltest.Ask(ctx, p.w.World, p.call("find", about, detail), func() (identity.User, error) { return p.found(id) })
}

// nameOf splits the provider's id of an account into our id and a part that is the same each time a run is repeated.
func nameOf(id string) (our uuid.UUID, detail string) {
	if ours, ok := strings.CutPrefix(id, "sim|"); ok {
		return uuid.MustParse(ours), ""
	}
	return uuid.Nil, id
}

// LinkAccount implements identity.AccountLinker. A late write of a sign-up, from before it had a tenant, does not
// remove the tenant that the sign-up has written since.
func (p providerSim) LinkAccount(ctx context.Context, id string, metadata identity.Metadata) (identity.User, error) {
	return p.patch(ctx, "adopt", id, func(l *simAccount) {
		if l.meta.SignupID != metadata.SignupID || metadata.TenantID != "" {
			l.setMetadata(metadata)
		}
	})
}

// UnlinkAccount implements identity.AccountLinker. Like the real one it reads first, because the two cannot be one
// request.
func (p providerSim) UnlinkAccount(ctx context.Context, id, signupID string) error {
	found, err := p.Find(ctx, id)
	if err == nil && found.Metadata.SignupID == signupID {
		_, err = p.patch(ctx, "release", id, func(l *simAccount) { l.setMetadata(identity.Metadata{}) })
	}
	if errors.Is(err, identity.ErrNotFound) {
		return nil
	}
	return err
}

// Verify implements identity.Verifier.
func (p providerSim) Verify(ctx context.Context, id string) error {
	_, err := p.patch(ctx, "verify", id, func(l *simAccount) { l.verified = true })
	return err
}

// SetPassword implements identity.PasswordSetter.
func (p providerSim) SetPassword(ctx context.Context, id string, password secret.String) error {
	if password.Reveal() == weak {
		return refusedPassword
	}
	_, err := p.patch(ctx, "set password", id, func(l *simAccount) { l.password = password.Reveal() })
	return err
}

func (p providerSim) patch(ctx context.Context, what, id string, f func(l *simAccount)) (identity.User, error) {
	about, detail := nameOf(id)
	return modeltest.Ask(ctx, p.w.World, p.call(what, about, detail), func() (identity.User, error) {
		l := p.w.account(id)
		if l == nil {
			return identity.User{}, identity.ErrNotFound
		}
		f(l)
		return p.user(*l), nil
	})
}

// ManagesMemberships implements identity.MembershipManager.
func (p providerSim) ManagesMemberships() bool { return p.w.shape.managesMemberships }

// Prepare implements identity.MembershipManager.
func (p providerSim) Prepare(ctx context.Context) error {
	return modeltest.Do(ctx, p.w.World, p.call("prepare", uuid.Nil, ""), func() error { return nil })
}

// Assign implements identity.MembershipManager in two steps, as the real ones do.
func (p providerSim) Assign(ctx context.Context, e identity.Membership) (identity.Assignment, error) {
	err := modeltest.Do(ctx, p.w.World, p.call("make organization", e.TenantID, ""), func() error {
		switch {
		case p.w.account(e.UserID) == nil:
			return identity.ErrNotFound
		case p.w.organization(e.TenantID) == nil:
			p.w.organizations = append(p.w.organizations, &organization{tenant: e.TenantID, members: map[string]bool{}})
		}
		return nil
	})
	if err != nil {
		return identity.Assignment{}, err
	}
	return modeltest.Ask(ctx, p.w.World, p.call("enrol", e.TenantID, ""), func() (identity.Assignment, error) {
		o := p.w.organization(e.TenantID)
		switch {
		case o == nil:
			return identity.Assignment{}, &identity.Unavailable{Err: errors.New("the organization was removed meanwhile")}
		case p.w.account(e.UserID) == nil:
			return identity.Assignment{}, identity.ErrNotFound
		}
		o.members[e.UserID] = true
		return identity.Assignment{OrganizationID: "org of " + e.TenantID.String()}, nil
	})
}

// Unassign implements identity.MembershipManager.
func (p providerSim) Unassign(ctx context.Context, e identity.Membership) error {
	return modeltest.Do(ctx, p.w.World, p.call("withdraw", e.TenantID, ""), func() error {
		p.w.organizations = slices.DeleteFunc(p.w.organizations, func(o *organization) bool {
			if o.tenant == e.TenantID {
				delete(o.members, e.UserID)
			}
			return o.tenant == e.TenantID && len(o.members) == 0
		})
		return nil
	})
}
