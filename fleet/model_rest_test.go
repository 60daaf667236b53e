package fleet_test

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/modeltest"
	"homeroom/migrations"
)

// begins looks whether a process may begin with a tenant, when it first asks for the tenant's lock.
func (w *world) begins(t *row, s *worker) {
	if s == nil || s.run == nil {
		w.Failf("%s is migrated under no run", t.Slug)
		return
	}
	if w.LockedByOther(t.Slug, nil) {
		w.Seen["waited for a tenant's lock"]++
	}
	if s.begun[t.Slug] {
		return
	}
	s.begun[t.Slug] = true
	r := s.run
	row := r.row()
	switch {
	case len(r.OnlyTenants) > 0 && !named(t.Tenant, r.OnlyTenants):
		w.Failf("run %d is narrowed, and not to %s", r.number, t.Slug)
	case s.over:
		w.Failf("run %d is paused or over, its process knows it, and begins with %s", r.number, t.Slug)
	case r.State != catalog.RunRunning && s.looks && time.Since(r.changed) > 400*time.Millisecond:
		w.Failf("run %d was %s a while ago, nobody looked, and %s is begun", r.number, r.State, t.Slug)
	case s.broken:
		w.Failf("a canary of run %d failed, and %s is begun", r.number, t.Slug)
	case s.counting > r.MaxFailures:
		w.Failf("%d tenants of run %d failed, and %s is begun", s.counting, r.number, t.Slug)
	case r.overlapped: // neither process knows what the other has found
	case r.canaryFailed():
		w.Failf("a canary of run %d has failed by its outcomes, and %s is begun", r.number, t.Slug)
	case row.Counting > r.MaxFailures:
		w.Failf("%d tenants of run %d have failed by its outcomes, and %s is begun", row.Counting, r.number, t.Slug)
	case r.Total > r.Canaries && len(r.outcomes) < r.Canaries && len(s.begun) > r.Canaries-s.known:
		w.Failf("%s is begun in run %d before all canaries are done", t.Slug, r.number)
	case r.has(t.ID):
		w.Failf("%s has an outcome in run %d, and is begun again", t.Slug, r.number)
	case len(r.OnlyTenants) == 0 && t.HeldAt != nil:
		w.Failf("%s is held at version %d, and run %d takes it along", t.Slug, *t.HeldAt, r.number)
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

// hears has whoever works on a run know of a failure.
func (s *worker) hears(err error) {
	var failed *migrations.Error
	if s == nil || !errors.As(err, &failed) {
		return
	}
	s.counting++
	s.broken = s.broken || s.canaries
}

// migrated looks at a database whose version has changed.
func (w *world) migrated(t *row, before uint, by *worker) {
	if by == nil || by.run == nil {
		w.Failf("%s was migrated under no run", t.Slug)
		return
	}
	r := by.run
	down := t.db.version < before
	switch {
	case down && (r.Direction != "down" || !named(t.Tenant, r.OnlyTenants)):
		w.Failf("run %d took %s back to %d", r.number, t.Slug, t.db.version)
	case !down && r.Direction != "up":
		w.Failf("run %d goes down, and took %s up to %d", r.number, t.Slug, t.db.version)
	case down && t.db.version < r.ToVersion, !down && t.db.version > r.ToVersion:
		w.Failf("run %d took %s to %d, beyond %d", r.number, t.Slug, t.db.version, r.ToVersion)
	}
}

// mayStart looks at a run that has begun.
func (w *world) mayStart(by *modeltest.Task, started *run) {
	service, ok := by.For.(*automatic)
	if !ok {
		return
	}
	for _, r := range slices.Backward(w.rows.runs[:len(w.rows.runs)-1]) {
		if r.SchemaHash != started.SchemaHash || len(r.OnlyTenants) > 0 || r.Direction != "up" {
			continue
		}
		// One that began and ended since the service looked could not be known.
		if r.number <= service.known && (r.State == catalog.RunStopped && r.row().Counting > 0 || r.State == catalog.RunAborted) {
			w.Failf("run %d is %s, and a service begins run %d with the same files", r.number, r.State, started.number)
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
			w.Failf("run %d is done, and %s has no outcome", r.number, t.Slug)
		}
	}
}

// recorded compares the catalog with the databases.
func (w *world) recorded(outcomes []catalog.Outcome) {
	for _, o := range outcomes {
		t := w.rows.tenant(o.TenantID)
		if !w.overlap && (o.State == "done" || o.Counts) && !replaced(t.Tenant) && t.SchemaVersion != t.db.version {
			w.Failf("the catalog has %s at version %d, and it is at %d", t.Slug, t.SchemaVersion, t.db.version)
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
			w.Failf("run %d was %s, and is %s", r.number, r.before, r.State)
		}
		r.before = r.State
		for i, o := range r.outcomes {
			if slices.ContainsFunc(r.outcomes[:i], func(other catalog.Outcome) bool { return other.TenantID == o.TenantID }) {
				w.Failf("run %d has two outcomes for %s", r.number, *o.Slug)
			}
		}
	}
	if open > 1 {
		w.Failf("%d runs are open", open)
	}
	for _, t := range w.rows.tenants {
		quarantined, failed := t.State == catalog.Quarantined, t.lately != nil && t.lately.State == "failed"
		if !replaced(t.Tenant) && quarantined != failed {
			w.Failf("%s is %s", t.Slug, t.State)
		}
	}
}

// endsWell looks at what a run tells its caller.
func (w *world) endsWell(t *modeltest.Task) {
	if errors.Is(t.Err, catalog.ErrRunActive) {
		w.Failf("%s gives up instead of waiting", t.What)
	}
}

// patience is how long everything may take once all works.
const patience = 10 * time.Minute

// comeToRest has everything work, lets an operator run the fleet, and looks whether all is as it should be.
func (m *machine) comeToRest() {
	m.Tracef("everything works from here on")
	m.faults = false
	clear(m.Unavailable)
	for _, t := range m.rows.tenants {
		t.db.held = time.Time{}
	}
	m.Advance(longestDeaf)
	set := m.sets[0]
	if m.newer {
		set = m.sets[1]
	}
	p := m.boot(set)
	m.drainQueue()
	service := m.runs(p, &automatic{}, "the service's run", fleet.Options{By: "serve", Automatic: true})
	m.drainQueue()
	m.isHalted(service, set)
	m.fingerprints(p)
	m.drainQueue()
	operator := m.runs(p, nil, "ada's last run", fleet.Options{By: "ada", MaxFailures: new(100), Canaries: new(0)})
	m.drainQueue()
	if len(m.Problems) > 0 {
		return
	}
	if last := reported(operator); operator.Err != nil || last.ID != uuid.Nil && last.State != catalog.RunDone {
		m.Failf("the last run: %s, %v", last.State, operator.Err)
	}
	m.inOrder(set.Latest())
	again := m.runs(p, &automatic{}, "the service's last run", fleet.Options{By: "serve", Automatic: true, SkipQuarantined: true})
	m.drainQueue()
	if again.Err != nil || reported(again).ID != uuid.Nil {
		m.Failf("there is still something to migrate: %v", again.Err)
	}
}

// reported is the run that an ended task reports.
func reported(t *modeltest.Task) catalog.Run {
	report, _ := t.Value.(fleet.Report)
	return report.Run
}

// isHalted looks why a service has begun no run: only one that was stopped or aborted is a reason.
func (m *machine) isHalted(t *modeltest.Task, set *migrations.Set) {
	var halted *fleet.HaltedError
	if errors.As(t.Err, &halted) {
		if r := m.rows.latest(set.Hash()); r.State == catalog.RunStopped || r.State == catalog.RunAborted {
			return
		}
	}
	if t.Err != nil {
		m.Failf("the service's run: %v", t.Err)
	}
}

// drain lets everything go on that can, resumes what is paused, and works on what is open, until everything is over.
func (m *machine) drainQueue() {
	for end := time.Now().Add(patience); len(m.Problems) == 0; {
		if m.DeliverFirst() {
			continue
		}
		open, busy, alive := m.rows.open(), m.Busy(), modeltest.Alive(m.procs)
		switch {
		case time.Now().After(end):
			m.Failf("something is still unfinished after %s", patience)
		case open != nil && open.State == catalog.RunPaused:
			_ = m.rows.change(open.ID, catalog.RunRunning, "", catalog.RunPaused)
			m.check()
			m.Tracef("run %d is resumed", open.number)
		case busy:
			m.Advance(100 * time.Millisecond)
		case open != nil && slices.ContainsFunc(alive, func(p *process) bool { return p.set.Hash() == open.SchemaHash }):
			for _, p := range alive {
				m.work(p)
			}
		default:
			return
		}
		if busy && open != nil && !m.LockedByOther(runLock, nil) {
			for _, p := range alive {
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
			m.Failf("in the end the catalog has %s at version %d, and it is at %d", t.Slug, t.SchemaVersion, t.db.version)
		case t.HeldAt != nil:
		case poisoned && t.State != catalog.Quarantined:
			m.Failf("%s cannot be migrated, and is %s", t.Slug, t.State)
		case !poisoned && (t.db.version < newest || t.State != catalog.Ready && t.SchemaVersion < newest):
			m.Failf("%s is left at version %d, %s", t.Slug, t.db.version, t.State)
		}
	}
}
