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

// operator approves and rejects.
var operator = signup.Actor{Name: "operator"}

// people follow the links of their mails, review sign-ups, change their own accounts and invite others, if the run has
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
		m.tracef("a long time passes")
		m.advance(waitTimeout + time.Second)
	default:
		m.deliverSome()
	}
}

// startWaitingClients begins a run with some clients that wait already, if sign-ups must wait in this run. The choices
// of the run are then left for what comes after.
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

// followLink makes somebody follow the link in a mail, sometimes twice at the same time.
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

// chosen is the password that people choose when they confirm their e-mail. Sign-ups send another one.
const chosen secret.String = "Chosen-at-last-7"

// activate makes somebody confirm a sign-up, with the account with which it began if there is one.
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

// checkPassword checks that an account that has just been confirmed has the chosen password, unless somebody else
// changed it.
func (m *machine) checkPassword(t *task, row catalog.Signup, password secret.String) {
	others := slices.ContainsFunc(m.tasks[t.number+1:], func(other *task) bool { return other.confirms == row.ID }) ||
		slices.ContainsFunc(m.late, func(c *call) bool { return c.system == "identity" })
	if l := m.accountOf(&row); l != nil && !others && l.password != password.Reveal() {
		m.fail("%s was confirmed with one password, and its account has another", m.name(row.ID))
	}
}

// review makes an operator approve or reject a sign-up, sometimes one that does not wait for it.
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

// resolve makes an operator finish or undo a sign-up that needs it, sometimes two at the same time, and sometimes one
// that needs none.
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

// resolveOne makes an operator resolve a sign-up, and checks the answer.
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

// checkAnswer checks the answer to a confirmation or an approval.
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
			m.fail("the link of %s was refused as expired, and it is %s", m.name(id), row.Status)
		}
	case errors.As(err, &unavailable), errors.Is(err, signup.ErrInProgress), errors.Is(err, signup.ErrNotWaiting) && how == "approved":
	case m.shape.verify && (errors.As(err, &validation) || isRejected(err)):
	case errors.Is(err, signup.ErrEmailExists) && how == "confirmed":
		if !m.emailUsedLately(row.Email) {
			m.fail("the e-mail of %s was refused as taken, which it is not", m.name(id))
		}
	case errors.Is(err, signup.ErrNeedsOperator) && m.operatorNeeded:
	default:
		m.fail("%s, being %s, was answered: %v", m.name(id), how, err)
	}
}

// emailUsedLately reports whether an e-mail has a user or an account, or had one a moment ago.
func (m *machine) emailUsedLately(email string) bool {
	_, freed := m.freed[email]
	return freed || m.catalog.emailTaken(email) || slices.ContainsFunc(m.accounts, func(l simAccount) bool { return l.email == email })
}

// changeAccount makes a person confirm their e-mail at the provider, or somebody remove an account there if the run has
// that.
func (m *machine) changeAccount() {
	if len(m.accounts) == 0 {
		m.deliverSome()
		return
	}
	l := m.accounts[m.choices.next(len(m.accounts))]
	for i := range m.catalog.signups { // prefer one whose sign-up is in progress
		if s := &m.catalog.signups[i]; s.Status == catalog.Provisioning && m.accountOf(s) != nil {
			l = *m.accountOf(s)
		}
	}
	if m.shape.unmanaged && m.choices.next(3) == 1 {
		m.tracef("somebody removes the account with %s", l.email)
		m.removeAccount(l.id)
		m.closed[l.id], m.operatorNeeded = true, true
		return
	}
	m.tracef("the e-mail %s is confirmed at the provider", l.email)
	m.account(l.id).verified = true
}

// ownAccount returns the account that a person has created at the provider, or creates it now; nil if it is not their
// own.
func (m *machine) ownAccount(email string) *identity.User {
	i := slices.IndexFunc(m.accounts, func(l simAccount) bool { return l.email == email })
	if i < 0 {
		i = len(m.accounts)
		own := simAccount{id: fmt.Sprintf("own|%d", len(m.own)+1), email: email, verified: m.choices.next(2) == 0}
		m.tracef("somebody creates an account with %s", email)
		m.accounts, m.own = append(m.accounts, own), append(m.own, own.id)
	}
	l := m.accounts[i]
	if !slices.Contains(m.own, l.id) {
		return nil
	}
	return &identity.User{ID: l.id, Email: l.email, EmailVerified: l.verified}
}

// invite makes the owner of a school invite a person, or an operator invite one to sign up a school, or revokes an
// invitation.
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

// answer makes a client accept an invitation that was sent to its address, if there is one.
func (m *machine) answer(c *client) {
	for _, mail := range slices.Backward(m.catalog.mails) {
		if mail.kind == catalog.InvitationCreated && mail.email == c.request.Email {
			c.invitation, c.request.Invitation = mail.signup, m.services[m.procs[0]].InvitationToken(mail.signup)
			m.seen["invited clients"]++
			return
		}
	}
}

// resumeAll confirms and approves every sign-up that waits.
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
