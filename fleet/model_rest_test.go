package fleet_test

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/migrations"
)

// begins looks whether a process may begin with a tenant, when it first asks for the tenant's lock.
func (w *world) begins(c *call) {
	s := c.holder
	if s == nil || s.run == nil {
		w.fail("%s is migrated under no run", c.about)
		return
	}
	t := w.rows.bySlug(c.about)
	if w.locks[t.Slug] != nil && !w.locks[t.Slug].stopped() {
		w.seen["waited for a tenant's lock"]++
	}
	if s.begun[t.Slug] {
		return
	}
	s.begun[t.Slug] = true
	r := s.run
	row := r.row()
	switch {
	case len(r.OnlyTenants) > 0 && !named(t.Tenant, r.OnlyTenants):
		w.fail("run %d is narrowed, and not to %s", r.number, t.Slug)
	case s.over:
		w.fail("run %d is paused or over, its process knows it, and begins with %s", r.number, t.Slug)
	case r.State != catalog.RunRunning && s.looks && time.Since(r.changed) > 400*time.Millisecond:
		w.fail("run %d was %s a while ago, nobody looked, and %s is begun", r.number, r.State, t.Slug)
	case s.broken:
		w.fail("a canary of run %d failed, and %s is begun", r.number, t.Slug)
	case s.counting > r.MaxFailures:
		w.fail("%d tenants of run %d failed, and %s is begun", s.counting, r.number, t.Slug)
	case r.overlapped: // neither process knows what the other has found
	case r.canaryFailed():
		w.fail("a canary of run %d has failed by its outcomes, and %s is begun", r.number, t.Slug)
	case row.Counting > r.MaxFailures:
		w.fail("%d tenants of run %d have failed by its outcomes, and %s is begun", row.Counting, r.number, t.Slug)
	case r.Total > r.Canaries && len(r.outcomes) < r.Canaries && len(s.begun) > r.Canaries-s.known:
		w.fail("%s is begun in run %d before all canaries are done", t.Slug, r.number)
	case r.has(t.ID):
		w.fail("%s has an outcome in run %d, and is begun again", t.Slug, r.number)
	case len(r.OnlyTenants) == 0 && t.HeldAt != nil:
		w.fail("%s is held at version %d, and run %d takes it along", t.Slug, *t.HeldAt, r.number)
	}
}

// canaryFailed reports whether one of the first wave failed, where there is another.
func (r *run) canaryFailed() bool {
	if r.Total <= r.Canaries {
		return false
	}
	return slices.ContainsFunc(r.outcomes[:min(r.Canaries, len(r.outcomes))], func(o catalog.Outcome) bool {
		return o.State == "failed"
	})
}

func (r *rows) bySlug(slug string) *row {
	i := slices.IndexFunc(r.tenants, func(t *row) bool { return t.Slug == slug })
	return r.tenants[i]
}

// hears has whoever works on a run know of a failure.
func (s *session) hears(err error) {
	var failed *migrations.Error
	if s == nil || !errors.As(err, &failed) {
		return
	}
	s.counting++
	s.broken = s.broken || s.canaries
}

// migrated looks at a database whose version has changed.
func (w *world) migrated(t *row, before uint, c *call) {
	if c.holder == nil || c.holder.run == nil {
		w.fail("%s was migrated under no run", t.Slug)
		return
	}
	r := c.holder.run
	down := t.db.version < before
	switch {
	case down && (r.Direction != "down" || !named(t.Tenant, r.OnlyTenants)):
		w.fail("run %d took %s back to %d", r.number, t.Slug, t.db.version)
	case !down && r.Direction != "up":
		w.fail("run %d goes down, and took %s up to %d", r.number, t.Slug, t.db.version)
	case down && t.db.version < r.ToVersion, !down && t.db.version > r.ToVersion:
		w.fail("run %d took %s to %d, beyond %d", r.number, t.Slug, t.db.version, r.ToVersion)
	}
}

// mayStart looks at a run that has begun.
func (w *world) mayStart(by *task, started *run) {
	if !by.automatic {
		return
	}
	for _, r := range slices.Backward(w.rows.runs[:len(w.rows.runs)-1]) {
		if r.SchemaHash != started.SchemaHash || len(r.OnlyTenants) > 0 || r.Direction != "up" {
			continue
		}
		// One that began and ended since the service looked could not be known.
		if r.number <= by.known && (r.State == catalog.RunStopped && r.row().Counting > 0 || r.State == catalog.RunAborted) {
			w.fail("run %d is %s, and a service begins run %d with the same files", r.number, r.State, started.number)
		}
		return
	}
}

// finished looks at a run that is done.
func (w *world) finished(r *run) {
	if r.State != catalog.RunDone {
		return
	}
	filter := filterOf(r)
	filter.NotIn = r.ID
	for _, t := range w.rows.behind(filter) {
		if slices.Contains(r.about, w.rows.tenant(t.ID)) {
			w.fail("run %d is done, and %s has no outcome", r.number, t.Slug)
		}
	}
}

// recorded compares the catalog with the databases.
func (w *world) recorded(outcomes []catalog.Outcome) {
	for _, o := range outcomes {
		t := w.rows.tenant(o.TenantID)
		if !w.overlap && (o.State == "done" || o.Counts) && !replaced(t.Tenant) && t.SchemaVersion != t.db.version {
			w.fail("the catalog has %s at version %d, and it is at %d", t.Slug, t.SchemaVersion, t.db.version)
		}
	}
}

// check looks at what must hold at every moment.
func (w *world) check() {
	open := 0
	for _, r := range w.rows.runs {
		if r.State.Open() {
			open++
		}
		ended := r.before != "" && !r.before.Open()
		if r.State != r.before && (ended || r.before == catalog.RunPaused && r.State != catalog.RunRunning && r.State != catalog.RunAborted) {
			w.fail("run %d was %s, and is %s", r.number, r.before, r.State)
		}
		r.before = r.State
		for i, o := range r.outcomes {
			if slices.ContainsFunc(r.outcomes[:i], func(other catalog.Outcome) bool { return other.TenantID == o.TenantID }) {
				w.fail("run %d has two outcomes for %s", r.number, *o.Slug)
			}
		}
	}
	if open > 1 {
		w.fail("%d runs are open", open)
	}
	for _, t := range w.rows.tenants {
		quarantined, failed := t.State == catalog.Quarantined, t.lately != nil && t.lately.State == "failed"
		if !replaced(t.Tenant) && quarantined != failed {
			w.fail("%s is %s", t.Slug, t.State)
		}
	}
}

// endsWell looks at what a run tells its caller.
func (w *world) endsWell(t *task) {
	if errors.Is(t.err, catalog.ErrRunActive) {
		w.fail("%s gives up instead of waiting", t.what)
	}
}

// patience is how long everything may take once all works.
const patience = 10 * time.Minute

// comeToRest has everything work, lets an operator run the fleet, and looks whether all is as it should be.
func (m *machine) comeToRest() {
	m.tell("everything works from here on")
	m.faults = false
	clear(m.away)
	for _, t := range m.rows.tenants {
		t.db.held = time.Time{}
	}
	m.pass(longestDeaf)
	p := &process{number: len(m.procs) + 1, set: m.sets[0]}
	if m.newer {
		p.set = m.sets[1]
	}
	m.boot(p)
	m.drainQueue()
	service := m.runs(p, true, "the service's run", fleet.Options{By: "serve", Automatic: true})
	m.drainQueue()
	m.isHalted(service)
	m.fingerprints(p)
	m.drainQueue()
	operator := m.runs(p, false, "ada's last run", fleet.Options{By: "ada", MaxFailures: new(100), Canaries: new(0)})
	m.drainQueue()
	if len(m.problems) > 0 {
		return
	}
	if operator.err != nil || operator.report.Run.ID != uuid.Nil && operator.report.Run.State != catalog.RunDone {
		m.fail("the last run: %s, %v", operator.report.Run.State, operator.err)
	}
	m.inOrder(p.set.Latest())
	again := m.runs(p, true, "the service's last run", fleet.Options{By: "serve", Automatic: true, SkipQuarantined: true})
	m.drainQueue()
	if again.err != nil || again.report.Run.ID != uuid.Nil {
		m.fail("there is still something to migrate: %v", again.err)
	}
}

// isHalted looks why a service has begun no run: only one that was stopped or aborted is a reason.
func (m *machine) isHalted(t *task) {
	var halted *fleet.HaltedError
	if errors.As(t.err, &halted) {
		if r := m.rows.latest(t.proc.set.Hash()); r.State == catalog.RunStopped || r.State == catalog.RunAborted {
			return
		}
	}
	if t.err != nil {
		m.fail("the service's run: %v", t.err)
	}
}

// drain lets everything go on that can, resumes what is paused, and works on what is open, until everything is over.
func (m *machine) drainQueue() {
	for end := time.Now().Add(patience); len(m.problems) == 0; {
		if calls := m.ready(); len(calls) > 0 {
			m.deliver(calls[0])
			continue
		}
		open := m.rows.open()
		busy := slices.ContainsFunc(m.tasks, func(t *task) bool { return !t.over && !t.proc.dead() }) || len(m.pending) > 0
		switch {
		case time.Now().After(end):
			m.fail("something is still unfinished after %s", patience)
		case open != nil && open.State == catalog.RunPaused:
			_ = m.rows.change(open.ID, catalog.RunRunning, "", catalog.RunPaused)
			m.check()
			m.tell("run %d is resumed", open.number)
		case busy:
			m.pass(100 * time.Millisecond)
		case open != nil && slices.ContainsFunc(m.alive(), func(p *process) bool { return p.set.Hash() == open.SchemaHash }):
			for _, p := range m.alive() {
				m.work(p)
			}
		default:
			return
		}
		if busy && open != nil && !m.heldByOther("migration run", nil) {
			for _, p := range m.alive() {
				m.work(p)
			}
		}
	}
}

// inOrder looks at all tenants, when an operator's run over all of them is done.
func (m *machine) inOrder(newest uint) {
	for _, t := range m.rows.tenants {
		poisoned := t.db.poison > t.db.version && t.db.poison <= newest
		switch {
		case replaced(t.Tenant):
		case t.SchemaVersion != t.db.version:
			m.fail("in the end the catalog has %s at version %d, and it is at %d", t.Slug, t.SchemaVersion, t.db.version)
		case t.HeldAt != nil:
		case poisoned && t.State != catalog.Quarantined:
			m.fail("%s cannot be migrated, and is %s", t.Slug, t.State)
		case !poisoned && (t.db.version < newest || t.State != catalog.Ready && t.SchemaVersion < newest):
			m.fail("%s is left at version %d, %s", t.Slug, t.db.version, t.State)
		}
	}
}
