package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"
)

var errSessionLost = errors.New("the lock's session was lost")

// call is a request to a system, from when it is sent until it has been answered.
type call struct {
	proc   *process
	task   *task // nil where the caller's context does not say
	system string
	what   string
	about  string
	holder *session // the run's lock under which it is sent
	sent   time.Time
	// apply carries it out, told sees the answer that its caller gets. blocked tells that it waits for somebody's lock.
	apply   func() (any, error)
	told    func(value any, err error)
	blocked func() bool
	answer  chan answer
	left    bool // the caller's context has ended, and it has gone on without an answer
}

type answer struct {
	die   bool
	value any
	err   error
}

// String describes it.
func (c *call) String() string {
	return fmt.Sprintf("process %d, %s: %s.%s %s", c.proc.number, c.task, c.system, c.what, c.about)
}

// lost is an error that does not say whether it was carried out.
func (c *call) lost() error { return fmt.Errorf("%s: %w", c.what, net.ErrClosed) }

// ask is the one place that every call of the fleet goes through. It blocks until the driver answers, and never returns in a
// process that has died.
func ask[T any](ctx context.Context, w *world, c *call, apply func() (T, error)) (T, error) {
	var none T
	if c.proc.dead() {
		runtime.Goexit()
	}
	c.task, _ = ctx.Value(taskKey{}).(*task)
	c.holder, _ = ctx.Value(sessionKey{}).(*session)
	c.apply = func() (any, error) { return apply() }
	c.answer = make(chan answer, 1)
	c.sent = time.Now()
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", c.what, err)
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
		if c.proc.dead() {
			runtime.Goexit()
		}
		w.mu.Lock()
		c.left = true
		w.mu.Unlock()
		return none, fmt.Errorf("%w: %w", c.lost(), ctx.Err())
	}
}

// leave lets a call whose caller has gone take effect or not.
func (w *world) leave(c *call) {
	if w.choices.next(2) == 0 || c.blocked != nil && c.blocked() {
		w.tell("   %s: never takes effect", c)
		return
	}
	_, _ = w.carryOut(c)
}

// execute lets a call take effect, and checks what must always hold.
func (w *world) carryOut(c *call) (any, error) {
	value, err := c.apply()
	w.seen["calls"]++
	if err == nil {
		w.seen[c.what]++
	}
	w.tell("   %s: %v", c, err)
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
	kills
)

// fates has the ways in which a call can end as often as they shall come up. What is not delivered hangs.
var fates = [40]fate{35: isRefused, 36: isLost, 37: losesItsAnswer, 38: losesItsAnswer, 39: kills}

// deliver decides what becomes of a call that waits.
func (w *world) deliver(c *call) {
	w.pending = slices.DeleteFunc(w.pending, func(p *call) bool { return p == c })
	f := works
	switch {
	case w.away[c.system]:
		f = isRefused
	case w.faults:
		f = fates[w.choices.next(len(fates))]
	}
	switch f {
	case works:
		value, err := w.carryOut(c)
		if c.told != nil {
			c.told(value, err)
		}
		c.answer <- answer{value: value, err: err}
	case isRefused, isLost:
		w.seen["refused"]++
		w.tell("   %s: REFUSED", c)
		c.answer <- answer{err: c.lost()}
	case losesItsAnswer:
		w.seen["lost answers"]++
		w.tell("   the next answer is LOST")
		_, _ = w.carryOut(c)
		c.answer <- answer{err: c.lost()}
	case kills:
		w.leave(c)
		c.answer <- answer{die: true}
		w.kill(c.proc)
	}
	w.settle()
}
