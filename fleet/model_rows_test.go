package fleet_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// rows are those of the simulated catalog. Each method is one statement of the real one.
type rows struct {
	tenants []*row
	runs    []*run
}

// row is a tenant's, and what the model knows of it besides.
type row struct {
	catalog.Tenant
	db *database
	// lately is the last outcome that counts.
	lately *catalog.Outcome
}

// run is a run's row with its outcomes, and what the model knows of it besides.
type run struct {
	catalog.Run
	number   int
	outcomes []catalog.Outcome // in the order in which they were recorded
	// about are the tenants that it was begun for.
	about []*row
	// before is the state that was looked at last; changed is when it was paused, resumed or ended.
	before  catalog.RunState
	changed time.Time
	// rechecked: the tenants without an outcome have been listed to be looked at.
	rechecked bool
	// overlapped: two processes worked on it at the same time, since one had lost its lock and did not know.
	overlapped bool
}

func (r *run) has(tenant uuid.UUID) bool {
	return slices.ContainsFunc(r.outcomes, func(o catalog.Outcome) bool { return o.TenantID == tenant })
}

// knows reports whether the catalog has the version of a tenant from it.
func (r *run) knows(tenant uuid.UUID) bool {
	return slices.ContainsFunc(r.outcomes, func(o catalog.Outcome) bool {
		return o.TenantID == tenant && (o.State == "done" || o.Counts)
	})
}

// row is the run as its readers get it.
func (r *run) row() catalog.Run {
	row := r.Run
	for _, o := range r.outcomes {
		switch {
		case o.State == "done":
			row.Done++
		case o.Counts:
			row.Counting++
			row.Failed++
		default:
			row.Failed++
		}
	}
	return row
}

func (r *rows) tenant(id uuid.UUID) *row {
	i := slices.IndexFunc(r.tenants, func(t *row) bool { return t.ID == id })
	return r.tenants[i]
}

func (r *rows) run(id uuid.UUID) *run {
	i := slices.IndexFunc(r.runs, func(run *run) bool { return run.ID == id })
	if i < 0 {
		return nil
	}
	return r.runs[i]
}

func (r *rows) open() *run {
	i := slices.IndexFunc(r.runs, func(run *run) bool { return run.State.Open() })
	if i < 0 {
		return nil
	}
	return r.runs[i]
}

func (r *rows) latest(hash string) *run {
	for _, run := range slices.Backward(r.runs) {
		if run.SchemaHash == hash && len(run.OnlyTenants) == 0 && run.Direction == "up" {
			return run
		}
	}
	return nil
}

// change is what pauses, resumes, ends.
func (r *rows) change(id uuid.UUID, to catalog.RunState, problem string, from ...catalog.RunState) error {
	run := r.run(id)
	if run == nil || !slices.Contains(from, run.State) {
		return catalog.ErrStateChanged
	}
	run.State, run.changed = to, time.Now()
	if !to.Open() {
		run.FinishedAt, run.Problem = &run.changed, &problem
	}
	return nil
}

func (r *rows) start(wanted catalog.NewRun) (*run, error) {
	if r.open() != nil {
		return nil, catalog.ErrRunActive
	}
	started := &run{
		Run:    catalog.Run{NewRun: wanted, State: catalog.RunRunning, StartedAt: time.Now()},
		number: len(r.runs) + 1, changed: time.Now(),
	}
	for _, t := range r.behind(filterOf(started)) {
		started.about = append(started.about, r.tenant(t.ID))
	}
	r.runs = append(r.runs, started)
	return started, nil
}

// filterOf chooses the tenants of a run on all servers.
func filterOf(run *run) catalog.BehindFilter {
	return catalog.BehindFilter{
		Lineage: run.Lineage, Version: run.ToVersion, Down: run.Direction == "down", Servers: serverNames, Only: run.OnlyTenants,
		SkipQuarantined: run.SkipQuarantined,
	}
}

func named(t catalog.Tenant, only []string) bool {
	return slices.Contains(only, t.Slug) || slices.Contains(only, t.Database) || slices.Contains(only, t.ID.String())
}

func replaced(t catalog.Tenant) bool {
	return t.QuarantineKind != nil && *t.QuarantineKind == catalog.BeingReplaced
}

func (r *rows) behind(filter catalog.BehindFilter) []catalog.Tenant {
	not := r.run(filter.NotIn)
	var tenants []catalog.Tenant
	for _, t := range r.tenants {
		beyond := t.SchemaVersion < filter.Version
		if filter.Down {
			beyond = t.SchemaVersion > filter.Version
		}
		quarantined := t.State == catalog.Quarantined
		switch {
		case !beyond, quarantined && (filter.SkipQuarantined || replaced(t.Tenant)),
			!slices.Contains(filter.Servers, t.Server),
			(len(filter.Only) > 0 || t.HeldAt != nil) && !named(t.Tenant, filter.Only),
			filter.OnlyRequested && t.WantedAt == nil,
			not != nil && not.has(t.ID):
			continue
		}
		tenants = append(tenants, t.Tenant)
	}
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(tenants, func(a, b catalog.Tenant) int {
		return cmp.Or(truth(b.Canary)-truth(a.Canary), truth(a.State == catalog.Quarantined)-truth(b.State == catalog.Quarantined),
			int(a.SchemaVersion)-int(b.SchemaVersion))
	})
	if filter.Limit > 0 && len(tenants) > filter.Limit {
		tenants = tenants[:filter.Limit]
	}
	return tenants
}

func (r *rows) record(id uuid.UUID, outcomes []catalog.Outcome) (recorded []catalog.Outcome) {
	run := r.run(id)
	for _, o := range outcomes {
		if run.has(o.TenantID) {
			continue // on conflict do nothing
		}
		o.FinishedAt = time.Now()
		run.outcomes = append(run.outcomes, o)
		recorded = append(recorded, o)
		t := r.tenant(o.TenantID)
		if o.State == "done" {
			t.healthy(o, run.Hold)
		} else if o.Counts {
			t.quarantine(o)
		}
	}
	return recorded
}

func (t *row) healthy(o catalog.Outcome, hold bool) {
	t.lately = &o
	t.move(o.ToVersion)
	t.HeldAt = nil
	if hold {
		t.HeldAt = &o.ToVersion
	}
	if !replaced(t.Tenant) && t.ResumeState != nil {
		t.State, t.ResumeState, t.QuarantineKind, t.QuarantineCause = *t.ResumeState, nil, nil, nil
	}
}

func (t *row) quarantine(o catalog.Outcome) {
	if replaced(t.Tenant) {
		return
	}
	t.lately = &o
	t.move(o.ToVersion)
	if t.ResumeState == nil {
		state := t.State
		t.ResumeState = &state
	}
	kind := catalog.MigrationFailed
	t.State, t.QuarantineKind, t.QuarantineCause = catalog.Quarantined, &kind, o.Problem
}

func (t *row) move(version uint) {
	if t.SchemaVersion != version {
		t.Fingerprint = nil
	}
	t.SchemaVersion, t.WantedAt = version, nil
}
