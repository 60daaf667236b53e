package signup_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// The waits of the simulated world. The saga must cope with any that are shorter than what it says of them itself.
const (
	// longestHang is how long a system may leave a call without an answer before its caller's connection gives up.
	longestHang = 25 * time.Second
	// longestDelay is how long after its caller has given up, or has died, a call may still take effect.
	longestDelay = 20 * time.Second
)

// world is the three systems, the network to them, and the processes that use them. All of it but what mu guards belongs to
// the driver, the first goroutine of the bubble; the others are the saga's, and each stands still at a call until the
// driver has decided what becomes of it. One at a time goes on, so a run is the same each time it is run.
type world struct {
	choices *choices
	trace   *strings.Builder // nil: nobody wants it
	began   time.Time

	catalog  rows
	logins   []login
	servers  []*serverSim
	locks    map[string]*session // advisory locks, of the catalog and of the servers
	away     map[string]bool     // systems that nobody reaches
	faults   bool
	rough    bool
	procs    []*process
	tasks    []*task
	pending  []*call // wait for an answer, in a fixed order
	late     []*call // have no caller any more, and may still take effect
	names    map[uuid.UUID]string
	count    map[string]int
	problems []string
	// owners has the sign-up of every tenant that was ever ready.
	owners map[uuid.UUID]uuid.UUID
	// givenBack counts the spares that came back, or that nobody counted in time, and that may exceed the stock.
	givenBack int
	seen      tally
	// freed has when an e-mail, or an identity with it, was given up last.
	freed map[string]time.Time
	jobs  int

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

// task is something that a process was asked to do: a request, a pass of the reconciler.
type task struct {
	number int
	what   string
	proc   *process
	cancel context.CancelFunc
	began  time.Time
	over   bool
	value  any
	err    error
	client *client       // whose request it is, if any
	job    int           // which job it is, if any
	then   func(t *task) // told by the driver when the task ends, unless its process has died
}

type taskKey struct{}

// session is a connection that holds locks and transactions. They end with it, once what it was sent has been carried out.
type session struct {
	mu     sync.Mutex
	closed bool
	tx     *rows // the rows as the open transaction sees them
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// call is a request to a system, from when it is sent until it has been answered and cannot take effect any more.
type call struct {
	proc    *process
	task    *task
	system  string // "catalog", "identity", or the name of a server
	what    string
	about   uuid.UUID
	detail  string
	session *session
	sent    time.Time
	at      time.Time // of a late call: when it takes effect
	// apply carries it out. blocked tells that it must wait for somebody else's lock.
	apply   func() (any, error)
	blocked func() bool
	// refused is an error that says it was not carried out, lost one that does not say.
	refused func(n int) error
	lost    func() error
	answer  chan answer
	left    bool // the caller's context has ended, and it has gone on without an answer
}

// inTx tells a statement of a transaction, which ends with its caller.
func (c *call) inTx() bool { return c.session != nil && c.session.tx != nil }

type answer struct {
	die   bool
	value any
	err   error
}

// ask is the one place that every call of the saga goes through. It blocks until the driver answers, and never returns in
// a process that has died.
func ask[T any](ctx context.Context, w *world, c *call, apply func() (T, error)) (T, error) {
	var none T
	if c.proc.dead() {
		runtime.Goexit()
	}
	c.task, _ = ctx.Value(taskKey{}).(*task)
	c.apply = func() (any, error) { return apply() }
	c.answer = make(chan answer, 1)
	c.sent = time.Now()
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%w: %w", c.refused(0), err)
	}
	w.mu.Lock()
	w.arrived = append(w.arrived, c)
	w.mu.Unlock()
	select {
	case a := <-c.answer:
		if a.die {
			runtime.Goexit()
		}
		if a.err != nil {
			return none, a.err
		}
		return a.value.(T), nil
	case <-ctx.Done():
		w.mu.Lock()
		c.left = true
		w.mu.Unlock()
		return none, fmt.Errorf("%w: %w", c.lost(), ctx.Err())
	}
}

// start has a process do something, in a goroutine of its own, up to its first call.
func (w *world) start(proc *process, what string, f func(ctx context.Context) (any, error), then func(t *task)) {
	w.begin(&task{what: what, proc: proc, then: then}, f)
}

func (w *world) begin(t *task, f func(ctx context.Context) (any, error)) {
	t.number, t.began = len(w.tasks), time.Now()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.cancel = cancel
	w.tasks = append(w.tasks, t)
	w.tell("%s: %s begins", t.proc.name, t)
	go func() {
		value, err := f(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		t.value, t.err = value, err
		w.ended = append(w.ended, t)
	}()
	w.settle()
}

// String names it.
func (t *task) String() string { return fmt.Sprintf("%s (task %d)", t.what, t.number) }

// settle waits until every goroutine stands still, and takes what they have sent and how they have ended. What arrives
// together is put into an order that does not depend on the scheduler.
func (w *world) settle() {
	synctest.Wait()
	w.mu.Lock()
	arrived, ended := w.arrived, w.ended
	w.arrived, w.ended = nil, nil
	w.mu.Unlock()
	if len(arrived) > 1 {
		slices.SortStableFunc(arrived, func(a, b *call) int { return strings.Compare(w.order(a), w.order(b)) })
	}
	w.pending = append(w.pending, arrived...)
	w.takeLeft()
	slices.SortFunc(ended, func(a, b *task) int { return a.number - b.number })
	for _, t := range ended {
		t.cancel()
		t.over = true
		if t.proc.dead() {
			continue
		}
		w.tell("%s: %s ends: %v", t.proc.name, t, t.err)
		if t.then != nil {
			t.then(t)
		}
	}
}

// takeLeft decides what becomes of the calls whose callers have gone on.
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

func (w *world) order(c *call) string {
	return fmt.Sprintf("%4d %s %s %s %s", c.task.number, c.sent, c.what, w.name(c.about), c.detail)
}

// leave keeps a call whose caller has gone: it may take effect or not.
func (w *world) leave(c *call) {
	switch n := w.choices.next(3); {
	case n == 0:
		w.tell("   %s: never takes effect", w.text(c))
	case n == 1 || c.inTx():
		w.carryOutUnless(c)
	default:
		w.delay(c)
	}
}

// carryOutUnless lets a call that nobody waits for take effect, unless it waits for a lock and has no session any more.
func (w *world) carryOutUnless(c *call) {
	if c.what == "insert spare" {
		w.givenBack++ // whoever has the lock now may have counted before
	}
	if c.blocked == nil || !c.blocked() {
		_, _ = w.carryOut(c)
	}
}

// delay lets a call take effect later.
func (w *world) delay(c *call) {
	c.at = time.Now().Add(time.Duration(w.choices.next(200)+1) * longestDelay / 200)
	w.tell("   %s: takes effect in %s", w.text(c), time.Until(c.at))
	w.late = append(w.late, c)
}

// carryOut lets a call take effect, and checks what must always hold.
func (w *world) carryOut(c *call) (any, error) {
	value, err := c.apply()
	w.seen["calls"]++
	if c.system == "catalog" && err == nil {
		w.seen[c.what]++
	}
	w.tell("   %s: %v", w.text(c), err)
	w.check()
	return value, err
}

// fate is what becomes of a call.
type fate int

const (
	works fate = iota
	isRefused
	losesItsAnswer
	isLost
	isLate
	kills
)

// fates has the ways in which a call can end as often as they shall come up, roughFates those of the identity provider, which is
// the least reliable of the three, and of everything in some runs.
var fates = [32]fate{
	works, works, works, works, works, works, works, works, works, works, works, works, works, works, works, works,
	works, works, works, works, works, works, works, isRefused, isRefused, losesItsAnswer, losesItsAnswer, losesItsAnswer,
	isLost, isLost, isLate, kills,
}

var roughFates = [16]fate{
	works, works, works, works, works, works, works, works, isRefused, isRefused, losesItsAnswer, losesItsAnswer, isLost, isLate,
	isLate, kills,
}

// deliver decides what becomes of a call that waits.
func (w *world) deliver(c *call) {
	w.pending = slices.DeleteFunc(w.pending, func(p *call) bool { return p == c })
	f := works
	switch {
	case w.away[c.system]:
		f = []fate{isRefused, isLost}[w.choices.next(2)]
	case w.faults && (w.rough || c.system == "identity"):
		f = roughFates[w.choices.next(len(roughFates))]
	case w.faults:
		f = fates[w.choices.next(len(fates))]
	}
	if f == isLate && c.inTx() {
		f = isLost
	}
	switch f {
	case works:
		value, err := w.carryOut(c)
		c.answer <- answer{value: value, err: err}
	case isRefused:
		w.seen["refused"]++
		w.tell("   %s: REFUSED", w.text(c))
		c.answer <- answer{err: c.refused(w.choices.next(4))}
	case losesItsAnswer:
		w.seen["lost answers"]++
		w.tell("   the next answer is LOST")
		_, _ = w.carryOut(c)
		c.answer <- answer{err: c.lost()}
	case isLost:
		w.tell("   %s: LOST", w.text(c))
		c.answer <- answer{err: c.lost()}
	case isLate:
		w.delay(c)
		c.answer <- answer{err: c.lost()}
	case kills:
		w.leave(c)
		c.answer <- answer{die: true}
		w.kill(c.proc)
	}
	w.settle()
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
	p.gone = true
	p.mu.Unlock()
	w.seen["killed"]++
	w.tell("%s: KILLED", p.name)
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
}

// pass lets time go by. Calls that hang for too long are given up, and late ones take effect.
func (w *world) pass(d time.Duration) {
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
	for i := 0; i < len(w.late); {
		c := w.late[i]
		if c.at.After(now) {
			i++
			continue
		}
		w.late = slices.Delete(w.late, i, i+1)
		w.carryOutUnless(c)
	}
	for {
		i := slices.IndexFunc(w.pending, func(c *call) bool { return !c.sent.Add(longestHang).After(now) })
		if i < 0 {
			return
		}
		c := w.pending[i]
		w.pending = slices.Delete(w.pending, i, i+1)
		w.tell("   %s: no answer for too long", w.text(c))
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

// held tells whether somebody else has a lock.
func (w *world) held(lock string, by *session) bool {
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

// text describes a call, if it is asked for.
func (w *world) text(c *call) fmt.Stringer { return callText{w, c} }

type callText struct {
	w *world
	c *call
}

func (t callText) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s task %d: %s.%s %s %s",
		t.c.proc.name, t.c.task.number, t.c.system, t.c.what, t.w.name(t.c.about), t.c.detail))
}

// name is what a thing is called in this run, however random its id is.
func (w *world) name(id uuid.UUID) string { return w.names[id] }

// christen gives a thing its name, when it is new.
func (w *world) christen(id uuid.UUID, kind string) {
	if w.names[id] == "" {
		w.count[kind]++
		w.names[id] = fmt.Sprintf("%s%d", kind, w.count[kind])
	}
}
