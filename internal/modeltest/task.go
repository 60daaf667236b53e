package modeltest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Process is one process of the program.
type Process struct {
	Number int // from 1
	dead   atomic.Bool
}

// String names it.
func (p *Process) String() string { return fmt.Sprintf("process %d", p.Number) }

// Dead reports whether it was killed.
func (p *Process) Dead() bool { return p.dead.Load() }

// Alive returns the processes that were not killed.
func Alive[P interface{ Dead() bool }](processes []P) []P {
	return slices.DeleteFunc(slices.Clone(processes), func(p P) bool { return p.Dead() })
}

// NewProcess adds a process.
func (w *World) NewProcess() *Process {
	p := &Process{Number: len(w.processes) + 1}
	w.processes = append(w.processes, p)
	return p
}

// Kill ends a process: its goroutines end in their calls, which may still take effect.
func (w *World) Kill(p *Process) {
	w.Seen["killed"]++
	w.Tracef("%s: KILLED", p)
	w.stop(p)
}

func (w *World) stop(p *Process) {
	p.dead.Store(true)
	pending := w.Pending
	w.Pending = nil
	for _, c := range pending {
		if c.Process != p {
			w.Pending = append(w.Pending, c)
			continue
		}
		w.abandon(c)
		c.answer <- answer{die: true}
	}
	for _, t := range w.Tasks {
		if t.Process == p {
			t.Cancel() // wakes goroutines that wait for time to pass; they end at their next call
		}
	}
	w.Collect()
}

// Task is one activity of a process, such as a request or a pass of a background loop.
type Task struct {
	Process *Process
	What    string
	For     any           // whose task it is or what it is about, for Running
	Then    func(t *Task) // called by the driver when the task ends, unless its process has died

	Number int // its index in World.Tasks
	Began  time.Time
	Cancel context.CancelFunc
	Over   bool
	Value  any
	Err    error
}

// String names it.
func (t *Task) String() string {
	if t == nil {
		return "no task"
	}
	return fmt.Sprintf("%s (task %d)", t.What, t.Number)
}

func (t *Task) number() int {
	if t == nil {
		return -1
	}
	return t.Number
}

type taskKey struct{}

// Start starts a task in its own goroutine, up to its first call.
func (w *World) Start(t *Task, f func(ctx context.Context) (any, error)) *Task {
	t.Number, t.Began = len(w.Tasks), time.Now()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), taskKey{}, t))
	t.Cancel = cancel
	w.Tasks = append(w.Tasks, t)
	w.Tracef("%s: %s begins", t.Process, t)
	go func() {
		value, err := f(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		t.Value, t.Err = value, err
		w.ended = append(w.ended, t)
	}()
	w.Collect()
	return t
}

// running reports whether a task has not ended, in a process that was not killed.
func (t *Task) running() bool { return !t.Over && !t.Process.Dead() }

// Busy reports whether a task is running or a call is pending.
func (w *World) Busy() bool {
	return len(w.Pending) > 0 || slices.ContainsFunc(w.Tasks, (*Task).running)
}

// Running returns the running tasks whose For is purpose.
func (w *World) Running(purpose any) (tasks []*Task) {
	for _, t := range w.Tasks {
		if t.For == purpose && t.running() {
			tasks = append(tasks, t)
		}
	}
	return tasks
}
