package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
)

// Outcomes of tenants that end close to one another are recorded together, since a commit for each would cost as much
// as the migration. After a crash, tenants whose outcomes were lost are processed again, and have nothing left to do.
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
	err error // of the first write that failed; there are no later ones
}

func newOutcomeRecorder(store Store, run uuid.UUID) *outcomeRecorder {
	l := &outcomeRecorder{catalog: store, run: run, in: make(chan catalog.Outcome, recordAtOnce), done: make(chan struct{})}
	go l.record()
	return l
}

// add adds an outcome, also after the worker has stopped. It fails when an earlier one could not be recorded.
func (l *outcomeRecorder) add(outcome catalog.Outcome) error {
	l.in <- outcome
	return l.failed()
}

// close records the remaining outcomes.
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
		// The outcomes are recorded even if the caller has stopped.
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

// collect returns the outcomes that come shortly after the first.
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
