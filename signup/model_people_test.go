package signup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// operator is who approves and rejects.
var operator = signup.Actor{Name: "operator"}

// people follow the links of their mails, judge sign-ups, change their own logins and invite others, where there is any of
// that.
func (m *machine) people() {
	switch n := m.choices.next(8); {
	case (n == 0 || n == 6) && m.shape.invites:
		m.invite()
	case n < 3 && m.shape.verify:
		m.followLink()
	case n < 5 && m.shape.approve:
		m.review()
	case (n == 5 || n == 6 && m.shape.unmanaged) && m.shape.accounts:
		m.changeAccount()
	case n == 7 && (m.shape.verify || m.shape.approve):
		m.tracef("a long time goes by")
		m.advance(waitTimeout + time.Second)
	default:
		m.deliverSome()
	}
}

// startWaitingClients has some clients wait already when the run begins, where they have to, so that its length is left for what comes
// then.
func (m *machine) startWaitingClients() {
	if !m.shape.verify && !m.shape.approve && !m.shape.accounts {
		return
	}
	for range m.choices.next(3) {
		m.newClient()
		m.runUntilIdle()
	}
	if m.shape.invites && m.choices.next(4) > 0 {
		m.resumeAll()
		m.invite()
		m.invite()
		m.runUntilIdle()
	}
	if m.shape.verify && m.shape.approve && m.choices.next(2) == 1 {
		for _, mail := range m.catalog.mails {
			m.activate(mail.signup, chosen)
			m.runUntilIdle()
		}
	}
	if m.shape.unmanaged && m.choices.next(2) == 1 {
		m.review()
		for range m.choices.next(24) {
			if calls := m.ready(); len(calls) > 0 {
				m.deliver(calls[0])
			}
		}
	}
}

// followLink has somebody follow the link in a mail, at times twice at once.
func (m *machine) followLink() {
	var mails []mail
	for _, mail := range m.catalog.mails {
		if mail.kind == catalog.SignupAwaitingVerification {
			mails = append(mails, mail)
		}
	}
	if len(mails) == 0 {
		m.deliverSome()
		return
	}
	followed := mails[m.choices.next(len(mails))]
	enters := []secret.String{chosen, "Chosen-0therwise", weak, ""}[m.choices.next(4)]
	for range 1 + m.choices.next(2) {
		m.activate(followed.signup, enters)
	}
}

// chosen is the password that people choose who confirm their e-mail. Sign-ups send another one.
const chosen secret.String = "Chosen-at-last-7"

// activate has somebody confirm a sign-up, with the login that it was begun with if there is one.
func (m *machine) activate(id uuid.UUID, enters secret.String) {
	p := m.anyProcess()
	if p == nil {
		return
	}
	service := m.services[p]
	token, row := service.ActivationToken(id), *m.catalog.signup(id)
	alone := !slices.ContainsFunc(m.tasks, func(t *task) bool { return t.confirms == id && !t.over && !t.proc.dead() })
	m.world.begin(&task{what: "confirming " + m.name(id), proc: p, confirms: id, then: func(t *task) {
		m.checkAnswer(id, "confirmed", t.value.(signup.Outcome), t.err)
		if t.err == nil && alone && row.Status == catalog.AwaitingVerification && row.IdentityID == nil {
			m.checkPassword(t, row, enters)
		}
	}}, func(ctx context.Context) (any, error) {
		if row.IdentityID != nil {
			return service.ActivateWithAccount(ctx, token, *row.IdentityID)
		}
		return service.Activate(ctx, token, enters)
	})
}

// checkPassword looks whether a login that has just been confirmed has the password that was chosen, unless somebody else was at it.
func (m *machine) checkPassword(t *task, row catalog.Signup, password secret.String) {
	others := slices.ContainsFunc(m.tasks[t.number+1:], func(other *task) bool { return other.confirms == row.ID }) ||
		slices.ContainsFunc(m.late, func(c *call) bool { return c.system == "identity" })
	if l := m.accountOf(&row); l != nil && !others && l.password != password.Reveal() {
		m.fail("%s was confirmed with one password, and its login has another", m.name(row.ID))
	}
}

// review has an operator approve or reject a sign-up, at times one that does not wait for that.
func (m *machine) review() {
	var waiting []uuid.UUID
	for _, s := range m.catalog.signups {
		if s.Status == catalog.AwaitingApproval {
			waiting = append(waiting, s.ID)
		}
	}
	if n := len(m.catalog.signups); len(waiting) == 0 && n > 0 {
		waiting = append(waiting, m.catalog.signups[m.choices.next(n)].ID)
	}
	if len(waiting) == 0 {
		m.deliverSome()
		return
	}
	id := waiting[m.choices.next(len(waiting))]
	switch m.choices.next(5) {
	case 0, 1:
		m.approve(id)
	case 2:
		m.approve(id)
		m.reject(id)
	case 3:
		m.approve(id)
		m.approve(id)
	case 4:
		m.reject(id)
	}
}

func (m *machine) approve(id uuid.UUID) {
	p := m.anyProcess()
	if p == nil {
		return
	}
	service := m.services[p]
	m.approved[id] = true
	m.world.begin(&task{what: "approving " + m.name(id), proc: p, then: func(t *task) {
		m.checkAnswer(id, "approved", t.value.(signup.Outcome), t.err)
	}}, func(ctx context.Context) (any, error) { return service.Approve(ctx, id, operator) })
}

func (m *machine) reject(id uuid.UUID) {
	p := m.anyProcess()
	if p == nil {
		return
	}
	service := m.services[p]
	m.start(p, "rejecting "+m.name(id), func(ctx context.Context) (any, error) {
		return nil, service.Reject(ctx, id, operator)
	}, func(t *task) {
		var unavailable *signup.Unavailable
		if t.err != nil && !errors.Is(t.err, signup.ErrNotWaiting) && !errors.As(t.err, &unavailable) {
			m.fail("%s, being rejected, was answered: %v", m.name(id), t.err)
		}
		if status := m.catalog.signup(id).Status; t.err == nil && status != catalog.Expired {
			m.fail("%s was rejected, and is %s", m.name(id), status)
		}
	})
}

// resolve has an operator finish or undo a sign-up that needs one, at times two at once, and at times one that needs none.
func (m *machine) resolve() {
	var needing []uuid.UUID
	for _, s := range m.catalog.signups {
		if s.Status == catalog.NeedsOperator {
			needing = append(needing, s.ID)
		}
	}
	if n := len(m.catalog.signups); len(needing) == 0 && n > 0 {
		needing = append(needing, m.catalog.signups[m.choices.next(n)].ID)
	}
	if len(needing) == 0 {
		m.deliverSome()
		return
	}
	id, way := needing[m.choices.next(len(needing))], m.choices.next(4)
	if way != 0 {
		m.resolveOne(id, "undone")
	}
	if way < 2 {
		m.resolveOne(id, "resumed")
	}
}

// resolveOne has an operator decide on a sign-up, and looks at the answer.
func (m *machine) resolveOne(id uuid.UUID, how string) {
	p := m.anyProcess()
	if p == nil {
		return
	}
	resolve := m.services[p].ResolveUndo
	if how == "resumed" {
		resolve = m.services[p].ResolveFinish
	}
	before := m.catalog.signup(id).Status
	m.start(p, m.name(id)+" is "+how, func(ctx context.Context) (any, error) { return resolve(ctx, id, operator) }, func(t *task) {
		var unavailable *signup.Unavailable
		status := m.catalog.signup(id).Status
		switch {
		case t.err == nil:
			if m.seen["resolved: "+how]++; how == "undone" && status != catalog.Expired {
				m.fail("%s was undone, and is %s", m.name(id), status)
			}
		case errors.Is(t.err, signup.ErrInProgress), errors.As(t.err, &unavailable), errors.Is(t.err, catalog.ErrIdentityTaken):
		case errors.Is(t.err, signup.ErrNotWaiting):
			if before == catalog.NeedsOperator && status == catalog.NeedsOperator {
				m.fail("%s needs an operator, and was not %s: %v", m.name(id), how, t.err)
			}
		default:
			m.fail("%s, being %s, was answered: %v", m.name(id), how, t.err)
		}
	})
}

// checkAnswer looks at how a confirmation or an approval was answered.
func (m *machine) checkAnswer(id uuid.UUID, how string, outcome signup.Outcome, err error) {
	var unavailable *signup.Unavailable
	var validation *signup.ValidationError
	row := m.catalog.signup(id)
	switch {
	case err == nil && (outcome.Status == catalog.SignupReady || outcome.Status == catalog.Provisioning):
		m.seen[how]++
		m.accepted = append(m.accepted, id)
	case err == nil && outcome.Status == catalog.AwaitingApproval && how == "confirmed" && m.shape.approve:
		m.seen[how+", to be approved"]++
	case err == nil:
		m.fail("%s was %s, and answered %s", m.name(id), how, outcome.Status)
	case errors.Is(err, signup.ErrLinkGone) && how == "confirmed":
		if row.Status != catalog.Expired && !m.operatorNeeded {
			m.fail("the link of %s is said to be gone, and it is %s", m.name(id), row.Status)
		}
	case errors.As(err, &unavailable), errors.Is(err, signup.ErrInProgress), errors.Is(err, signup.ErrNotWaiting) && how == "approved":
	case m.shape.verify && (errors.As(err, &validation) || isRejected(err)):
	case errors.Is(err, signup.ErrEmailExists) && how == "confirmed":
		if !m.emailUsedLately(row.Email) {
			m.fail("the e-mail of %s is said to be taken, which it is not", m.name(id))
		}
	case errors.Is(err, signup.ErrNeedsOperator) && m.operatorNeeded:
	default:
		m.fail("%s, being %s, was answered: %v", m.name(id), how, err)
	}
}

// emailUsedLately reports whether an e-mail has a user or a login, or had one just now.
func (m *machine) emailUsedLately(email string) bool {
	_, freed := m.freed[email]
	return freed || m.catalog.emailTaken(email) || slices.ContainsFunc(m.accounts, func(l simAccount) bool { return l.email == email })
}

// changeAccount has a person confirm their e-mail at the provider, and where there are strangers somebody remove a login there.
func (m *machine) changeAccount() {
	if len(m.accounts) == 0 {
		m.deliverSome()
		return
	}
	l := m.accounts[m.choices.next(len(m.accounts))]
	for i := range m.catalog.signups { // rather one that somebody is at
		if s := &m.catalog.signups[i]; s.Status == catalog.Provisioning && m.accountOf(s) != nil {
			l = *m.accountOf(s)
		}
	}
	if m.shape.unmanaged && m.choices.next(3) == 1 {
		m.tracef("somebody removes the login with %s", l.email)
		m.removeAccount(l.id)
		m.closed[l.id], m.operatorNeeded = true, true
		return
	}
	m.tracef("the e-mail %s is confirmed at the provider", l.email)
	m.account(l.id).verified = true
}

// ownAccount is the login that a person has made at the provider, or makes now; nil where it is not their own.
func (m *machine) ownAccount(email string) *identity.User {
	i := slices.IndexFunc(m.accounts, func(l simAccount) bool { return l.email == email })
	if i < 0 {
		i = len(m.accounts)
		own := simAccount{id: fmt.Sprintf("own|%d", len(m.own)+1), email: email, verified: m.choices.next(2) == 0}
		m.tracef("somebody makes a login with %s", email)
		m.accounts, m.own = append(m.accounts, own), append(m.own, own.id)
	}
	l := m.accounts[i]
	if !slices.Contains(m.own, l.id) {
		return nil
	}
	return &identity.User{ID: l.id, Email: l.email, EmailVerified: l.verified}
}

// invite has the owner of a school invite somebody, or an operator somebody who is to make one, or takes an invitation back.
func (m *machine) invite() {
	p := m.anyProcess()
	if p == nil {
		return
	}
	service := m.services[p]
	if n := len(m.catalog.invitations); n > 0 && m.choices.next(4) == 1 {
		i := m.catalog.invitations[m.choices.next(n)]
		m.start(p, "revoking "+m.name(i.ID), func(ctx context.Context) (any, error) {
			return nil, service.Revoke(ctx, i.TenantID, i.ID, operator)
		}, nil)
		return
	}
	reservation := signup.InviteRequest{Email: fmt.Sprintf("ada%d@lincoln.example", 1+m.choices.next(5)), ValidFor: waitTimeout, By: operator}
	var schools []uuid.UUID
	for _, t := range m.catalog.tenants {
		if t.State == catalog.Ready {
			schools = append(schools, t.ID)
		}
	}
	if n := m.choices.next(len(schools) + 1); n > 0 {
		reservation.Tenant = &schools[n-1]
	}
	m.start(p, "inviting "+reservation.Email, func(ctx context.Context) (any, error) { return service.Invite(ctx, reservation) }, nil)
}

// answer has a client answer an invitation that was sent to its address, if there is one.
func (m *machine) answer(c *client) {
	for _, mail := range slices.Backward(m.catalog.mails) {
		if mail.kind == catalog.InvitationCreated && mail.email == c.request.Email {
			c.invitation, c.request.Invitation = mail.signup, m.services[m.procs[0]].InvitationToken(mail.signup)
			m.seen["invited clients"]++
			return
		}
	}
}

// resumeAll has every sign-up that waits confirmed and approved.
func (m *machine) resumeAll() {
	for range 2 {
		for _, s := range slices.Clone(m.catalog.signups) {
			told := slices.ContainsFunc(m.catalog.mails, func(mail mail) bool {
				return mail.signup == s.ID && mail.kind == catalog.SignupAwaitingVerification
			})
			switch {
			case s.Status == catalog.AwaitingVerification && told:
				m.activate(s.ID, chosen)
			case s.Status == catalog.AwaitingApproval:
				m.approve(s.ID)
			default:
				continue
			}
			m.runUntilIdle()
		}
	}
}
