package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
)

// Progress is the progress of a run.
type Progress struct {
	Done, Failed, Total int
	// Wave is the number of the current wave, from 1, and Waves how many there are.
	Wave, Waves int
	Elapsed     time.Duration
}

// ProgressOf returns the progress in a run's row.
func ProgressOf(run catalog.Run) Progress {
	wave, _ := waveOf(run.Total, run.Canaries, run.Done+run.Failed)
	return Progress{
		Done: run.Done, Failed: run.Failed, Total: run.Total, Wave: wave + 1, Waves: len(waves(run.Total, run.Canaries)),
		Elapsed: time.Since(run.StartedAt),
	}
}

// runWorker is the work of this process on a run.
type runWorker struct {
	*Fleet
	run        catalog.Run
	onProgress func(Progress)

	mu          sync.Mutex
	progress    Progress
	counting    int               // failures that count against the limit
	unreachable map[string]error  // servers that stopped answering
	problem     string            // why it stops early: a canary failed, or too many tenants
	queues      map[string]*queue // the rest of the wave, by server
}

func newRunWorker(f *Fleet, run catalog.Run, onProgress func(Progress)) *runWorker {
	return &runWorker{Fleet: f, run: run, onProgress: onProgress, progress: ProgressOf(run), counting: run.Counting, unreachable: map[string]error{}}
}

// recordedStopReason returns why the run must stop by the recorded outcomes: its process may have ended, or an
// operator paused it, between the failure and the end of the run.
func (p *runWorker) recordedStopReason(ctx context.Context) (problem string, err error) {
	if p.run.Failed == 0 {
		return "", nil
	}
	outcomes, err := p.cfg.Catalog.Outcomes(ctx, p.run.ID)
	if err != nil {
		return "", err
	}
	// A wave's outcomes are recorded before the next begins, so the first ones are those of the canaries.
	slices.SortStableFunc(outcomes, func(a, b catalog.Outcome) int { return a.FinishedAt.Compare(b.FinishedAt) })
	canaries := 0
	if len(waves(p.run.Total, p.run.Canaries)) > 1 {
		canaries = p.run.Canaries
	}
	counting := 0
	for i, outcome := range outcomes {
		if outcome.State != stateFailed {
			continue
		}
		if outcome.Counts {
			counting++
		}
		if problem := p.stopReason(outcome, i < canaries, counting); problem != "" {
			return problem, nil
		}
	}
	return "", nil
}

// stopReason returns why a failure stops the run, with this number of failures that count; it is empty when it does
// not. A canary stops the run whatever its cause: the other tenants are safe only after all canaries are at the
// version.
func (p *runWorker) stopReason(outcome catalog.Outcome, canary bool, counting int) string {
	switch {
	case canary && outcome.Counts:
		return fmt.Sprintf("the canary %s failed, so no other tenant was migrated: %s", nameOf(outcome), *outcome.Problem)
	case canary:
		return fmt.Sprintf("the canary %s could not be migrated yet, so no other tenant was migrated: %s", nameOf(outcome), *outcome.Problem)
	case outcome.Counts && counting > p.run.MaxFailures:
		return fmt.Sprintf("%d tenants failed, and %d may; the last cause: %s", counting, p.run.MaxFailures, *outcome.Problem)
	}
	return ""
}

// processed returns how many tenants have an outcome.
func (p *runWorker) processed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.progress.Done + p.progress.Failed
}

// reachable returns the servers without those that stopped answering.
func (p *runWorker) reachable(servers []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(servers), func(name string) bool { return p.unreachable[name] != nil })
}

// unreachableError is the error of the servers that stopped answering.
func (p *runWorker) unreachableError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all error
	for name, err := range p.unreachable {
		all = errors.Join(all, fmt.Errorf("server %s stopped answering: %w", name, err))
	}
	return all
}

// next lists the next tenants of a wave, of which left are left. missing is about a canary that cannot be reached:
// one that is marked, or that was begun when its server stopped answering. No other tenant takes its place.
func (p *runWorker) next(ctx context.Context, wave, left int, servers []string) (tenants []catalog.Tenant, missing, err error) {
	reachable := p.reachable(servers)
	if wave > 0 || len(waves(p.run.Total, p.run.Canaries)) == 1 {
		tenants, err = p.cfg.Catalog.Behind(ctx, p.filter(left, reachable))
		return tenants, nil, err
	}
	const held = "so no other tenant was migrated"
	if gone := p.unreachableError(); gone != nil {
		return nil, fmt.Errorf("a canary could not be reached, %s: %w", held, gone), nil
	}
	tenants, err = p.cfg.Catalog.Behind(ctx, p.filter(left, p.cfg.Servers.Names()))
	others := false
	for _, t := range tenants {
		away := !slices.Contains(reachable, t.Server)
		if away && t.Canary {
			return nil, fmt.Errorf("the canary %s could not be reached, %s", cmp.Or(t.Slug, t.Database), held), err
		}
		others = others || away
	}
	if err == nil && others {
		tenants, err = p.cfg.Catalog.Behind(ctx, p.filter(left, reachable))
	}
	return tenants, nil, err
}

// filter selects the next tenants of the run.
func (p *runWorker) filter(limit int, servers []string) catalog.BehindFilter {
	return catalog.BehindFilter{
		Lineage: p.run.Lineage, Version: p.run.ToVersion, Down: p.run.Direction == directionDown, Servers: servers,
		Only: p.run.OnlyTenants, SkipQuarantined: p.run.SkipQuarantined, NotIn: p.run.ID, Limit: limit,
	}
}

// wave migrates these tenants, those of different servers at the same time, and records the outcomes. problem is why
// the run must stop.
func (p *runWorker) wave(ctx context.Context, number int, tenants []catalog.Tenant) (problem string, err error) {
	queues := map[string]*queue{}
	for _, t := range tenants {
		if queues[t.Server] == nil {
			queues[t.Server] = &queue{}
		}
		queues[t.Server].tenants = append(queues[t.Server].tenants, t)
	}
	p.begin(number, queues)
	recorder := newOutcomeRecorder(p.cfg.Catalog, p.run.ID)
	group, working := errgroup.WithContext(ctx)
	for name, queue := range queues {
		for range min(p.run.Concurrency, len(queue.tenants)) {
			group.Go(func() error { return p.drainQueue(working, name, queue, recorder) })
		}
	}
	err = errors.Join(group.Wait(), recorder.close())
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem, err
}

// begin sets the number of the wave, and its queues.
func (p *runWorker) begin(number int, queues map[string]*queue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.Wave, p.queues = number+1, queues
}

// drainQueue migrates tenants of a server until there are none left, or the worker stops.
func (p *runWorker) drainQueue(ctx context.Context, server string, queue *queue, recorder *outcomeRecorder) error {
	for ctx.Err() == nil && !p.stopped(server) {
		t, ok := queue.pop()
		if !ok {
			return nil
		}
		outcome, err := p.migrateOne(ctx, t)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStopped):
			return nil
		case err != nil:
			p.abandonServer(server, err)
			return nil
		}
		if err := recorder.add(outcome); err != nil {
			return err
		}
		p.count(outcome)
	}
	return ctx.Err()
}

// stopped reports whether no further tenant of a server may be begun.
func (p *runWorker) stopped(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem != "" || p.unreachable[server] != nil
}

// abandonServer leaves out a server that stopped answering.
func (p *runWorker) abandonServer(server string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unreachable[server] == nil {
		p.cfg.Logger.Error("a server stopped answering during a migration run", "server", server, "run", p.run.ID, "error", err)
		p.unreachable[server] = err
	}
}

// count counts an outcome, reports the progress, and stops the worker at one failure too many.
func (p *runWorker) count(outcome catalog.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	canary := p.run.Canaries > 0 && p.progress.Wave == 1 && p.progress.Waves > 1
	if outcome.State == stateDone {
		p.progress.Done++
	} else {
		p.progress.Failed++
	}
	if outcome.State == stateFailed {
		if outcome.Counts {
			p.counting++
		}
		if problem := p.stopReason(outcome, canary, p.counting); problem != "" && p.problem == "" {
			p.problem = problem
		}
	}
	p.progress.Total = max(p.progress.Total, p.progress.Done+p.progress.Failed)
	p.progress.Elapsed = time.Since(p.run.StartedAt)
	if p.onProgress != nil {
		p.onProgress(p.progress)
	}
}

func nameOf(outcome catalog.Outcome) string {
	if outcome.Slug != nil {
		return *outcome.Slug
	}
	return outcome.Database
}
