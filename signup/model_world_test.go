package signup_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// The delays of the simulated world. The saga must work with all that are shorter than its own limits.
const (
	// longestHang is how long a call can be without an answer before its caller's connection fails.
	longestHang = 25 * time.Second
	// longestDelay is how long after its caller has stopped waiting, or has died, a call may still take effect.
	longestDelay = 20 * time.Second
)

// world is the three systems, the network to them, and the processes that use them. Everything except what mu guards
// belongs to the driver, the first goroutine of the bubble. The other goroutines are the saga's. Each blocks in a call
// until the driver has decided the call's outcome. Only one runs at a time, so a run is the same each time it is
// repeated.
type world struct {
	shape   shape
	choices *choices
	trace   *strings.Builder // nil: no trace is written
	began   time.Time

	catalog     rows
	accounts    []simAccount
	servers     []*serverSim
	locks       map[string]*session // advisory locks of the catalog and of the servers
	unavailable map[string]bool     // systems that do not answer
	faults      bool
	unreliable  bool
	procs       []*process
	tasks       []*task
	pending     []*call // calls that wait for an answer, in a fixed order
	late        []*call // calls without a caller, which may still take effect
	names       map[uuid.UUID]string
	count       map[string]int
	problems    []string
	// owners maps every tenant that was ever ready to its sign-up, schools every such sign-up to its tenant.
	owners, schools map[uuid.UUID]uuid.UUID
	// sparesReturned counts the spares that were returned, or not counted in time, by which the stock may be exceeded.
	sparesReturned int
	seen           tally
	// freed is when an e-mail, or an account with it, was last released.
	freed map[string]time.Time
	jobs  int

	organizations []*organization
	own           []string // accounts that people have created themselves
	// approved are the sign-ups that an operator has approved, admitted those that got a tenant, closed the accounts
	// that somebody has removed at the provider.
	approved, admitted map[uuid.UUID]bool
	closed             map[string]bool
	// waiting is since when a sign-up waits for a person.
	waiting map[uuid.UUID]time.Time

	mu      sync.Mutex
	arrived []*call
	ended   []*task
}

// process is one process of the program.
type process struct {
	name string
	mu   sync.Mutex
	gone bool
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// task is one activity of a process: a request, a pass of the reconciler.
type task struct {
	number   int
	what     string
	proc     *process
	cancel   context.CancelFunc
	began    time.Time
	over     bool
	value    any
	err      error
	confirms uuid.UUID     // the sign-up that it confirms, if any
	client   *client       // the client whose request it is, if any
	job      int           // the number of the job, if any
	then     func(t *task) // called by the driver when the task ends, unless its process has died
}

type taskKey struct{}

// start starts a task of a process in its own goroutine, up to its first call.
func (w *world) start(proc *process, what string, f func(ctx context.Context) (any, error), then func(t *task)) {
	w.begin(&task{what: what, proc: proc, then: then}, f)
}

func (w *world) begin(t *task, f func(ctx context.Context) (any, error)) {
	t.number, t.began = len(w.tasks), time.Now()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.cancel = cancel
	w.tasks = append(w.tasks, t)
	w.tracef("%s: %s begins", t.proc.name, t)
	go func() {
		value, err := f(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		t.value, t.err = value, err
		w.ended = append(w.ended, t)
	}()
	w.collect()
}

// String names it.
func (t *task) String() string { return fmt.Sprintf("%s (task %d)", t.what, t.number) }

// collect waits until every goroutine blocks, and collects the new calls and the tasks that have ended. It sorts those
// that arrived together, so that their order does not depend on the scheduler.
func (w *world) collect() {
	synctest.Wait()
	w.mu.Lock()
	arrived, ended := w.arrived, w.ended
	w.arrived, w.ended = nil, nil
	w.mu.Unlock()
	if len(arrived) > 1 {
		slices.SortStableFunc(arrived, w.order)
	}
	w.pending = append(w.pending, arrived...)
	w.handleAbandoned()
	slices.SortFunc(ended, func(a, b *task) int { return a.number - b.number })
	for _, t := range ended {
		t.cancel()
		t.over = true
		if t.proc.dead() {
			continue
		}
		w.tracef("%s: %s ends: %v", t.proc.name, t, t.err)
		if t.then != nil {
			t.then(t)
		}
	}
}

// handleAbandoned decides what happens to the calls whose callers continue without them.
func (w *world) handleAbandoned() {
	for i := 0; i < len(w.pending); {
		c := w.pending[i]
		w.mu.Lock()
		left := c.left
		w.mu.Unlock()
		if !left {
			i++
			continue
		}
		w.pending = slices.Delete(w.pending, i, i+1)
		w.abandon(c)
	}
}

func (w *world) order(a, b *call) int {
	return cmp.Or(a.sent.Compare(b.sent), a.task.number-b.task.number, strings.Compare(a.what, b.what),
		strings.Compare(w.name(a.about), w.name(b.about)), strings.Compare(a.detail, b.detail))
}

// ready returns the calls that can be delivered now.
func (w *world) ready() []*call {
	var calls []*call
	for _, c := range w.pending {
		if c.blocked == nil || !c.blocked() {
			calls = append(calls, c)
		}
	}
	return calls
}

// kill ends a process: its goroutines end in their calls, which may still take effect.
func (w *world) kill(p *process) {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	w.seen["killed"]++
	w.tracef("%s: KILLED", p.name)
	pending := w.pending
	w.pending = nil
	for _, c := range pending {
		if c.proc != p {
			w.pending = append(w.pending, c)
			continue
		}
		w.abandon(c)
		c.answer <- answer{die: true}
	}
}

// advance lets time pass. Calls without an answer for too long fail, and late ones take effect.
func (w *world) advance(d time.Duration) {
	end := time.Now().Add(d)
	for {
		next := end
		for _, c := range w.late {
			next = earlier(next, c.at)
		}
		for _, c := range w.pending {
			next = earlier(next, c.sent.Add(longestHang))
		}
		time.Sleep(time.Until(next))
		w.collect()
		w.handleDue()
		if !next.Before(end) {
			return
		}
	}
}

// handleDue handles everything that is due now.
func (w *world) handleDue() {
	now := time.Now()
	for i := 0; i < len(w.late); {
		c := w.late[i]
		if c.at.After(now) {
			i++
			continue
		}
		w.late = slices.Delete(w.late, i, i+1)
		w.executeUnlessBlocked(c)
	}
	for {
		i := slices.IndexFunc(w.pending, func(c *call) bool { return !c.sent.Add(longestHang).After(now) })
		if i < 0 {
			return
		}
		c := w.pending[i]
		w.pending = slices.Delete(w.pending, i, i+1)
		w.tracef("   %s: no answer for too long", w.text(c))
		w.abandon(c)
		c.answer <- answer{err: c.lost()}
		w.collect()
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lockedByOther reports whether another session has a lock.
func (w *world) lockedByOther(lock string, by *session) bool {
	holder := w.locks[lock]
	if holder == nil || holder == by {
		return false
	}
	if holder.over() && !slices.ContainsFunc(w.late, func(c *call) bool { return c.session == holder }) {
		delete(w.locks, lock)
		return false
	}
	return true
}

// choices are the numbers that rapid has drawn for a run, in the order of their use. After the last one there are no
// faults.
type choices struct {
	drawn []uint64
	used  int
}

func (c *choices) next(n int) int {
	if c.used == len(c.drawn) {
		return 0
	}
	c.used++
	return int(c.drawn[c.used-1] % uint64(n))
}

func (c *choices) left() bool { return c.used < len(c.drawn) }

// tracef adds a line to the trace of the run.
func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%8s  ", time.Since(w.began).Round(time.Millisecond))
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// name returns the name of a thing in this run, which does not depend on its random id.
func (w *world) name(id uuid.UUID) string { return w.names[id] }

// setName gives a name to a new thing.
func (w *world) setName(id uuid.UUID, kind string) {
	if w.names[id] == "" {
		w.count[kind]++
		w.names[id] = fmt.Sprintf("%s%d", kind, w.count[kind])
	}
}
