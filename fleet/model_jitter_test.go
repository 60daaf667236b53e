package fleet

import "time"

// Punctual leaves chance out of its waits, so that a run of the model is the same each time.
func (f *Fleet) DisableJitter() {
	f.jitter = func(wait time.Duration) time.Duration { return wait / 2 }
}
