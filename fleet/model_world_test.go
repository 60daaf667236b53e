package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"homeroom/fleet"
	"homeroom/migrations"
)

const (
	// longestHang is how long a system may leave a call without an answer before its caller's connection gives up.
	longestHang = 25 * time.Second
	// longestDeaf is how long a process may take to notice that it has lost the session of its lock.
	longestDeaf = 10 * time.Second
)

// world is the catalog and the servers, and the processes that use them. All of it but what mu guards belongs to the driver,
// the first goroutine of the bubble; the others are the fleet's, and each stands still at a call until the driver has
// decided what becomes of it. One at a time goes on, so a run is the same each time it is run.
type world struct {
	choices *choices
	trace   *strings.Builder // nil: nobody wants it
	began   time.Time

	rows   rows
	locks  map[string]*session // advisory locks, of the catalog and of the servers
	lost   []*session          // have lost their lock, and do not know it yet
	away   map[string]bool     // systems that nobody reaches
	faults bool
	// overlap: some process has worked on a run without its lock.
	overlap  bool
	procs    []*process
	tasks    []*task
	pending  []*call // wait for an answer, in a fixed order
	problems []string
	seen     tally

	mu      sync.Mutex
	arrived []*call
	ended   []*task
}

// database is a tenant's, on a simulated server.
type database struct {
	version uint
	// poison is the file that fails on what is in it, up and down; 0 is none.
	poison uint
	// held is until when somebody has a lock on its tables.
	held time.Time
}

// session is a connection that holds locks, and what the work under a run's lock has been told so far.
type session struct {
	mu     sync.Mutex
	closed bool

	run      *run
	known    int  // how many outcomes the run had when the work began
	over     bool // it knows that its run is paused or over
	looks    bool // it is looking
	canaries bool // it is at the canaries
	broken   bool // a canary has failed
	counting int
	begun    map[string]bool // tenants
	cancel   context.CancelCauseFunc
	deafTo   time.Time
	isLost   bool
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *session) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// process is one process of the program, with its files.
type process struct {
	number      int
	set         *migrations.Set
	fleet       *fleet.Fleet
	mu          sync.Mutex
	unreachable bool
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unreachable
}

// task is something that a process does: a run, a look for one.
type task struct {
	number int
	what   string
	proc   *process
	cancel context.CancelFunc
	// automatic: nobody has asked for it. known is how many runs there were when it looked at the latest.
	automatic bool
	known     int
	over      bool
	err       error
	report    fleet.Report
}

func (t *task) String() string {
	if t == nil {
		return "ledger"
	}
	return fmt.Sprintf("%s (task %d)", t.what, t.number)
}

type (
	taskKey    struct{}
	sessionKey struct{}
)

// start has a process do something, in a goroutine of its own, up to its first call.
func (w *world) start(t *task, f func(ctx context.Context) (fleet.Report, error)) *task {
	t.number = len(w.tasks)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.cancel = cancel
	w.tasks = append(w.tasks, t)
	w.tell("process %d: %s begins", t.proc.number, t)
	go func() {
		report, err := f(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		t.report, t.err = report, err
		w.ended = append(w.ended, t)
	}()
	w.settle()
	return t
}

// settle waits until every goroutine stands still, and takes what they have sent and how they have ended. What arrives
// together is put into an order that does not depend on the scheduler.
func (w *world) settle() {
	synctest.Wait()
	w.mu.Lock()
	arrived, ended := w.arrived, w.ended
	w.arrived, w.ended = nil, nil
	w.mu.Unlock()
	slices.SortStableFunc(arrived, order)
	for _, c := range arrived {
		switch c.what {
		case "lock":
			w.begins(c)
		case "run state", "wanted":
			c.holder.looks = false
		}
	}
	w.pending = append(w.pending, arrived...)
	w.takeLeft()
	slices.SortFunc(ended, func(a, b *task) int { return a.number - b.number })
	for _, t := range ended {
		t.cancel()
		t.over = true
		if !t.proc.dead() {
			w.tell("process %d: %s ends: %v", t.proc.number, t, t.err)
			w.endsWell(t)
		}
	}
}

// handleAbandoned decides what becomes of the calls whose callers have gone on.
func (w *world) takeLeft() {
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
		w.leave(c)
	}
}

func order(a, b *call) int {
	number := func(t *task) int {
		if t == nil {
			return -1
		}
		return t.number
	}
	return cmp.Or(a.sent.Compare(b.sent), a.proc.number-b.proc.number, number(a.task)-number(b.task), strings.Compare(a.system, b.system),
		strings.Compare(a.what, b.what), strings.Compare(a.about, b.about))
}

// ready are the calls that can be delivered now.
func (w *world) ready() []*call {
	var calls []*call
	for _, c := range w.pending {
		if c.blocked == nil || !c.blocked() {
			calls = append(calls, c)
		}
	}
	return calls
}

// kill ends a process: its goroutines end at their calls, which may take effect all the same.
func (w *world) kill(p *process) {
	p.mu.Lock()
	p.unreachable = true
	p.mu.Unlock()
	w.seen["killed"]++
	w.tell("process %d: KILLED", p.number)
	pending := w.pending
	w.pending = nil
	for _, c := range pending {
		if c.proc != p {
			w.pending = append(w.pending, c)
			continue
		}
		w.leave(c)
		c.answer <- answer{die: true}
	}
	for _, t := range w.tasks {
		if t.proc == p {
			t.cancel() // wakes those that wait for time to pass, which end at their next call
		}
	}
	w.settle()
}

// pass lets time go by. Calls that hang for too long are given up, and lost sessions are noticed.
func (w *world) pass(d time.Duration) {
	end := time.Now().Add(d)
	for {
		next := end
		for _, c := range w.pending {
			next = earlier(next, c.sent.Add(longestHang))
		}
		for _, s := range w.lost {
			next = earlier(next, s.deafTo)
		}
		time.Sleep(time.Until(next))
		w.settle()
		w.elapse()
		if !next.Before(end) {
			return
		}
	}
}

// elapse does what is due now.
func (w *world) elapse() {
	now := time.Now()
	due := func(s *session) bool { return !s.deafTo.After(now) }
	for _, s := range w.lost {
		if due(s) {
			s.cancel(errSessionLost)
		}
	}
	w.lost = slices.DeleteFunc(w.lost, due)
	w.settle()
	for {
		i := slices.IndexFunc(w.pending, func(c *call) bool { return !c.sent.Add(longestHang).After(now) })
		if i < 0 {
			return
		}
		c := w.pending[i]
		w.pending = slices.Delete(w.pending, i, i+1)
		w.tell("   %s: no answer for too long", c)
		w.leave(c)
		c.answer <- answer{err: c.lost()}
		w.settle()
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// heldByOther reports whether somebody else has a lock.
func (w *world) heldByOther(lock string, by *session) bool {
	holder := w.locks[lock]
	return holder != nil && holder != by && !holder.stopped()
}

// choices are what rapid has drawn for a run, in the order in which they are used up. Afterwards everything goes well.
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

// tell adds a line to the trace of the run.
func (w *world) tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%8s  ", time.Since(w.began).Round(time.Millisecond))
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// fail records what is wrong. The words must be the same each time a run is repeated.
func (w *world) fail(format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	w.tell("WRONG: %s", problem)
	w.problems = append(w.problems, problem)
}
