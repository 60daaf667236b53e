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

// Report is how a run ended, or how far it is when it was paused.
type Report struct {
	// Run is the run's row; its ID is zero when nothing was behind, and so nothing was run.
	Run      catalog.Run
	Outcomes []catalog.Outcome
	// Joined tells that the run was another's, and this process waited for it or helped.
	Joined bool
}

// PausedError says that a run waits for an operator, and with it everybody else's.
type PausedError struct{ Run catalog.Run }

// Error implements error.
func (e *PausedError) Error() string {
	return fmt.Sprintf("migration run %s to version %d is paused, with %d of %d tenants looked at: resume or abort it first",
		e.Run.ID, e.Run.ToVersion, e.Run.Done+e.Run.Failed, e.Run.Total)
}

// HaltedError says that a run which nobody asked for is not begun, because the latest with the same files was stopped by its
// failures or aborted: whoever starts the next has looked at the cause.
type HaltedError struct{ Run catalog.Run }

// Error implements error.
func (e *HaltedError) Error() string {
	return fmt.Sprintf("the latest run to version %d was %s: %s; when the cause is gone, start the next with homeroom migrate",
		e.Run.ToVersion, e.Run.State, *e.Run.Problem)
}

// CanaryError says that a run which leaves out quarantined tenants is not begun, because a canary is one of them: no other
// tenant goes first in its place.
type CanaryError struct{ Tenant catalog.Tenant }

// Error implements error.
func (e *CanaryError) Error() string {
	name := cmp.Or(e.Tenant.Slug, e.Tenant.Database)
	return fmt.Sprintf("the canary %s is quarantined, so the tenants after it are not migrated: mend its cause and run homeroom migrate, "+
		"or take the mark from it with homeroom tenant canary %s --off", name, name)
}

// ErrNothing says that no tenant is behind.
var ErrNothing = errors.New("there is nothing to migrate")

// followEvery is how often a process that waits for another's run looks how far it is.
const followEvery = 250 * time.Millisecond

// runLock is the name of the lock that the process which works on a run holds.
const runLock = "migration run"

// Start opens a run, which some process's [Fleet.Work] then does. It fails with [ErrNothing], with [catalog.ErrRunActive] or a
// *[PausedError] when another run is open, with a *[HaltedError] when it is automatic and its like has just failed, with a
// *[CanaryError], or when the new template cannot be built: then no run is opened. Servers that cannot be reached are left out.
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
		// Last, because another process's run may have come and gone since: a template takes a while to build.
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

// checkHalted fails with a *[HaltedError] when a run is automatic whose like has just failed. One that was stopped for a cause that
// passes, such as a lock in a canary, is none: the next tries again. One like it that is open is
// [catalog.ErrRunActive]: how it ends is not known.
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

// finishAbandoned ends a run of other files, by an older or a newer program, that nobody works on any more. It fails with
// [catalog.ErrRunActive] or a *[PausedError] as long as a run is open.
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
		err := f.cfg.Catalog.FinishRun(ctx, left.ID, catalog.RunFailed, "its process ended before it did, and another program's files followed")
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

// Run migrates what the options choose, and reports when it is over, or paused. However many processes call it, one run is
// made: the others join it. When the working process dies, one of those that wait goes on.
//
// Failing tenants are in the report, not in the error: an error means that the run could not do its work. When ctx ends, the
// run stays open.
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
		if err := wait.For(ctx, followEvery); err != nil { // another run, which must end first
			return Report{}, err
		}
	}
}

// join finds the open run when it is the one that is wanted, and resumes it when it is paused. It returns a zero run while
// another must be waited for, and a *[PausedError] when that one waits for an operator itself.
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
		err := f.cfg.Catalog.ResumeRun(ctx, run.ID, options.By)
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

// report tells how a run stands, also to a caller whose ctx has ended. A run that could not do its work is an error.
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

// Work does the open run, if there is one that this program has the files of and nobody else works on; worked tells. It
// returns when the run is over, paused, or ctx has ended.
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
			f.cfg.Logger.Info("going on with a migration run", "run", id, "done", run.Done, "failed", run.Failed, "of", run.Total)
		}
		return f.work(ctx, run, onProgress)
	})
}

// errHalted is why the context of a worker ends whose run was paused or aborted.
var errHalted = errors.New("the run was paused or aborted")

// work does a run, alone, until it is over, paused or aborted.
func (f *Fleet) work(ctx context.Context, run catalog.Run, onProgress func(Progress)) error {
	pass := newRunWorker(f, run, onProgress)
	watched, halt := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { pass.watch(watched, halt) })
	err := f.waves(watched, pass)
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

// waves does a run wave by wave.
func (f *Fleet) waves(ctx context.Context, pass *runWorker) error {
	run := pass.run
	servers, unreachable, err := f.prepare(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return f.finish(ctx, run, catalog.RunFailed, oneLine(err))
	}
	problem, err := pass.recordedStopReason(ctx)
	if err != nil {
		return err
	}
	if problem != "" {
		return f.finish(ctx, run, catalog.RunStopped, problem)
	}
	for {
		wave, left := waveOf(run.Total, run.Canaries, pass.processed())
		tenants, missing, err := pass.next(ctx, wave, left, servers)
		if err != nil {
			return err
		}
		if missing != nil {
			return f.finishAllWaves(ctx, run, errors.Join(missing, unreachable))
		}
		if len(tenants) == 0 {
			return f.finishAllWaves(ctx, run, errors.Join(unreachable, pass.unreachableError()))
		}
		// Somebody may have paused or aborted it while the template was built, or in a wave that was over in no time.
		if state, err := f.cfg.Catalog.RunStateNow(ctx, run.ID); err != nil || state != catalog.RunRunning {
			return err
		}
		problem, err := pass.wave(ctx, wave, tenants)
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

// finishAllWaves ends a run that has looked at every tenant it could.
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
