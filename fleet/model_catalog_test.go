package fleet_test

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/modeltest"
)

// catalogSim is a process's way to the simulated catalog.
type catalogSim struct {
	w    *world
	proc *process
}

var _ fleet.Store = catalogSim{}

func (r catalogSim) call(what, about string) *modeltest.Call {
	return &modeltest.Call{Process: r.proc.Process, System: "catalog", What: what, About: about}
}

// Exclusive implements fleet.Store.
func (r catalogSim) Exclusive(ctx context.Context, name string, f func(ctx context.Context) error) (bool, error) {
	by := &worker{begun: map[string]bool{}, looks: true}
	defer by.Close()
	ran, err := modeltest.Ask(ctx, r.w.World, r.call("exclusive", name), func() (bool, error) {
		if r.w.LockedByOther(name, &by.Session) {
			return false, nil
		}
		if r.w.Locks[name] = &by.Session; name == runLock {
			r.w.worker = by
		}
		return true, nil
	})
	if err != nil || !ran {
		return false, err
	}
	ctx, by.cancel = context.WithCancelCause(context.WithValue(ctx, workerKey{}, by))
	defer by.cancel(nil)
	return true, f(ctx)
}

// StartRun implements fleet.Store.
func (r catalogSim) StartRun(ctx context.Context, wanted catalog.NewRun) error {
	c := r.call("start run", "")
	return modeltest.Do(ctx, r.w.World, c, func() error {
		started, err := r.w.rows.start(wanted)
		if err == nil {
			r.w.Tracef("   run %d: %s to %d of %d, only %d, %d canaries, %d may fail", started.number, wanted.Direction, wanted.ToVersion,
				wanted.Total, len(wanted.OnlyTenants), wanted.Canaries, wanted.MaxFailures)
			r.w.mayStart(c.Task, started)
		}
		return err
	})
}

// ChangeRun implements fleet.Store. The fleet only resumes.
func (r catalogSim) ChangeRun(ctx context.Context, id uuid.UUID, to catalog.RunState, _ string) error {
	return modeltest.Do(ctx, r.w.World, r.call("change run", string(to)), func() error {
		return r.w.rows.change(id, to, "", catalog.RunPaused)
	})
}

// FinishRun implements fleet.Store.
func (r catalogSim) FinishRun(ctx context.Context, id uuid.UUID, state catalog.RunState, problem string) error {
	return modeltest.Do(ctx, r.w.World, r.call("finish run", string(state)), func() error {
		if err := r.w.rows.change(id, state, problem, catalog.RunRunning); err != nil {
			return err
		}
		r.w.Seen["run "+string(state)]++
		r.w.finished(r.w.rows.run(id))
		return nil
	})
}

// found is what a statement answers that looks for a run.
func found(run *run) (catalog.Run, error) {
	if run == nil {
		return catalog.Run{}, catalog.ErrNotFound
	}
	return run.row(), nil
}

// OpenRun implements fleet.Store.
func (r catalogSim) OpenRun(ctx context.Context) (catalog.Run, error) {
	return modeltest.Ask(ctx, r.w.World, r.call("open run", ""), func() (catalog.Run, error) { return found(r.w.rows.open()) })
}

// LatestRun implements fleet.Store.
func (r catalogSim) LatestRun(ctx context.Context, hash string) (catalog.Run, error) {
	c := r.call("latest run", "")
	return modeltest.Ask(ctx, r.w.World, c, func() (catalog.Run, error) {
		if c.Task != nil {
			if service, ok := c.Task.For.(*automatic); ok {
				service.known = len(r.w.rows.runs)
			}
		}
		return found(r.w.rows.latest(hash))
	})
}

// RunByID implements fleet.Store.
func (r catalogSim) RunByID(ctx context.Context, id uuid.UUID) (catalog.Run, error) {
	c := r.call("run by id", "")
	by := workerOf(ctx)
	c.Told = func(value any, err error) {
		if by != nil && err == nil {
			now := value.(catalog.Run)
			by.run, by.counting, by.known = r.w.rows.run(id), now.Counting, now.Done+now.Failed
			by.over = by.over || now.State != catalog.RunRunning
			by.looks = true
		}
	}
	return modeltest.Ask(ctx, r.w.World, c, func() (catalog.Run, error) { return found(r.w.rows.run(id)) })
}

// RunStateNow implements fleet.Store.
func (r catalogSim) RunStateNow(ctx context.Context, id uuid.UUID) (catalog.RunState, error) {
	c := r.call("run state", "")
	by := workerOf(ctx)
	c.Arrived = func() { by.looks = false }
	c.Told = func(value any, err error) {
		by.over = by.over || value.(catalog.RunState) != catalog.RunRunning
		by.looks = true
	}
	return modeltest.Ask(ctx, r.w.World, c, func() (catalog.RunState, error) { return r.w.rows.run(id).State, nil })
}

// Outcomes implements fleet.Store.
func (r catalogSim) Outcomes(ctx context.Context, id uuid.UUID) ([]catalog.Outcome, error) {
	return modeltest.Ask(ctx, r.w.World, r.call("outcomes", ""), func() ([]catalog.Outcome, error) {
		outcomes := slices.Clone(r.w.rows.run(id).outcomes)
		slices.SortStableFunc(outcomes, func(a, b catalog.Outcome) int { return strings.Compare(b.State, a.State) })
		return outcomes, nil
	})
}

// RecordOutcomes implements fleet.Store.
func (r catalogSim) RecordOutcomes(ctx context.Context, id uuid.UUID, outcomes []catalog.Outcome) error {
	about := make([]string, len(outcomes))
	for i, o := range outcomes {
		about[i] = *o.Slug + " " + o.State
	}
	slices.Sort(about)
	return modeltest.Do(ctx, r.w.World, r.call("record outcomes", strings.Join(about, ", ")), func() error {
		r.w.recorded(r.w.rows.record(id, outcomes))
		return nil
	})
}

// Behind implements fleet.Store.
func (r catalogSim) Behind(ctx context.Context, filter catalog.BehindFilter) ([]catalog.Tenant, error) {
	c := r.call("behind", "")
	by := workerOf(ctx)
	if filter.OnlyRequested {
		c.What = "wanted"
		c.Arrived = func() { by.looks = false }
	}
	c.Told = func(any, error) {
		switch {
		case by == nil || by.run == nil:
		case filter.OnlyRequested:
			by.looks = true
		default:
			by.canaries = by.run.Canaries > 0 && by.run.Total > by.run.Canaries && len(by.run.outcomes) < by.run.Canaries
		}
	}
	return modeltest.Ask(ctx, r.w.World, c, func() ([]catalog.Tenant, error) { return r.w.rows.behind(filter), nil })
}

// SetReference implements fleet.Store.
func (r catalogSim) SetReference(ctx context.Context, _ catalog.Reference) error {
	return modeltest.Do(ctx, r.w.World, r.call("set reference", ""), func() error { return nil })
}

// References implements fleet.Store.
func (r catalogSim) References(context.Context, string) ([]catalog.Reference, error) {
	return nil, nil
}

// Tenant implements fleet.Store. Nobody asks for one here.
func (r catalogSim) Tenant(context.Context, string) (catalog.Tenant, error) {
	return catalog.Tenant{}, catalog.ErrNotFound
}

// WithDatabase implements fleet.Store.
func (r catalogSim) WithDatabase(context.Context, string, []string) ([]catalog.Tenant, error) {
	return nil, nil
}

// VersionCounts implements fleet.Store.
func (r catalogSim) VersionCounts(context.Context, string, []string) ([]catalog.VersionCount, error) {
	return nil, nil
}

// WithoutFingerprint implements fleet.Store.
func (r catalogSim) WithoutFingerprint(ctx context.Context, _ string, servers []string, limit int) ([]catalog.Tenant, error) {
	return modeltest.Ask(ctx, r.w.World, r.call("unseen", ""), func() (tenants []catalog.Tenant, err error) {
		for _, t := range r.w.rows.tenants {
			usable := t.State == catalog.Ready || !replaced(t.Tenant) && t.HeldAt != nil
			if t.Fingerprint == nil && usable && slices.Contains(servers, t.Server) && len(tenants) < limit {
				tenants = append(tenants, t.Tenant)
			}
		}
		return tenants, nil
	})
}

// RequestMigration implements fleet.Store.
func (r catalogSim) RequestMigration(ctx context.Context, id uuid.UUID) error {
	return modeltest.Do(ctx, r.w.World, r.call("want", r.w.rows.tenant(id).Slug), func() error { return nil })
}

// DeferFingerprint implements fleet.Store.
func (r catalogSim) DeferFingerprint(ctx context.Context, _ []catalog.Tenant) error {
	return modeltest.Do(ctx, r.w.World, r.call("look later", ""), func() error { return nil })
}

// RecheckInterrupted implements fleet.Store.
func (r catalogSim) RecheckInterrupted(ctx context.Context) error {
	return modeltest.Do(ctx, r.w.World, r.call("recheck interrupted", ""), func() error {
		for _, run := range r.w.rows.runs {
			if run.State.Open() || run.rechecked {
				continue
			}
			run.rechecked = true
			for _, t := range r.w.rows.tenants {
				if named(t.Tenant, run.OnlyTenants) && !run.knows(t.ID) {
					t.Fingerprint = nil
					r.w.Seen["rechecked"]++
				}
			}
		}
		return nil
	})
}

// SetFingerprint implements fleet.Store.
func (r catalogSim) SetFingerprint(ctx context.Context, row catalog.Tenant, found catalog.Health) error {
	return modeltest.Do(ctx, r.w.World, r.call("set fingerprint", row.Slug), func() error {
		t := r.w.rows.tenant(row.ID)
		moved := t.SchemaVersion != found.Version
		switch {
		case t.SchemaVersion != row.SchemaVersion, (t.Fingerprint == nil) != (row.Fingerprint == nil),
			t.Fingerprint != nil && *t.Fingerprint != *row.Fingerprint, moved && r.w.rows.open() != nil:
			return catalog.ErrStateChanged
		case moved:
			r.w.Seen["versions set"]++
		}
		t.SchemaVersion, t.Fingerprint = found.Version, &found.Fingerprint
		return nil
	})
}
