package modeltest

import (
	"context"
	"strings"
	"testing"
	"time"
)

// counter is a model of two processes that increment a number. One that is safe reads and writes it in one call.
func counter(safe bool) func(w *World) {
	return func(w *World) {
		number, acknowledged := 0, 0
		w.Check, w.Waits = func() {}, []time.Duration{time.Second}
		w.Fault = func(*Call) Fault { return [4]Fault{3: Kills}[w.Next(4)] }
		increment := func(ctx context.Context, p *Process) error {
			read, err := Ask(ctx, w, &Call{Process: p, System: "store", What: "read"}, func() (int, error) { return number, nil })
			if err != nil {
				return err
			}
			return Do(ctx, w, &Call{Process: p, System: "store", What: "write"}, func() error {
				if safe {
					read = number
				}
				number = read + 1
				return nil
			})
		}
		for range 2 {
			p := w.NewProcess()
			w.Start(&Task{Process: p, What: "increment", Then: func(t *Task) {
				if acknowledged++; t.Err != nil {
					w.Failf("an increment ends with %v", t.Err)
				}
			}}, func(ctx context.Context) (any, error) { return nil, increment(ctx, p) })
		}
		for w.More() {
			w.DeliverSome(2)
		}
		for w.DeliverFirst() {
		}
		if number < acknowledged {
			w.Failf("%d increments were acknowledged, and the number is %d", acknowledged, number)
		}
	}
}

// play makes some runs, and returns the first problem with the trace of its run.
func play(t *testing.T, model func(w *World)) (problem, trace string, choices []uint64) {
	t.Helper()
	for n := range uint64(200) {
		text := &strings.Builder{}
		choices := []uint64{n, n / 2, n / 4, n / 8, n / 16, n / 32}
		if problem := run(t, model, choices, Counts{}, text); problem != "" {
			return problem, text.String(), choices
		}
	}
	return "", "", nil
}

func TestAnUpdateThatIsLostIsFound(t *testing.T) {
	t.Parallel()
	problem, trace, _ := play(t, counter(false))
	if problem != "2 increments were acknowledged, and the number is 1" || !strings.Contains(trace, "WRONG: "+problem) {
		t.Errorf("the problem is %q, the trace\n%s", problem, trace)
	}
	if problem, trace, _ := play(t, counter(true)); problem != "" {
		t.Errorf("a model without a fault has the problem %q\n%s", problem, trace)
	}
}

func TestARunIsTheSameWheneverItIsRepeated(t *testing.T) {
	t.Parallel()
	_, first, choices := play(t, counter(false))
	for range 20 {
		again := &strings.Builder{}
		run(t, counter(false), choices, Counts{}, again)
		if again.String() != first {
			t.Fatalf("first\n%s\nthen\n%s", first, again)
		}
	}
}

func TestAKilledProcessMakesNoOtherCall(t *testing.T) {
	t.Parallel()
	seen := Counts{}
	killed := run(t, func(w *World) {
		w.Check, w.Fault = func() {}, func(*Call) Fault { return Kills }
		p := w.NewProcess()
		w.Start(&Task{Process: p, What: "two calls", Then: func(*Task) { w.Failf("the task ended") }}, func(ctx context.Context) (any, error) {
			first := Do(ctx, w, &Call{Process: p, System: "store", What: "first"}, func() error { return nil })
			defer func() {
				_ = Do(context.Background(), w, &Call{Process: p, System: "store", What: "second"}, func() error { return nil })
			}()
			return nil, first
		})
		w.DeliverFirst()
		if w.Busy() || len(Alive([]*Process{p})) > 0 {
			w.Failf("the process goes on")
		}
	}, []uint64{1}, seen, nil)
	if killed != "" || seen["first"] != 1 || seen["second"] != 0 {
		t.Errorf("problem %q, seen %s", killed, seen)
	}
}
