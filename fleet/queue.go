package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// watchEvery is how often a worker checks whether its run was paused or aborted, and which tenants have priority.
const watchEvery = 300 * time.Millisecond

// watch stops the worker when an operator has paused or aborted its run. Migrations that have begun are rolled back,
// so those tenants are as before. It also moves the tenants with priority to the front.
func (p *runWorker) watch(ctx context.Context, halt context.CancelCauseFunc) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		state, err := p.cfg.Catalog.RunStateNow(ctx, p.run.ID)
		if err == nil && state != catalog.RunRunning {
			halt(errHalted)
			return
		}
		if err == nil {
			err = p.promoteWanted(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Logger.Warn("watch a migration run", "run", p.run.ID, "error", err)
		}
	}
}

// promoteWanted moves the tenants of this wave that have priority to the front, the earliest request first.
func (p *runWorker) promoteWanted(ctx context.Context) error {
	p.mu.Lock()
	queues := p.queues
	p.mu.Unlock()
	if queues == nil {
		return nil
	}
	wanted, err := p.wanted(ctx)
	for _, t := range slices.Backward(wanted) {
		if queue := queues[t.Server]; queue != nil {
			queue.promote(t.ID)
		}
	}
	return err
}

// wanted lists the tenants that have priority, the earliest request first.
func (p *runWorker) wanted(ctx context.Context) ([]catalog.Tenant, error) {
	filter := p.filter(100, p.cfg.Servers.Names())
	filter.OnlyRequested = true
	return p.cfg.Catalog.Behind(ctx, filter)
}

// queue holds the tenants of one server that a wave has not begun.
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

// promote makes a tenant the next one, if it is in the queue.
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
