package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/internal/wait"
)

// Report is the result of a run, or its progress when it was paused.
type Report struct {
	// Run is the run's row; its ID is zero when no tenant was behind, so that there was no run.
	Run      catalog.Run
	Outcomes []catalog.Outcome
	// Joined reports whether another process had started the run, and this one waited for it or helped.
	Joined bool
}

// PausedError says that a run is paused until an operator resumes it. No other run can start meanwhile.
type PausedError struct{ Run catalog.Run }

// Error implements error.
func (e *PausedError) Error() string {
	return fmt.Sprintf("migration run %s to version %d is paused, with %d of %d tenants processed: resume or abort it first",
		e.Run.ID, e.Run.ToVersion, e.Run.Done+e.Run.Failed, e.Run.Total)
}

// HaltedError says that an automatic run was not started, because the latest run with the same files was stopped by
// failures or aborted. The next one is started by a person who has looked at the cause.
type HaltedError struct{ Run catalog.Run }

// Error implements error.
func (e *HaltedError) Error() string {
	return fmt.Sprintf("the latest run to version %d was %s: %s; correct the cause, and start the next with homeroom migrate",
		e.Run.ToVersion, e.Run.State, *e.Run.Problem)
}

// CanaryError says that a run without quarantined tenants was not started, because a canary is quarantined: no other
// tenant becomes a canary in its place.
type CanaryError struct{ Tenant catalog.Tenant }

// Error implements error.
func (e *CanaryError) Error() string {
	name := cmp.Or(e.Tenant.Slug, e.Tenant.Database)
	return fmt.Sprintf("the canary %s is quarantined, so the tenants after it are not migrated: correct the cause and run homeroom migrate, "+
		"or remove its mark with homeroom tenant canary %s --off", name, name)
}

// ErrNothing says that no tenant is behind.
var ErrNothing = errors.New("there is nothing to migrate")

// followEvery is how often a process that waits for a run of another process reads its progress.
const followEvery = 250 * time.Millisecond

// runLock is the name of the lock that the process which works on a run holds.
const runLock = "migration run"

// Start opens a run, on which [Fleet.Work] of some process then works. It fails with [ErrNothing], with
// [catalog.ErrRunActive] or a *[PausedError] when another run is open, with a *[HaltedError] when it is automatic and
// the latest one like it has failed, with a *[CanaryError], or when the new template cannot be built: then no run is
// opened. Servers that cannot be reached are left out.
func (f *Fleet) Start(ctx context.Context, options Options) (catalog.Run, error) {
	servers, unreachable, err := f.prepare(ctx)
	if err != nil {
		return catalog.Run{}, err
	}
	if err := f.finishAbandoned(ctx); err != nil {
		return catalog.Run{}, err
	}
	plan, err := f.plan(ctx, options, servers)
	if err == nil && len(plan.Tenants) == 0 {
		err = errors.Join(ErrNothing, unreachable)
	}
	if err == nil && plan.quarantinedCanary != nil && plan.Canaries > 0 {
		err = &CanaryError{*plan.quarantinedCanary}
	}
	if err == nil {
		// This check comes last, because building a template takes a while, in which another process's run may have
		// ended.
		err = f.checkHalted(ctx, options)
	}
	if err != nil {
		return catalog.Run{}, err
	}
	wanted := f.newRun(plan, options)
	if err := f.cfg.Catalog.StartRun(ctx, wanted); err != nil {
		return catalog.Run{}, err
	}
	killpoint.Here("fleet.started")
	return f.cfg.Catalog.RunByID(ctx, wanted.ID)
}

// checkHalted fails with a *[HaltedError] when a run is automatic and the latest one like it has failed. It does not
// fail after a run that was stopped for a temporary cause, such as a lock in a canary: the next run tries again.
// While one like it is open it returns [catalog.ErrRunActive], since its result is not known.
func (f *Fleet) checkHalted(ctx context.Context, options Options) error {
	if !options.Automatic {
		return nil
	}
	latest, err := f.cfg.Catalog.LatestRun(ctx, f.cfg.Servers.Migrations().Hash())
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return nil
	case err != nil:
		return err
	case latest.State == catalog.RunStopped && latest.Counting > 0 || latest.State == catalog.RunAborted:
		return &HaltedError{latest}
	case latest.State.Open():
		return catalog.ErrRunActive
	}
	return nil
}

// finishAbandoned ends a run with other files, of an older or a newer program, on which no process works any more. It
// fails with [catalog.ErrRunActive] or a *[PausedError] as long as a run is open.
func (f *Fleet) finishAbandoned(ctx context.Context) error {
	left, err := f.cfg.Catalog.OpenRun(ctx)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if left.State == catalog.RunPaused {
		return &PausedError{left}
	}
	if f.hasFilesOf(left) {
		return catalog.ErrRunActive
	}
	ran, err := f.cfg.Catalog.Exclusive(ctx, runLock, func(ctx context.Context) error {
		err := f.cfg.Catalog.FinishRun(ctx, left.ID, catalog.RunFailed, "its process ended during the run, and the next program has other files")
		killpoint.Here("fleet.cleared")
		if errors.Is(err, catalog.ErrStateChanged) {
			return nil
		}
		return err
	})
	if err == nil && !ran {
		return catalog.ErrRunActive
	}
	return err
}

// hasFilesOf reports whether this program has the files of a run.
func (f *Fleet) hasFilesOf(run catalog.Run) bool {
	schema := f.cfg.Servers.Migrations()
	return run.Lineage == schema.Lineage() && run.SchemaHash == schema.Hash()
}

// Run migrates what the options choose, and returns when the run is over, or paused. However many processes call it,
// there is one run, which the others join. When the working process dies, one of the waiting processes continues it.
//
// Failures of tenants are in the report, not in the error. An error means that the run itself could not go on. When
// ctx ends, the run stays open.
func (f *Fleet) Run(ctx context.Context, options Options) (Report, error) {
	for {
		run, err := f.Start(ctx, options)
		var paused *PausedError
		joined := false
		switch {
		case errors.Is(err, ErrNothing):
			if err.Error() == ErrNothing.Error() {
				err = nil // all servers were reached
			}
			return Report{}, err
		case errors.Is(err, catalog.ErrRunActive) || errors.As(err, &paused):
			if run, err = f.join(ctx, options); err != nil {
				return Report{}, err
			}
			joined = true
		case err != nil:
			return Report{}, err
		}
		if run.ID != uuid.Nil {
			return f.follow(ctx, run, joined, options.Progress)
		}
		if err := wait.For(ctx, followEvery); err != nil { // another run must end first
			return Report{}, err
		}
	}
}

// join finds the open run if it is the wanted one, and resumes it when it is paused. It returns a zero run while
// another run must end first, and a *[PausedError] when that run is paused.
func (f *Fleet) join(ctx context.Context, options Options) (catalog.Run, error) {
	run, err := f.cfg.Catalog.OpenRun(ctx)
	if errors.Is(err, catalog.ErrNotFound) {
		return catalog.Run{}, nil
	}
	if err != nil {
		return catalog.Run{}, err
	}
	to := f.Version()
	if options.To != nil {
		to = *options.To
	}
	same := f.hasFilesOf(run) && run.ToVersion == to && slices.Equal(slices.Sorted(slices.Values(run.OnlyTenants)), slices.Sorted(slices.Values(options.Only)))
	switch {
	case same && run.State == catalog.RunPaused && !options.Automatic:
		err := f.cfg.Catalog.ChangeRun(ctx, run.ID, catalog.RunRunning, options.By)
		if errors.Is(err, catalog.ErrStateChanged) {
			err = nil
		}
		return run, err
	case run.State == catalog.RunPaused:
		return catalog.Run{}, &PausedError{run}
	case same:
		return run, nil
	}
	return catalog.Run{}, nil
}

// follow works on a run, or waits while another process does, until it is over or paused.
func (f *Fleet) follow(ctx context.Context, run catalog.Run, joined bool, onProgress func(Progress)) (Report, error) {
	for {
		worked, err := f.workOn(ctx, run.ID, onProgress)
		if err != nil {
			return f.report(ctx, run.ID, joined, err)
		}
		now, err := f.cfg.Catalog.RunByID(ctx, run.ID)
		if err != nil || now.State != catalog.RunRunning {
			return f.report(ctx, run.ID, joined, err)
		}
		if worked {
			continue
		}
		if onProgress != nil {
			onProgress(ProgressOf(now))
		}
		if err := wait.For(ctx, followEvery); err != nil {
			return f.report(ctx, run.ID, joined, err)
		}
	}
}

// report returns the state of a run, also to a caller whose ctx has ended. A run that failed is an error.
func (f *Fleet) report(ctx context.Context, id uuid.UUID, joined bool, cause error) (Report, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	run, err := f.cfg.Catalog.RunByID(ctx, id)
	if err != nil {
		return Report{}, errors.Join(cause, err)
	}
	outcomes, err := f.cfg.Catalog.Outcomes(ctx, id)
	if cause == nil && run.State == catalog.RunFailed && run.Problem != nil {
		cause = errors.New(*run.Problem)
	}
	return Report{Run: run, Outcomes: outcomes, Joined: joined}, errors.Join(cause, err)
}

// Work works on the open run, if this program has its files and no other process works on it, and reports whether it
// did. It returns when the run is over, paused, or ctx has ended.
func (f *Fleet) Work(ctx context.Context) (worked bool, err error) {
	run, err := f.cfg.Catalog.OpenRun(ctx)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && (run.State != catalog.RunRunning || !f.hasFilesOf(run)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return f.workOn(ctx, run.ID, nil)
}

func (f *Fleet) workOn(ctx context.Context, id uuid.UUID, onProgress func(Progress)) (worked bool, err error) {
	return f.cfg.Catalog.Exclusive(ctx, runLock, func(ctx context.Context) error {
		run, err := f.cfg.Catalog.RunByID(ctx, id)
		if err != nil || run.State != catalog.RunRunning {
			return err
		}
		if run.Done+run.Failed > 0 {
			f.cfg.Logger.Info("continuing a migration run", "run", id, "done", run.Done, "failed", run.Failed, "of", run.Total)
		}
		return f.work(ctx, run, onProgress)
	})
}

// errHalted is the cause with which the context of a worker ends when its run was paused or aborted.
var errHalted = errors.New("the run was paused or aborted")

// work works on a run until it is over, paused or aborted. No other process works on it.
func (f *Fleet) work(ctx context.Context, run catalog.Run, onProgress func(Progress)) error {
	worker := newRunWorker(f, run, onProgress)
	watched, halt := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { worker.watch(watched, halt) })
	err := f.waves(watched, worker)
	halt(nil)
	watching.Wait()
	if !errors.Is(context.Cause(watched), errHalted) {
		return err
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		f.cfg.Logger.Warn("leave a migration run that was paused or aborted", "run", run.ID, "error", err)
	}
	return nil
}

// waves migrates a run wave by wave.
func (f *Fleet) waves(ctx context.Context, worker *runWorker) error {
	run := worker.run
	servers, unreachable, err := f.prepare(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return f.finish(ctx, run, catalog.RunFailed, oneLine(err))
	}
	problem, err := worker.recordedStopReason(ctx)
	if err != nil {
		return err
	}
	if problem != "" {
		return f.finish(ctx, run, catalog.RunStopped, problem)
	}
	for {
		wave, left := waveOf(run.Total, run.Canaries, worker.processed())
		tenants, missing, err := worker.next(ctx, wave, left, servers)
		if err != nil {
			return err
		}
		if missing != nil {
			return f.finishAllWaves(ctx, run, errors.Join(missing, unreachable))
		}
		if len(tenants) == 0 {
			return f.finishAllWaves(ctx, run, errors.Join(unreachable, worker.unreachableError()))
		}
		// An operator may have paused or aborted it while the template was built, or in a very short wave.
		if state, err := f.cfg.Catalog.RunStateNow(ctx, run.ID); err != nil || state != catalog.RunRunning {
			return err
		}
		problem, err := worker.wave(ctx, wave, tenants)
		if err != nil {
			return err
		}
		if problem != "" {
			f.cfg.Logger.Error("stopped a migration run", "run", run.ID, "error", problem)
			return f.finish(ctx, run, catalog.RunStopped, problem)
		}
		killpoint.Here("fleet.wave_done")
	}
}

// finishAllWaves ends a run in which every reachable tenant has an outcome.
func (f *Fleet) finishAllWaves(ctx context.Context, run catalog.Run, away error) error {
	if away != nil {
		return f.finish(ctx, run, catalog.RunFailed, oneLine(away))
	}
	return f.finish(ctx, run, catalog.RunDone, "")
}

// finish ends a run, unless it was paused or aborted meanwhile.
func (f *Fleet) finish(ctx context.Context, run catalog.Run, state catalog.RunState, problem string) error {
	killpoint.Here("fleet.before_finish")
	err := f.cfg.Catalog.FinishRun(ctx, run.ID, state, problem)
	if errors.Is(err, catalog.ErrStateChanged) {
		return nil
	}
	killpoint.Here("fleet.finished")
	return err
}
