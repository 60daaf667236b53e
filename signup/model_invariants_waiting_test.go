package signup_test

import (
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// The invariants of sign-ups that wait, of accounts, and of organizations.

// checkAdmission checks that a sign-up that has just got its tenant was confirmed and approved if it had to be.
func (w *world) checkAdmission(s *catalog.Signup) {
	if w.admitted[s.ID] || s.Kind != catalog.School || s.InvitationID != nil {
		return
	}
	w.admitted[s.ID] = true
	if w.shape.approve && !w.approved[s.ID] {
		w.Failf("%s got a tenant, and nobody has approved it", w.name(s.ID))
	}
	l := w.accountOf(s)
	if l == nil || !w.shape.verify {
		return
	}
	if !l.verified {
		w.Failf("%s got a tenant, and its e-mail is not confirmed", w.name(s.ID))
	}
	if l.our != uuid.Nil && l.password == password {
		w.Failf("%s got a tenant, and its account has a password that may not be the owner's", w.name(s.ID))
	}
}

// accountOf finds the account that a sign-up has created or linked.
func (w *world) accountOf(s *catalog.Signup) *simAccount {
	if s.IdentityID != nil {
		return w.account(*s.IdentityID)
	}
	return w.account("sim|" + s.UserID.String())
}

// checkAccount checks the account of a ready sign-up.
func (m *machine) checkAccount(s *catalog.Signup) {
	l, user := m.accountOf(s), m.catalog.user(s.UserID)
	if user == nil || m.closed[user.IdentityID] {
		return
	}
	known := l != nil && (m.shape.noMetadata || l.meta.TenantID == s.TenantID.String() && l.meta.SignupID == s.ID.String())
	switch {
	case !known || l.email != s.Email || l.id != user.IdentityID:
		m.Failf("%s is ready, and has no identity", m.name(s.ID))
	case m.shape.verify && s.Kind == catalog.School && s.InvitationID == nil && !user.EmailVerified:
		m.Failf("%s is ready, and its e-mail was not confirmed", m.name(s.ID))
	case m.shape.managesMemberships && (m.organization(*s.TenantID) == nil || !m.organization(*s.TenantID).members[l.id]):
		m.Failf("%s is ready, and its identity has no membership", m.name(s.ID))
	}
}

// checkAccounts checks that no account exists without a sign-up, and that no person's own account is missing.
func (m *machine) checkAccounts() {
	for _, l := range m.accounts {
		s := m.catalog.signup(l.signup)
		if l.meta.SignupID != "" && (s == nil || s.Status != catalog.SignupReady && s.TenantID == nil) {
			m.Failf("the identity of %s is an orphan", m.name(l.signup))
		}
	}
	for _, id := range m.own {
		if m.account(id) == nil && !m.closed[id] {
			m.Failf("%s, which is a person's own account, was removed", id)
		}
	}
}

// checkOrganizations checks that each organization is the only one of an existing school, and has its owner as a
// member.
func (m *machine) checkOrganizations() {
	for i, o := range m.organizations {
		at := slices.IndexFunc(m.catalog.signups, func(s catalog.Signup) bool {
			return s.Kind == catalog.School && s.TenantID != nil && *s.TenantID == o.tenant
		})
		if at < 0 {
			m.Failf("there is an organization for %s, which is no school", m.name(o.tenant))
			continue
		}
		s := m.catalog.signups[at]
		owner := m.accountOf(&s)
		gone := owner == nil && s.Status == catalog.SignupReady // the account was removed since
		switch {
		case slices.ContainsFunc(m.organizations[:i], func(other *organization) bool { return other.tenant == o.tenant }):
			m.Failf("%s has two organizations", m.name(o.tenant))
		case s.Status != catalog.SignupReady && !m.operatorNeeded:
			m.Failf("there is an organization for %s, which is %s", m.name(s.ID), s.Status)
		case !gone && (owner == nil || !o.members[owner.id]):
			m.Failf("there is an organization for %s, and its owner is no member", m.name(s.ID))
		}
	}
}

// checkAccepted checks that the sign-ups that were confirmed or approved are ready.
func (m *machine) checkAccepted() {
	for _, id := range m.accepted {
		if s := m.catalog.signup(id); s.Status != catalog.SignupReady && !m.operatorNeeded {
			m.Failf("%s was confirmed or approved, and is %s", m.name(id), s.Status)
		}
	}
}

// checkInvitations checks the invitations that were accepted.
func (m *machine) checkInvitations() {
	for _, s := range m.catalog.signups {
		if s.InvitationID == nil || s.Status != catalog.SignupReady {
			continue
		}
		switch i, err := m.catalog.invitation(*s.InvitationID); {
		case err != nil || i.AcceptedAt == nil && i.RevokedAt == nil:
			m.Failf("%s is ready, and its invitation is open", m.name(s.ID))
		case i.Email != s.Email || i.TenantID != nil && (s.Kind != catalog.Member || *i.TenantID != *s.TenantID):
			m.Failf("%s used another person's invitation", m.name(s.ID))
		}
	}
}
