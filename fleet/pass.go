package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
)

// Progress is how far a run is.
type Progress struct {
	Done, Failed, Total int
	// Wave is the number of the present wave, from 1, and Waves how many there are.
	Wave, Waves int
	Elapsed     time.Duration
}

// ProgressOf tells how far a run is by its row.
func ProgressOf(run catalog.Run) Progress {
	wave, _ := waveOf(run.Total, run.Canaries, run.Done+run.Failed)
	return Progress{
		Done: run.Done, Failed: run.Failed, Total: run.Total, Wave: wave + 1, Waves: len(waves(run.Total, run.Canaries)),
		Elapsed: time.Since(run.StartedAt),
	}
}

// lookEvery is how often a pass looks whether it was paused or aborted, and which tenants somebody waits for.
const lookEvery = 300 * time.Millisecond

// pass is this process's work on a run.
type pass struct {
	*Fleet
	run  catalog.Run
	tell func(Progress)

	mu       sync.Mutex
	progress Progress
	counting int              // failures that count against the budget
	gone     map[string]error // servers that stopped answering
	verdict  verdict
}

// verdict is why a pass ends before it has looked at every tenant.
type verdict struct {
	// problem says that a canary failed, or too many.
	problem string
	// elsewhere: somebody paused or aborted the run.
	elsewhere bool
}

func (v verdict) halt() bool { return v.problem != "" || v.elsewhere }

func newPass(f *Fleet, run catalog.Run, tell func(Progress)) *pass {
	return &pass{Fleet: f, run: run, tell: tell, progress: ProgressOf(run), counting: run.Counting, gone: map[string]error{}}
}

// recall tells why the run must stop by what is recorded already: its process may have ended, or somebody paused it, between
// the failure and the end of the run.
func (p *pass) recall(ctx context.Context) (problem string, err error) {
	if p.run.Counting == 0 {
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
		if outcome.State != stateFailed || !outcome.Counts {
			continue
		}
		counting++
		if problem := p.tooMuch(outcome, i < canaries, counting); problem != "" {
			return problem, nil
		}
	}
	return "", nil
}

// tooMuch tells why a failure that counts, the run's so many-th, stops the run; empty when it does not.
func (p *pass) tooMuch(outcome catalog.Outcome, canary bool, counting int) string {
	switch {
	case canary:
		return fmt.Sprintf("the canary %s failed, so no other tenant was touched: %s", nameOf(outcome), *outcome.Problem)
	case counting > p.run.MaxFailures:
		return fmt.Sprintf("%d tenants failed, and %d may; the last cause: %s", counting, p.run.MaxFailures, *outcome.Problem)
	}
	return ""
}

// handled is how many tenants have an outcome.
func (p *pass) handled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.progress.Done + p.progress.Failed
}

// reachable leaves out the servers that stopped answering.
func (p *pass) reachable(servers []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(servers), func(name string) bool { return p.gone[name] != nil })
}

// away is the error of the servers that stopped answering.
func (p *pass) away() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all error
	for name, err := range p.gone {
		all = errors.Join(all, fmt.Errorf("server %s stopped answering: %w", name, err))
	}
	return all
}

// wave migrates these tenants, those of each server side by side, and records how it went.
func (p *pass) wave(ctx context.Context, number int, tenants []catalog.Tenant) (verdict, error) {
	p.begin(number)
	queues := map[string]*queue{}
	for _, t := range tenants {
		if queues[t.Server] == nil {
			queues[t.Server] = &queue{}
		}
		queues[t.Server].tenants = append(queues[t.Server].tenants, t)
	}
	ledger := newLedger(p.cfg.Catalog, p.run.ID)
	looking, stop := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		p.look(looking, queues)
	}()
	group, working := errgroup.WithContext(ctx)
	for name, queue := range queues {
		for range min(p.run.Concurrency, len(queue.tenants)) {
			group.Go(func() error { return p.drain(working, name, queue, ledger) })
		}
	}
	err := group.Wait()
	stop()
	<-looked
	err = errors.Join(err, ledger.close())
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdict, err
}

// begin notes the number of the wave.
func (p *pass) begin(number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.Wave = number + 1
}

// drain migrates tenants of a server until there are none left, or the pass ends.
func (p *pass) drain(ctx context.Context, server string, queue *queue, ledger *ledger) error {
	for ctx.Err() == nil && !p.ended(server) {
		t, ok := queue.pop()
		if !ok {
			return nil
		}
		outcome, err := p.migrateOne(ctx, t)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errHalted):
			return nil
		case err != nil:
			p.lose(server, err)
			return nil
		}
		if err := ledger.add(ctx, outcome); err != nil {
			return err
		}
		p.count(outcome)
	}
	return ctx.Err()
}

// ended tells whether no further tenant of a server may be begun.
func (p *pass) ended(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdict.halt() || p.gone[server] != nil
}

// lose leaves out a server that stopped answering.
func (p *pass) lose(server string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[server] == nil {
		p.cfg.Logger.Error("a server stopped answering during a migration run", "server", server, "run", p.run.ID, "cause", err)
		p.gone[server] = err
	}
}

// count counts an outcome, tells of it, and ends the pass when it was one failure too many.
func (p *pass) count(outcome catalog.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	canary := p.run.Canaries > 0 && p.progress.Wave == 1 && p.progress.Waves > 1
	if outcome.State == stateDone {
		p.progress.Done++
	} else {
		p.progress.Failed++
	}
	if outcome.State == stateFailed && outcome.Counts {
		p.counting++
		if problem := p.tooMuch(outcome, canary, p.counting); problem != "" {
			p.verdict.problem = problem
		}
	}
	p.progress.Total = max(p.progress.Total, p.progress.Done+p.progress.Failed)
	p.progress.Elapsed = time.Since(p.run.StartedAt)
	if p.tell != nil {
		p.tell(p.progress)
	}
}

func nameOf(outcome catalog.Outcome) string {
	if outcome.Slug != nil {
		return *outcome.Slug
	}
	return outcome.Database
}

// look watches for an operator who pauses or aborts the run, and moves the tenants that somebody waits for to the front.
func (p *pass) look(ctx context.Context, queues map[string]*queue) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		state, err := p.cfg.Catalog.RunStateNow(ctx, p.run.ID)
		if err == nil && state != catalog.RunRunning {
			p.mu.Lock()
			p.verdict.elsewhere = true
			p.mu.Unlock()
			return
		}
		var wanted []catalog.Tenant
		if err == nil {
			wanted, err = p.wanted(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Logger.Warn("look after a migration run", "run", p.run.ID, "cause", err)
		}
		for _, t := range slices.Backward(wanted) {
			if queue := queues[t.Server]; queue != nil {
				queue.promote(t.ID)
			}
		}
	}
}

// wanted lists the tenants that somebody waits for, the longest first.
func (p *pass) wanted(ctx context.Context) ([]catalog.Tenant, error) {
	return p.cfg.Catalog.Behind(ctx, catalog.BehindFilter{
		Lineage: p.run.Lineage, Version: p.run.ToVersion, Down: p.run.Direction == directionDown, Servers: p.cfg.Servers.Names(),
		Only: p.run.OnlyTenants, NotIn: p.run.ID, Limit: 100, Wanted: true,
	})
}

// queue is the tenants of one server that a wave has not begun.
type queue struct {
	mu      sync.Mutex
	tenants []catalog.Tenant
}

func (q *queue) pop() (catalog.Tenant, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tenants) == 0 {
		return catalog.Tenant{}, false
	}
	t := q.tenants[0]
	q.tenants = q.tenants[1:]
	return t, true
}

// promote makes a tenant the next one, if it is there.
func (q *queue) promote(id uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.tenants, func(t catalog.Tenant) bool { return t.ID == id })
	if i > 0 {
		t := q.tenants[i]
		copy(q.tenants[1:i+1], q.tenants[:i])
		q.tenants[0] = t
	}
}
