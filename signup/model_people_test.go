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
	"homeroom/internal/modeltest"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// operator approves and rejects.
var operator = catalog.Actor{Name: "operator"}

// people follow the links of their mails, review sign-ups, change their own accounts and invite others, if the run has
// that.
func (m *machine) people() {
	switch n := m.Next(8); {
	case (n == 0 || n == 6) && m.shape.invites:
		m.invite()
	case n < 3 && m.shape.verify:
		m.followLink()
	case n < 5 && m.shape.approve:
		m.review()
	case (n == 5 || n == 6 && m.shape.unmanaged) && m.shape.accounts:
		m.changeAccount()
	case n == 7 && (m.shape.verify || m.shape.approve):
		m.Tracef("a long time passes")
		m.Advance(waitTimeout + time.Second)
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
	for range m.Next(3) {
		m.newClient()
		m.runUntilIdle()
	}
	if m.shape.invites && m.Next(4) > 0 {
		m.resumeAll()
		m.invite()
		m.invite()
		m.runUntilIdle()
	}
	if m.shape.verify && m.shape.approve && m.Next(2) == 1 {
		for _, mail := range m.catalog.mails {
			m.activate(mail.signup, chosen)
			m.runUntilIdle()
		}
	}
	if m.shape.unmanaged && m.Next(2) == 1 {
		m.review()
		for range m.Next(24) {
			m.DeliverFirst()
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
	followed := mails[m.Next(len(mails))]
	enters := []secret.String{chosen, "Chosen-0therwise", weak, ""}[m.Next(4)]
	for range 1 + m.Next(2) {
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
	token, row := p.service.ActivationToken(id), *m.catalog.signup(id)
	alone := len(m.Running(confirmation(id))) == 0
	m.Start(&modeltest.Task{What: "confirming " + m.name(id), Process: p.Process, For: confirmation(id), Then: func(t *modeltest.Task) {
		m.checkAnswer(id, "confirmed", t.Value.(signup.Outcome), t.Err)
		if t.Err == nil && alone && row.Status == catalog.AwaitingVerification && row.IdentityID == nil {
			m.checkPassword(t, row, enters)
		}
	}}, func(ctx context.Context) (any, error) {
		if row.IdentityID != nil {
			return p.service.ActivateWithAccount(ctx, token, *row.IdentityID)
		}
		return p.service.Activate(ctx, token, enters)
	})
}

// confirmation is the purpose of the tasks that confirm a sign-up.
type confirmation uuid.UUID

// checkPassword checks that an account that has just been confirmed has the chosen password, unless somebody else
// changed it.
func (m *machine) checkPassword(t *modeltest.Task, row catalog.Signup, password secret.String) {
	others := slices.ContainsFunc(m.Tasks[t.Number+1:], func(other *modeltest.Task) bool { return other.For == confirmation(row.ID) }) ||
		slices.ContainsFunc(m.Late, func(c *modeltest.Call) bool { return c.System == "identity" })
	if l := m.accountOf(&row); l != nil && !others && l.password != password.Reveal() {
		m.Failf("%s was confirmed with one password, and its account has another", m.name(row.ID))
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
		waiting = append(waiting, m.catalog.signups[m.Next(n)].ID)
	}
	if len(waiting) == 0 {
		m.deliverSome()
		return
	}
	id := waiting[m.Next(len(waiting))]
	switch m.Next(5) {
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
	m.approved[id] = true
	m.start(p, "approving "+m.name(id), func(ctx context.Context) (any, error) {
		return p.service.Approve(ctx, id, operator)
	}, func(t *modeltest.Task) { m.checkAnswer(id, "approved", t.Value.(signup.Outcome), t.Err) })
}

func (m *machine) reject(id uuid.UUID) {
	p := m.anyProcess()
	if p == nil {
		return
	}
	m.start(p, "rejecting "+m.name(id), func(ctx context.Context) (any, error) {
		return nil, p.service.Reject(ctx, id, operator)
	}, func(t *modeltest.Task) {
		var unavailable *signup.Unavailable
		if t.Err != nil && !errors.Is(t.Err, signup.ErrNotWaiting) && !errors.As(t.Err, &unavailable) {
			m.Failf("%s, being rejected, was answered: %v", m.name(id), t.Err)
		}
		if status := m.catalog.signup(id).Status; t.Err == nil && status != catalog.Expired {
			m.Failf("%s was rejected, and is %s", m.name(id), status)
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
		needing = append(needing, m.catalog.signups[m.Next(n)].ID)
	}
	if len(needing) == 0 {
		m.deliverSome()
		return
	}
	id, way := needing[m.Next(len(needing))], m.Next(4)
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
	resolve := p.service.ResolveUndo
	if how == "resumed" {
		resolve = p.service.ResolveFinish
	}
	before := m.catalog.signup(id).Status
	m.start(p, m.name(id)+" is "+how, func(ctx context.Context) (any, error) { return resolve(ctx, id, operator) }, func(t *modeltest.Task) {
		var unavailable *signup.Unavailable
		status := m.catalog.signup(id).Status
		switch {
		case t.Err == nil:
			if m.Seen["resolved: "+how]++; how == "undone" && status != catalog.Expired {
				m.Failf("%s was undone, and is %s", m.name(id), status)
			}
		case errors.Is(t.Err, signup.ErrInProgress), errors.As(t.Err, &unavailable), errors.Is(t.Err, catalog.ErrIdentityTaken):
		case errors.Is(t.Err, signup.ErrNotWaiting):
			if before == catalog.NeedsOperator && status == catalog.NeedsOperator {
				m.Failf("%s needs an operator, and was not %s: %v", m.name(id), how, t.Err)
			}
		default:
			m.Failf("%s, being %s, was answered: %v", m.name(id), how, t.Err)
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
		m.Seen[how]++
		m.accepted = append(m.accepted, id)
	case err == nil && outcome.Status == catalog.AwaitingApproval && how == "confirmed" && m.shape.approve:
		m.Seen[how+", to be approved"]++
	case err == nil:
		m.Failf("%s was %s, and answered %s", m.name(id), how, outcome.Status)
	case errors.Is(err, signup.ErrLinkGone) && how == "confirmed":
		if row.Status != catalog.Expired && !m.operatorNeeded {
			m.Failf("the link of %s was refused as expired, and it is %s", m.name(id), row.Status)
		}
	case errors.As(err, &unavailable), errors.Is(err, signup.ErrInProgress), errors.Is(err, signup.ErrNotWaiting) && how == "approved":
	case m.shape.verify && (errors.As(err, &validation) || isRejected(err)):
	case errors.Is(err, signup.ErrEmailExists) && how == "confirmed":
		if !m.emailUsedLately(row.Email) {
			m.Failf("the e-mail of %s was refused as taken, which it is not", m.name(id))
		}
	case errors.Is(err, signup.ErrNeedsOperator) && m.operatorNeeded:
	default:
		m.Failf("%s, being %s, was answered: %v", m.name(id), how, err)
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
	l := m.accounts[m.Next(len(m.accounts))]
	for i := range m.catalog.signups { // prefer one whose sign-up is in progress
		if s := &m.catalog.signups[i]; s.Status == catalog.Provisioning && m.accountOf(s) != nil {
			l = *m.accountOf(s)
		}
	}
	if m.shape.unmanaged && m.Next(3) == 1 {
		m.Tracef("somebody removes the account with %s", l.email)
		m.removeAccount(l.id)
		m.closed[l.id], m.operatorNeeded = true, true
		return
	}
	m.Tracef("the e-mail %s is confirmed at the provider", l.email)
	m.account(l.id).verified = true
}

// ownAccount returns the account that a person has created at the provider, or creates it now; nil if it is not their
// own.
func (m *machine) ownAccount(email string) *identity.User {
	i := slices.IndexFunc(m.accounts, func(l simAccount) bool { return l.email == email })
	if i < 0 {
		i = len(m.accounts)
		own := simAccount{id: fmt.Sprintf("own|%d", len(m.own)+1), email: email, verified: m.Next(2) == 0}
		m.Tracef("somebody creates an account with %s", email)
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
	if n := len(m.catalog.invitations); n > 0 && m.Next(4) == 1 {
		i := m.catalog.invitations[m.Next(n)]
		m.start(p, "revoking "+m.name(i.ID), func(ctx context.Context) (any, error) {
			return nil, p.service.Revoke(ctx, i.TenantID, i.ID, operator)
		}, nil)
		return
	}
	reservation := signup.InviteRequest{Email: fmt.Sprintf("ada%d@lincoln.example", 1+m.Next(5)), ValidFor: waitTimeout, By: operator}
	var schools []uuid.UUID
	for _, t := range m.catalog.tenants {
		if t.State == catalog.Ready {
			schools = append(schools, t.ID)
		}
	}
	if n := m.Next(len(schools) + 1); n > 0 {
		reservation.Tenant = &schools[n-1]
	}
	m.start(p, "inviting "+reservation.Email, func(ctx context.Context) (any, error) { return p.service.Invite(ctx, reservation) }, nil)
}

// answer makes a client accept an invitation that was sent to its address, if there is one.
func (m *machine) answer(c *client) {
	for _, mail := range slices.Backward(m.catalog.mails) {
		if mail.kind == catalog.InvitationCreated && mail.email == c.request.Email {
			c.invitation, c.request.Invitation = mail.signup, m.procs[0].service.InvitationToken(mail.signup)
			m.Seen["invited clients"]++
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
