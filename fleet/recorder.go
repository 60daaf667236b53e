package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// The outcomes of tenants that end close to one another are recorded together: a commit of its own for each would cost as
// much as the migration. What a crash loses of them is found again: those tenants are looked at once more, and have nothing
// left to do.
const (
	recordEvery  = 20 * time.Millisecond
	recordAtOnce = 200
)

// outcomeRecorder records outcomes in the background.
type outcomeRecorder struct {
	catalog Store
	run     uuid.UUID
	in      chan catalog.Outcome
	done    chan struct{}

	mu  sync.Mutex
	err error // of the first recording that failed; the later ones are not tried
}

func newOutcomeRecorder(registry Store, run uuid.UUID) *outcomeRecorder {
	l := &outcomeRecorder{catalog: registry, run: run, in: make(chan catalog.Outcome, recordAtOnce), done: make(chan struct{})}
	go l.record()
	return l
}

// add takes an outcome, also of a worker that has stopped. It fails when an earlier one could not be recorded.
func (l *outcomeRecorder) add(outcome catalog.Outcome) error {
	l.in <- outcome
	return l.failed()
}

// close records what is left.
func (l *outcomeRecorder) close() error {
	close(l.in)
	<-l.done
	return l.failed()
}

func (l *outcomeRecorder) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *outcomeRecorder) record() {
	defer close(l.done)
	for first := range l.in {
		batch := l.collect(first)
		killpoint.Here("fleet.tenants_migrated")
		// The outcomes are known, whatever becomes of the caller, and are worth a moment.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := l.failed()
		if err == nil {
			err = l.catalog.RecordOutcomes(ctx, l.run, batch)
		}
		cancel()
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
		killpoint.Here("fleet.outcomes_recorded")
	}
}

// collect takes the outcomes that come within a moment of the first.
func (l *outcomeRecorder) collect(first catalog.Outcome) []catalog.Outcome {
	batch := []catalog.Outcome{first}
	timer := time.NewTimer(recordEvery)
	defer timer.Stop()
	for len(batch) < recordAtOnce {
		select {
		case outcome, open := <-l.in:
			if !open {
				return batch
			}
			batch = append(batch, outcome)
		case <-timer.C:
			return batch
		}
	}
	return batch
}
