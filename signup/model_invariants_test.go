package signup_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/modeltest"
	"homeroom/signup"
)

// cleanUpTime is how long the reconcilers may take to finish once all faults have ended and nobody confirms anything.
const cleanUpTime = waitTimeout + 4*time.Minute

// runToCompletion ends all faults and advances time until nothing is left to do. Every client repeats its request until
// it has an answer. Then it checks the invariants.
func (m *machine) runToCompletion() {
	m.Tracef("no faults from here on")
	for _, s := range m.catalog.signups {
		m.Seen["before rest: "+string(s.Status)]++
	}
	m.faults, m.faultless = false, true
	clear(m.Unavailable)
	for i := range m.catalog.servers {
		m.catalog.servers[i].Capacity = nil
	}
	if len(modeltest.Alive(m.procs)) == 0 {
		m.startProcess()
	}
	if m.confirmFirst {
		m.resumeAll()
	}
	m.cleanUp()
	m.checkInvariants()
	m.resolveAll()
	for range 4 {
		if len(m.Problems) > 0 {
			return
		}
		for _, c := range m.clients {
			m.retry(c)
		}
		m.cleanUp()
	}
	m.refillSpares()
	m.cleanUp()
	if len(m.Problems) > 0 {
		return
	}
	m.checkInvariants()
	m.checkAllAnswered()
	m.checkStock()
}

// resolveAll makes an operator undo every sign-up that needs one, or try to finish it first.
func (m *machine) resolveAll() {
	for _, s := range slices.Clone(m.catalog.signups) {
		if s.Status != catalog.NeedsOperator {
			continue
		}
		if m.confirmFirst {
			m.resolveOne(s.ID, "resumed")
			m.cleanUp()
		}
		if m.catalog.signup(s.ID).Status == catalog.NeedsOperator {
			m.resolveOne(s.ID, "undone")
			m.cleanUp()
		}
		now := m.catalog.signup(s.ID)
		if now.Status != catalog.SignupReady && (now.TenantID != nil || m.catalog.user(s.UserID) != nil || now.Status == catalog.NeedsOperator) {
			m.Failf("%s was resolved, and is %s", m.name(s.ID), now.Status)
		}
	}
}

// retry makes a client repeat its request, and confirm its e-mail.
func (m *machine) retry(c *client) {
	for range 2 {
		if c.done {
			return
		}
		c.request.Password = password
		m.begin(c)
		m.runUntilIdle()
		m.resumeAll()
	}
}

// runUntilIdle lets all calls succeed until every task has ended.
func (m *machine) runUntilIdle() {
	for len(m.Problems) == 0 {
		switch {
		case m.DeliverFirst():
		case m.Busy():
			m.Advance(time.Second)
		default:
			return
		}
	}
}

// cleanUp runs jobs and reconciler passes until nothing is due, now or later.
func (m *machine) cleanUp() {
	for end := time.Now().Add(cleanUpTime); len(m.Problems) == 0; {
		m.runUntilIdle()
		next, due := m.next()
		switch {
		case next.IsZero():
			return
		case time.Now().After(end):
			m.Failf("something is still unfinished after %s", cleanUpTime)
		case next.After(time.Now()):
			m.Advance(time.Until(next))
		case due:
			m.runJob()
		default:
			m.reconcile()
		}
	}
}

// next returns when the next thing is due; the time is zero if there is none. isJob reports whether it is a job.
func (m *machine) next() (at time.Time, isJob bool) {
	add := func(t time.Time, job bool) {
		if at.IsZero() || t.Before(at) {
			at, isJob = t, job
		}
	}
	for _, j := range m.catalog.jobs {
		add(j.due, true)
	}
	for _, s := range m.catalog.signups {
		if s.CheckAt != nil {
			add(*s.CheckAt, false)
		}
	}
	for _, c := range m.Late {
		add(c.At, false)
	}
	return at, isJob
}

// check checks the invariants that hold at every moment.
func (w *world) check() {
	for i := range w.catalog.signups {
		s := &w.catalog.signups[i]
		if school, ok := w.schools[s.ID]; ok && (s.Status != catalog.SignupReady || s.TenantID == nil || *s.TenantID != school) {
			w.Failf("%s was ready and is not any more", w.name(s.ID))
		}
		if s.TenantID == nil {
			continue
		}
		w.checkAdmission(s)
		if s.Kind == catalog.Member {
			continue
		}
		for j := range w.accounts {
			if l := &w.accounts[j]; l.tenant == *s.TenantID && l.signup != s.ID && !w.member(l.signup) {
				w.Failf("the identity of %s names %s, which belongs to %s", w.name(l.signup), w.name(l.tenant), w.name(s.ID))
			}
		}
		if s.Status != catalog.SignupReady {
			continue
		}
		if owner, ok := w.owners[*s.TenantID]; ok && owner != s.ID {
			w.Failf("%s belonged to %s, and belongs to %s now", w.name(*s.TenantID), w.name(owner), w.name(s.ID))
		}
		w.owners[*s.TenantID], w.schools[s.ID] = s.ID, *s.TenantID
	}
}

// member reports whether a sign-up is of a person who joins a school.
func (w *world) member(id uuid.UUID) bool {
	s := w.catalog.signup(id)
	return s != nil && s.Kind == catalog.Member
}

// checkResult checks that a client that got a ready school has one, and always the same.
func (m *machine) checkResult(c *client, result *signup.Result) {
	if c.ready != nil && !reflect.DeepEqual(c.ready, result) {
		m.Failf("client %d got another school than before", c.number)
	}
	if c.ready == nil {
		c.ready, c.since = result, len(m.Tasks)
	}
	row := m.catalog.signup(result.SignupID)
	switch {
	case row == nil || row.Status != catalog.SignupReady:
		m.Failf("client %d was answered that %s is ready, which it is not", c.number, m.name(result.SignupID))
	case row.Email != c.request.Email || result.User.Email != c.request.Email:
		m.Failf("client %d got another client's school", c.number)
	}
}

// isFinished reports whether a refusal is final. At the end, when no faults happen any more, it must also be true.
func (m *machine) isFinished(c *client, t *modeltest.Task, err error) bool {
	switch {
	case errors.Is(err, signup.ErrEmailExists):
		_, err := m.catalog.findUser(c.request.Email)
		taken := err == nil || slices.ContainsFunc(m.accounts, func(l simAccount) bool { return l.email == c.request.Email })
		if !taken && m.freed[c.request.Email].Before(t.Began) {
			m.Failf("client %d was answered that its e-mail is taken, which it is not", c.number)
		}
		return taken
	case errors.Is(err, signup.ErrHasSchool):
		if !slices.ContainsFunc(m.catalog.users, func(u userRow) bool { return u.IdentityID == c.request.Account.ID && u.state == "active" }) {
			m.Failf("client %d was answered that its account has a school, which it has not", c.number)
		}
		return true
	case errors.Is(err, signup.ErrInvitationGone):
		found, err := m.catalog.invitation(c.invitation)
		return err != nil || !found.Open()
	case errors.Is(err, signup.ErrKeyReused):
		return m.catalog.keyTaken(c.request.IdempotencyKey)
	}
	return false
}

// unreachable reports whether an error says that the catalog did not answer.
func unreachable(err error) bool {
	var unavailable *signup.Unavailable
	return errors.As(err, &unavailable) && unavailable.What == signup.Catalog
}

func isRejected(err error) bool {
	var rejected *identity.Rejected
	return errors.As(err, &rejected)
}

// checkInvariants checks that the three systems agree at the end.
func (m *machine) checkInvariants() {
	for _, s := range m.catalog.signups {
		ended := s.Status == catalog.SignupReady || s.Status == catalog.Failed || s.Status == catalog.Expired
		switch {
		case s.Status == catalog.NeedsOperator && m.operatorNeeded: // as expected
		case !ended, s.CheckAt != nil:
			m.Failf("%s is unfinished: %s", m.name(s.ID), s.Status)
		case s.Status != catalog.SignupReady && s.TenantID != nil:
			m.Failf("%s has ended, and still has %s", m.name(s.ID), m.name(*s.TenantID))
		case s.Status == catalog.SignupReady:
			m.checkSchool(s)
		}
	}
	m.checkAccounts()
	m.checkOrganizations()
	m.checkAccepted()
	m.checkInvitations()
	for _, u := range m.catalog.users {
		if u.state != "active" && !m.operatorNeeded {
			m.Failf("%s is %s", m.name(u.ID), u.state)
		}
	}
	m.checkTenants()
}

// checkSchool checks everything that belongs to a ready sign-up.
func (m *machine) checkSchool(s catalog.Signup) {
	user, t := m.catalog.user(s.UserID), m.catalog.tenant(*s.TenantID)
	var result signup.Result
	if err := json.Unmarshal(s.Result, &result); err != nil {
		m.Failf("%s has no result: %v", m.name(s.ID), err)
	}
	switch {
	case user == nil || user.state != "active" || user.TenantID != *s.TenantID:
		m.Failf("%s is ready, and its user is not", m.name(s.ID))
	case t == nil || t.State != catalog.Ready && !m.operatorNeeded || t.Name == "" || t.Slug != result.School.Slug:
		m.Failf("%s is ready, and its tenant is not", m.name(s.ID))
	case result.SignupID != s.ID || result.School.ID != t.ID || result.User.IdentityID != user.IdentityID:
		m.Failf("the result of %s is about something else", m.name(s.ID))
	}
	m.checkAccount(&s)
}

// checkTenants compares the tenants with the databases.
func (m *machine) checkTenants() {
	known := map[string]bool{}
	for _, t := range m.catalog.tenants {
		known[t.Database] = true
		switch {
		case t.State == catalog.Spare && m.catalog.unclaimable[t.ID]: // the refiller has not discarded it yet
		case t.State == catalog.Ready, t.State == catalog.Spare:
			i := slices.IndexFunc(m.servers, func(s *serverSim) bool { return s.name == t.Server })
			if d := m.servers[i].find(t.Database); d == nil || d.closed {
				m.Failf("%s is %s, and its database accepts no connections", m.name(t.ID), t.State)
			}
			if _, owned := m.owners[t.ID]; owned != (t.State == catalog.Ready) {
				m.Failf("%s is %s, which contradicts its owner", m.name(t.ID), t.State)
			}
		case t.State == catalog.Building:
			if t.Name != "" && !m.operatorNeeded {
				m.Failf("%s is being built, and no worker builds it", m.name(t.ID))
			}
		default:
			if !m.operatorNeeded {
				m.Failf("%s is %s", m.name(t.ID), t.State)
			}
		}
	}
	for _, s := range m.servers {
		for _, d := range s.databases {
			if !known[d.name] && !d.unmanaged && !strings.Contains(d.name, "_kept_") {
				m.Failf("a database belongs to no tenant")
			}
		}
	}
}

// checkAllAnswered checks that each client that still waits got a correct answer.
func (m *machine) checkAllAnswered() {
	for _, c := range m.clients {
		if !c.done {
			m.Failf("client %d has no answer: %v", c.number, c.err)
		}
		if c.acceptedID == uuid.Nil {
			continue
		}
		if s := m.catalog.signup(c.acceptedID); s == nil || s.Status != catalog.SignupReady && !m.operatorNeeded {
			m.Failf("client %d got an acceptance of %s, which is not ready", c.number, m.name(c.acceptedID))
		}
	}
}

// checkStock checks the number of spares: as many as configured, and those that were returned.
func (m *machine) checkStock() {
	lineage, version := tenantSchema.Lineage(), tenantSchema.Latest()
	for _, s := range m.servers {
		n := len(m.catalog.stock(s.name, lineage, catalog.Spare, version)) + len(m.catalog.stock(s.name, lineage, catalog.Building, 0))
		if n < m.shape.spares || n > m.shape.spares+m.sparesReturned {
			m.Failf("%d spares on %s, want %d; %d were returned", n, s.name, m.shape.spares, m.sparesReturned)
		}
	}
}
