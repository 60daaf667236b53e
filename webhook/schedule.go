package webhook

import (
	"math/rand/v2"
	"time"
)

// pauses are those after each failed attempt: ten attempts in a little more than three days.
var retryDelays = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// maxRetryAfter bounds what a receiver may ask for with Retry-After.
const maxRetryAfter = 24 * time.Hour

// pause is how long to wait after a failed attempt, of those since the delivery was new or replayed; false after the last.
// A receiver can have it longer, not shorter. Up to a tenth is added by chance, so that what failed together does not come
// back together.
func retryDelay(attempt int, params time.Duration) (time.Duration, bool) {
	if attempt > len(retryDelays) {
		return 0, false
	}
	d := max(retryDelays[max(attempt, 1)-1], min(params, maxRetryAfter))
	return d + rand.N(d/10), true
}
