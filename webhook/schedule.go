package webhook

import (
	"math/rand/v2"
	"time"
)

// retryDelays are the delays after each failed attempt: ten attempts in a little more than three days.
var retryDelays = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// maxRetryAfter is the longest delay that a receiver can ask for with Retry-After.
const maxRetryAfter = 24 * time.Hour

// retryDelay returns the delay after a failed attempt, counted since the delivery was new or replayed; false after
// the last one. A receiver can make it longer with Retry-After, not shorter. Up to a tenth is added at random, to
// spread the retries.
func retryDelay(attempt int, retryAfter time.Duration) (time.Duration, bool) {
	if attempt > len(retryDelays) {
		return 0, false
	}
	d := max(retryDelays[max(attempt, 1)-1], min(retryAfter, maxRetryAfter))
	return d + rand.N(d/10), true
}
