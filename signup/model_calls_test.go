package signup_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// session is a connection that holds locks and transactions. They end with it, after the last call that was sent on it.
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
	at      time.Time // only of a late call: when it takes effect
	// apply executes the call. blocked reports whether it must wait for another session's lock.
	apply   func() (any, error)
	blocked func() bool
	// refused returns an error that says that the call was not executed; lost returns one that does not say it.
	refused func(n int) error
	lost    func() error
	answer  chan answer
	left    bool // the caller's context has ended, and the caller continues without an answer
}

// inTx reports whether the call is a statement of a transaction, which ends with its caller.
func (c *call) inTx() bool { return c.session != nil && c.session.tx != nil }

type answer struct {
	die   bool
	value any
	err   error
}

// ask executes every call of the saga. It blocks until the driver answers, and never returns in a process that has
// died.
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

// abandon decides what happens to a call whose caller is gone: it may take effect or not.
func (w *world) abandon(c *call) {
	switch n := w.choices.next(3); {
	case n == 0:
		w.tracef("   %s: never takes effect", w.text(c))
	case n == 1 || c.inTx():
		w.executeUnlessBlocked(c)
	default:
		w.delay(c)
	}
}

// executeUnlessBlocked executes a call that nobody waits for, unless it waits for a lock and has no session any more.
func (w *world) executeUnlessBlocked(c *call) {
	if c.what == "insert spare" {
		w.sparesReturned++ // the present holder of the lock may have counted before
	}
	if c.blocked == nil || !c.blocked() {
		_, _ = w.execute(c)
	}
}

// delay lets a call take effect later.
func (w *world) delay(c *call) {
	c.at = time.Now().Add(time.Duration(w.choices.next(200)+1) * longestDelay / 200)
	w.tracef("   %s: takes effect in %s", w.text(c), time.Until(c.at))
	w.late = append(w.late, c)
}

// execute executes a call, and checks the invariants.
func (w *world) execute(c *call) (any, error) {
	value, err := c.apply()
	w.seen["calls"]++
	if c.system == "catalog" && err == nil {
		w.seen[c.what]++
	}
	w.tracef("   %s: %v", w.text(c), err)
	w.check()
	return value, err
}

// callOutcome is how a call ends.
type callOutcome int

const (
	works callOutcome = iota
	isRefused
	losesItsAnswer
	isLost
	isLate
	kills
)

// callOutcomes are the ways in which a call can end, as often as they shall occur. unreliableOutcomes are those of the
// identity provider, which is the least reliable of the three systems, and of all systems in some runs.
var callOutcomes = [32]callOutcome{
	works, works, works, works, works, works, works, works, works, works, works, works, works, works, works, works,
	works, works, works, works, works, works, works, isRefused, isRefused, losesItsAnswer, losesItsAnswer, losesItsAnswer,
	isLost, isLost, isLate, kills,
}

var unreliableOutcomes = [16]callOutcome{
	works, works, works, works, works, works, works, works, isRefused, isRefused, losesItsAnswer, losesItsAnswer, isLost, isLate,
	isLate, kills,
}

// deliver decides how a pending call ends.
func (w *world) deliver(c *call) {
	w.pending = slices.DeleteFunc(w.pending, func(p *call) bool { return p == c })
	f := works
	switch {
	case w.unavailable[c.system]:
		f = []callOutcome{isRefused, isLost}[w.choices.next(2)]
	case w.faults && (w.unreliable || c.system == "identity"):
		f = unreliableOutcomes[w.choices.next(len(unreliableOutcomes))]
	case w.faults:
		f = callOutcomes[w.choices.next(len(callOutcomes))]
	}
	if f == isLate && c.inTx() {
		f = isLost
	}
	switch f {
	case works:
		value, err := w.execute(c)
		c.answer <- answer{value: value, err: err}
	case isRefused:
		w.seen["refused"]++
		w.tracef("   %s: REFUSED", w.text(c))
		c.answer <- answer{err: c.refused(w.choices.next(4))}
	case losesItsAnswer:
		w.seen["lost answers"]++
		w.tracef("   the next answer is LOST")
		_, _ = w.execute(c)
		c.answer <- answer{err: c.lost()}
	case isLost:
		w.tracef("   %s: LOST", w.text(c))
		c.answer <- answer{err: c.lost()}
	case isLate:
		w.delay(c)
		c.answer <- answer{err: c.lost()}
	case kills:
		w.abandon(c)
		c.answer <- answer{die: true}
		w.kill(c.proc)
	}
	w.collect()
}

// text describes a call when it is printed.
func (w *world) text(c *call) fmt.Stringer { return callText{w, c} }

type callText struct {
	w *world
	c *call
}

func (t callText) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s task %d: %s.%s %s %s",
		t.c.proc.name, t.c.task.number, t.c.system, t.c.what, t.w.name(t.c.about), t.c.detail))
}
