package modeltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// LongestHang is how long a call can be without an answer before its caller's connection fails.
const LongestHang = 25 * time.Second

// World is a number of processes, with their tasks and their calls to simulated systems, which are the model's. Everything except
// what mu guards belongs to the driver, the first goroutine of the bubble. The other goroutines are those of the processes. Each
// blocks in a call until the driver has decided the call's outcome. So a run is the same each time it is repeated.
type World struct {
	// Check checks the invariants that hold at every moment. It is called whenever a call has taken effect.
	Check func()
	// Fault chooses the outcome of a call to an available system. Defaults to Works.
	Fault func(c *Call) Fault
	// MaxDelay is how long after its caller has stopped waiting, or has died, a call may still take effect. Defaults to 0: it takes
	// effect at once, or never.
	MaxDelay time.Duration
	// Waits are the times that Wait chooses from.
	Waits []time.Duration

	Unavailable map[string]bool     // systems that do not answer
	Locks       map[string]*Session // by the name of the lock
	Tasks       []*Task             // all that were ever started
	Pending     []*Call             // calls that wait for an answer, in a fixed order
	Late        []*Call             // calls without a caller, which take effect at their time
	Problems    []string            // violations
	Seen        Counts

	choices   []uint64
	used      int
	trace     *strings.Builder // nil: no trace is written
	began     time.Time
	timers    []timer
	processes []*Process

	mu      sync.Mutex
	arrived []*Call
	ended   []*Task
}

// timer is something that the driver does at a time.
type timer struct {
	at time.Time
	do func()
}

// Next returns the next choice, from 0 to n-1. After the last one it returns 0, which must mean that all is well.
func (w *World) Next(n int) int {
	if !w.More() {
		return 0
	}
	w.used++
	return int(w.choices[w.used-1] % uint64(n))
}

// More reports whether there are choices left.
func (w *World) More() bool { return w.used < len(w.choices) }

// Pick chooses one of several; it returns the zero value if there is none.
func Pick[T any](w *World, from []T) (one T) {
	if len(from) == 0 {
		return one
	}
	return from[w.Next(len(from))]
}

// Tracef adds a line to the trace of the run.
func (w *World) Tracef(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%8s  ", time.Since(w.began).Round(time.Millisecond))
		fmt.Fprintf(w.trace, format+"\n", args...)
	}
}

// Failf records a violation. The text must be the same each time a run is repeated.
func (w *World) Failf(format string, args ...any) {
	problem := fmt.Sprintf(format, args...)
	w.Tracef("WRONG: %s", problem)
	w.Problems = append(w.Problems, problem)
}

// Collect waits until every goroutine blocks, and collects the new calls and the tasks that have ended. It sorts those that
// arrived together, so that their order does not depend on Go's scheduler.
func (w *World) Collect() {
	synctest.Wait()
	w.mu.Lock()
	arrived, ended := w.arrived, w.ended
	w.arrived, w.ended = nil, nil
	w.mu.Unlock()
	slices.SortStableFunc(arrived, order)
	for _, c := range arrived {
		if c.Arrived != nil {
			c.Arrived()
		}
	}
	w.Pending = append(w.Pending, arrived...)
	for {
		i := slices.IndexFunc(w.Pending, func(c *Call) bool { return c.left.Load() })
		if i < 0 {
			break
		}
		w.abandon(w.take(i))
	}
	slices.SortFunc(ended, func(a, b *Task) int { return a.Number - b.Number })
	for _, t := range ended {
		t.Cancel()
		t.Over = true
		if t.Process.Dead() {
			continue
		}
		w.Tracef("%s: %s ends: %v", t.Process, t, t.Err)
		if t.Then != nil {
			t.Then(t)
		}
	}
}

func order(a, b *Call) int {
	return cmp.Or(a.Sent.Compare(b.Sent), a.Process.Number-b.Process.Number, a.Task.number()-b.Task.number(),
		strings.Compare(a.System, b.System), strings.Compare(a.What, b.What), strings.Compare(a.About, b.About))
}

// At makes the driver call a function at a time.
func (w *World) At(at time.Time, do func()) { w.timers = append(w.timers, timer{at, do}) }

// Advance lets time pass. Calls without an answer for too long fail, and late ones take effect.
func (w *World) Advance(d time.Duration) {
	end := time.Now().Add(d)
	for {
		next := end
		for _, t := range w.timers {
			next = earlier(next, t.at)
		}
		for _, c := range w.Pending {
			next = earlier(next, c.Sent.Add(LongestHang))
		}
		time.Sleep(time.Until(next))
		w.Collect()
		w.handleDue()
		if !next.Before(end) {
			return
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *World) handleDue() {
	now := time.Now()
	for {
		i := slices.IndexFunc(w.timers, func(t timer) bool { return !t.at.After(now) })
		if i < 0 {
			break
		}
		due := w.timers[i]
		w.timers = slices.Delete(w.timers, i, i+1)
		due.do()
	}
	w.Collect()
	for {
		i := slices.IndexFunc(w.Pending, func(c *Call) bool { return !c.Sent.Add(LongestHang).After(now) })
		if i < 0 {
			return
		}
		c := w.take(i)
		w.Tracef("   %s: no answer for too long", c)
		w.abandon(c)
		c.answer <- answer{err: c.lost()}
		w.Collect()
	}
}

// Wait advances time by one of Waits.
func (w *World) Wait() {
	d := Pick(w, w.Waits)
	w.Tracef("%s pass", d)
	w.Advance(d)
}

// Outage makes one of some systems unavailable, or all systems available again.
func (w *World) Outage(systems ...string) {
	if len(w.Unavailable) > 0 {
		clear(w.Unavailable)
		w.Tracef("every system is available")
		return
	}
	system := Pick(w, systems)
	w.Unavailable[system] = true
	w.Tracef("%s is unavailable", system)
}

// end stops every goroutine of the bubble.
func (w *World) end() {
	w.trace = nil
	for _, p := range w.processes {
		w.stop(p)
	}
	time.Sleep(time.Hour)
}
