package modeltest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// Call is a request to a system, until it has been answered and cannot take effect any more.
type Call struct {
	Process *Process
	System  string
	What    string
	About   string
	Session *Session // in which it is sent, if that matters
	// Blocked reports whether it must wait for another session's lock. May be nil.
	Blocked func() bool
	// NeverLate: it takes effect before its caller stops waiting, or never, like a statement of an open transaction.
	NeverLate bool
	// The driver calls Arrived when the call was sent, and Told when its caller gets the answer. Both may be nil.
	Arrived func()
	Told    func(value any, err error)
	// Refused returns an error, of a kind from 0 to 3, that says that the call was not executed. Lost returns one that does not
	// say it. Both default to an error of a closed connection.
	Refused func(kind int) error
	Lost    func() error

	// Ask sets these.
	Task   *Task // nil if its context says none
	Sent   time.Time
	At     time.Time // of a late call: when it takes effect
	Orphan bool      // it has no caller any more
	apply  func() (any, error)
	answer chan answer
	left   atomic.Bool // the caller's context has ended, and the caller continues without an answer
}

type answer struct {
	die   bool
	value any
	err   error
}

// String describes it.
func (c *Call) String() string {
	return fmt.Sprintf("%s, task %d: %s.%s %s", c.Process, c.Task.number(), c.System, c.What, c.About)
}

func (c *Call) lost() error {
	if c.Lost != nil {
		return c.Lost()
	}
	return fmt.Errorf("%s: %w", c.What, net.ErrClosed)
}

func (c *Call) refused(kind int) error {
	if c.Refused != nil {
		return c.Refused(kind)
	}
	return fmt.Errorf("%s: %w", c.What, net.ErrClosed)
}

func (c *Call) blocked() bool { return c.Blocked != nil && c.Blocked() }

// Ask executes a call. Every call of the code under test must use it. It blocks until the driver answers, and never returns in a
// process that has died. The driver calls apply to execute the call.
func Ask[T any](ctx context.Context, w *World, c *Call, apply func() (T, error)) (T, error) {
	var none T
	if c.Process.Dead() {
		runtime.Goexit()
	}
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%w: %w", c.refused(0), err)
	}
	c.Task, _ = ctx.Value(taskKey{}).(*Task)
	c.apply = func() (any, error) { return apply() }
	c.answer = make(chan answer, 1)
	c.Sent = time.Now()
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
		if c.Process.Dead() {
			runtime.Goexit()
		}
		c.left.Store(true)
		return none, fmt.Errorf("%w: %w", c.lost(), ctx.Err())
	}
}

// Do is Ask for a call whose answer holds nothing.
func Do(ctx context.Context, w *World, c *Call, apply func() error) error {
	_, err := Ask(ctx, w, c, func() (struct{}, error) { return struct{}{}, apply() })
	return err
}

// take removes a pending call.
func (w *World) take(i int) *Call {
	c := w.Pending[i]
	w.Pending = slices.Delete(w.Pending, i, i+1)
	return c
}

// abandon decides what happens to a call whose caller is gone: it takes effect now, later or never.
func (w *World) abandon(c *Call) {
	ways := 2
	if w.MaxDelay > 0 {
		ways = 3
	}
	switch n := w.Next(ways); {
	case n == 0:
		w.Tracef("   %s: never takes effect", c)
	case n == 1 || c.NeverLate:
		w.executeOrphan(c)
	default:
		w.delay(c)
	}
}

// executeOrphan executes a call that has no caller any more, unless it waits for a lock: its session is gone.
func (w *World) executeOrphan(c *Call) {
	c.Orphan = true
	if c.blocked() {
		w.Tracef("   %s: never takes effect", c)
		return
	}
	_, _ = w.execute(c)
}

// delay lets a call take effect later.
func (w *World) delay(c *Call) {
	c.At = time.Now().Add(time.Duration(w.Next(200)+1) * w.MaxDelay / 200)
	w.Tracef("   %s: takes effect in %s", c, time.Until(c.At))
	w.Late = append(w.Late, c)
	w.At(c.At, func() {
		w.Late = slices.DeleteFunc(w.Late, func(late *Call) bool { return late == c })
		w.executeOrphan(c)
	})
}

// execute executes a call, and checks the invariants.
func (w *World) execute(c *Call) (any, error) {
	value, err := c.apply()
	w.Seen["calls"]++
	if err == nil {
		w.Seen[c.What]++
	}
	w.Tracef("   %s: %v", c, err)
	w.Check()
	return value, err
}

// Fault is the outcome of a call.
type Fault int

// The outcomes. A call that is not delivered hangs.
const (
	Works      Fault = iota
	Refused          // it is not executed, and its caller learns that
	Lost             // it is not executed, and its caller does not know that
	AnswerLost       // it is executed, and its caller does not know that
	Delayed          // it is executed within MaxDelay, and its caller does not know that
	Kills            // its process dies while it waits for the answer
)

// DeliverSome delivers up to most of the pending calls that wait for no lock, one after the other. If there are none it waits.
func (w *World) DeliverSome(most int) {
	for range 1 + w.Next(most) {
		var ready []int
		for i, c := range w.Pending {
			if !c.blocked() {
				ready = append(ready, i)
			}
		}
		switch len(ready) {
		case 0:
			w.Wait()
			return
		case 1:
			w.deliver(ready[0])
		default:
			w.deliver(Pick(w, ready))
		}
	}
}

// DeliverFirst delivers the first pending call that waits for no lock, and reports whether there is one.
func (w *World) DeliverFirst() bool {
	i := slices.IndexFunc(w.Pending, func(c *Call) bool { return !c.blocked() })
	if i >= 0 {
		w.deliver(i)
	}
	return i >= 0
}

// deliver decides the outcome of a pending call.
func (w *World) deliver(i int) {
	c := w.take(i)
	f := Works
	switch {
	case w.Unavailable[c.System]:
		f = Pick(w, []Fault{Refused, Lost})
	case w.Fault != nil:
		f = w.Fault(c)
	}
	if f == Delayed && c.NeverLate {
		f = Lost
	}
	switch f {
	case Works:
		value, err := w.execute(c)
		if c.Told != nil {
			c.Told(value, err)
		}
		c.answer <- answer{value: value, err: err}
	case Refused:
		w.Seen["refused"]++
		w.Tracef("   %s: REFUSED", c)
		c.answer <- answer{err: c.refused(w.Next(4))}
	case Lost:
		w.Seen["lost"]++
		w.Tracef("   %s: LOST", c)
		c.answer <- answer{err: c.lost()}
	case AnswerLost:
		w.Seen["lost answers"]++
		w.Tracef("   the next answer is LOST")
		_, _ = w.execute(c)
		c.answer <- answer{err: c.lost()}
	case Delayed:
		w.delay(c)
		c.answer <- answer{err: c.lost()}
	case Kills:
		w.abandon(c)
		c.answer <- answer{die: true}
		w.Kill(c.Process)
	}
	w.Collect()
}

// Session is a connection that holds locks. They end with it, after the last call that was sent on it.
type Session struct{ closed atomic.Bool }

// Close ends it.
func (s *Session) Close() { s.closed.Store(true) }

// Closed reports whether it has ended.
func (s *Session) Closed() bool { return s.closed.Load() }

// LockedByOther reports whether a session other than by has a lock. by may be nil.
func (w *World) LockedByOther(lock string, by *Session) bool {
	holder := w.Locks[lock]
	if holder == nil || holder == by {
		return false
	}
	return !holder.Closed() || slices.ContainsFunc(w.Late, func(c *Call) bool { return c.Session == holder })
}
