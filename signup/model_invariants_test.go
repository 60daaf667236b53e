package signup_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/signup"
)

// tidiness is how long the reconcilers may take to tidy up once everything works, and nobody confirms anything.
const cleanUpTime = waitTimeout + 4*time.Minute

// runToCompletion has everything work and lets time pass until nothing is left to do, has every client try until it has an
// answer, and looks whether all is as it should be.
func (m *machine) runToCompletion() {
	m.tracef("everything works from here on")
	for _, s := range m.catalog.signups {
		m.seen["before rest: "+string(s.Status)]++
	}
	m.faults, m.faultless = false, true
	clear(m.unavailable)
	for i := range m.catalog.servers {
		m.catalog.servers[i].Capacity = nil
	}
	if !slices.ContainsFunc(m.procs, func(p *process) bool { return !p.dead() }) {
		m.startProcess()
	}
	if m.confirmFirst {
		m.resumeAll()
	}
	m.cleanUp()
	m.checkInvariants()
	m.resolveAll()
	for range 4 {
		if len(m.problems) > 0 {
			return
		}
		for _, c := range m.clients {
			m.retry(c)
		}
		m.cleanUp()
	}
	m.refillSpares()
	m.cleanUp()
	if len(m.problems) > 0 {
		return
	}
	m.checkInvariants()
	m.checkAllAnswered()
	m.checkStock()
}

// resolveAll has an operator undo every sign-up that needs one, or try to finish it first.
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
			m.fail("%s was resolved, and is %s", m.name(s.ID), now.Status)
		}
	}
}

// retry has a client try again, and confirm what there is to confirm.
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

// drain lets everything go on that can, until every task is over.
func (m *machine) runUntilIdle() {
	for len(m.problems) == 0 {
		if calls := m.ready(); len(calls) > 0 {
			m.deliver(calls[0])
			continue
		}
		if !slices.ContainsFunc(m.tasks, func(t *task) bool { return !t.over && !t.proc.dead() }) && len(m.pending) == 0 {
			return
		}
		m.advance(time.Second)
	}
}

// cleanUp has jobs done and passes made until nothing is due any more, now or later.
func (m *machine) cleanUp() {
	for end := time.Now().Add(cleanUpTime); len(m.problems) == 0; {
		m.runUntilIdle()
		next, due := m.next()
		switch {
		case next.IsZero():
			return
		case time.Now().After(end):
			m.fail("something is still unfinished after %s", cleanUpTime)
		case next.After(time.Now()):
			m.advance(time.Until(next))
		case due:
			m.runJob()
		default:
			m.reconcile()
		}
	}
}

// next is when something is to be done: the time is zero when there is nothing. job tells that it is a job.
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
	for _, c := range m.late {
		add(c.at, false)
	}
	return at, isJob
}

// fail records what is wrong. The words must be the same each time a run is repeated.
func (w *world) fail(format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	w.tracef("WRONG: %s", problem)
	w.problems = append(w.problems, problem)
}

// check looks at what must hold at every moment.
func (w *world) check() {
	for i := range w.catalog.signups {
		s := &w.catalog.signups[i]
		if school, ok := w.schools[s.ID]; ok && (s.Status != catalog.SignupReady || s.TenantID == nil || *s.TenantID != school) {
			w.fail("%s was ready and is not any more", w.name(s.ID))
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
				w.fail("the identity of %s names %s, which belongs to %s", w.name(l.signup), w.name(l.tenant), w.name(s.ID))
			}
		}
		if s.Status != catalog.SignupReady {
			continue
		}
		if owner, ok := w.owners[*s.TenantID]; ok && owner != s.ID {
			w.fail("%s belonged to %s, and belongs to %s now", w.name(*s.TenantID), w.name(owner), w.name(s.ID))
		}
		w.owners[*s.TenantID], w.schools[s.ID] = s.ID, *s.TenantID
	}
}

// member reports whether a sign-up is of a person who joins a school.
func (w *world) member(id uuid.UUID) bool {
	s := w.catalog.signup(id)
	return s != nil && s.Kind == catalog.Member
}

// acknowledged looks whether a client that is told of a ready school has one, and always the same.
func (m *machine) checkResult(c *client, result *signup.Result) {
	if c.ready != nil && !reflect.DeepEqual(c.ready, result) {
		m.fail("client %d was told of another school than before", c.number)
	}
	if c.ready == nil {
		c.ready, c.since = result, len(m.tasks)
	}
	row := m.catalog.signup(result.SignupID)
	switch {
	case row == nil || row.Status != catalog.SignupReady:
		m.fail("client %d was told that %s is ready, which it is not", c.number, m.name(result.SignupID))
	case row.Email != c.request.Email || result.User.Email != c.request.Email:
		m.fail("client %d was told of somebody else's school", c.number)
	}
}

// isFinished reports whether a refusal settles the matter, in a world in which nothing else happens: only a true one does.
func (m *machine) isFinished(c *client, t *task, err error) bool {
	switch {
	case errors.Is(err, signup.ErrEmailExists):
		_, err := m.catalog.findUser(c.request.Email)
		taken := err == nil || slices.ContainsFunc(m.accounts, func(l simAccount) bool { return l.email == c.request.Email })
		if !taken && m.freed[c.request.Email].Before(t.began) {
			m.fail("client %d was told that its e-mail is taken, which it is not", c.number)
		}
		return taken
	case errors.Is(err, signup.ErrHasSchool):
		if !slices.ContainsFunc(m.catalog.users, func(u userRow) bool { return u.IdentityID == c.request.Account.ID && u.state == "active" }) {
			m.fail("client %d was told that its login has a school, which it has not", c.number)
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

// unreachable tells that the catalog could not be asked.
func unreachable(err error) bool {
	var unavailable *signup.Unavailable
	return errors.As(err, &unavailable) && unavailable.What == signup.Catalog
}

func isRejected(err error) bool {
	var rejected *identity.Rejected
	return errors.As(err, &rejected)
}

// checkInvariants looks at all three systems, which must tell the same story now that nothing happens any more.
func (m *machine) checkInvariants() {
	for _, s := range m.catalog.signups {
		ended := s.Status == catalog.SignupReady || s.Status == catalog.Failed || s.Status == catalog.Expired
		switch {
		case s.Status == catalog.NeedsOperator && m.operatorNeeded: // as it should be
		case !ended, s.CheckAt != nil:
			m.fail("%s is unfinished: %s", m.name(s.ID), s.Status)
		case s.Status != catalog.SignupReady && s.TenantID != nil:
			m.fail("%s has ended, and keeps %s", m.name(s.ID), m.name(*s.TenantID))
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
			m.fail("%s is %s", m.name(u.ID), u.state)
		}
	}
	m.checkTenants()
}

// checkSchool looks at everything that a ready sign-up stands for.
func (m *machine) checkSchool(s catalog.Signup) {
	user, t := m.catalog.user(s.UserID), m.catalog.tenant(*s.TenantID)
	var result signup.Result
	if err := json.Unmarshal(s.Result, &result); err != nil {
		m.fail("%s keeps no result: %v", m.name(s.ID), err)
	}
	switch {
	case user == nil || user.state != "active" || user.TenantID != *s.TenantID:
		m.fail("%s is ready, and its user is not", m.name(s.ID))
	case t == nil || t.State != catalog.Ready && !m.operatorNeeded || t.Name == "" || t.Slug != result.School.Slug:
		m.fail("%s is ready, and its tenant is not", m.name(s.ID))
	case result.SignupID != s.ID || result.School.ID != t.ID || result.User.IdentityID != user.IdentityID:
		m.fail("the result of %s tells of something else", m.name(s.ID))
	}
	m.checkAccount(&s)
}

// checkTenants compares the tenants with the databases.
func (m *machine) checkTenants() {
	known := map[string]bool{}
	for _, t := range m.catalog.tenants {
		known[t.Database] = true
		switch {
		case t.State == catalog.Spare && m.catalog.unclaimable[t.ID]: // the keeper is still to discard it
		case t.State == catalog.Ready, t.State == catalog.Spare:
			i := slices.IndexFunc(m.servers, func(s *serverSim) bool { return s.name == t.Server })
			if d := m.servers[i].find(t.Database); d == nil || d.closed {
				m.fail("%s is %s, and nobody can enter its database", m.name(t.ID), t.State)
			}
			if _, owned := m.owners[t.ID]; owned != (t.State == catalog.Ready) {
				m.fail("%s is %s, though its owner says otherwise", m.name(t.ID), t.State)
			}
		case t.State == catalog.Building:
			if t.Name != "" && !m.operatorNeeded {
				m.fail("%s is being built, and nobody does it", m.name(t.ID))
			}
		default:
			if !m.operatorNeeded {
				m.fail("%s is %s", m.name(t.ID), t.State)
			}
		}
	}
	for _, s := range m.servers {
		for _, d := range s.databases {
			if !known[d.name] && !d.unmanaged && !strings.Contains(d.name, "_kept_") {
				m.fail("a database belongs to no tenant")
			}
		}
	}
}

// checkAllAnswered looks whether each client that has not given up has what it came for.
func (m *machine) checkAllAnswered() {
	for _, c := range m.clients {
		if !c.done {
			m.fail("client %d has no answer: %v", c.number, c.err)
		}
		if c.acceptedID == uuid.Nil {
			continue
		}
		if s := m.catalog.signup(c.acceptedID); s == nil || s.Status != catalog.SignupReady && !m.operatorNeeded {
			m.fail("client %d was promised %s, which came to nothing", c.number, m.name(c.acceptedID))
		}
	}
}

// checkStock looks at the spares: as many as there should be, and those that have come back.
func (m *machine) checkStock() {
	lineage, version := tenantSchema.Lineage(), tenantSchema.Latest()
	for _, s := range m.servers {
		n := len(m.catalog.stock(s.name, lineage, catalog.Spare, version)) + len(m.catalog.stock(s.name, lineage, catalog.Building, 0))
		if n < m.shape.spares || n > m.shape.spares+m.sparesReturned {
			m.fail("%d spares on %s, want %d; %d have come back", n, s.name, m.shape.spares, m.sparesReturned)
		}
	}
}
