package jobs

import (
	"time"

	"github.com/riverqueue/river/rivertype"
)

// retryPolicy tries a failed job again after 1, 2, 4, … at most 60 seconds: River's own policy grows to weeks, which is not what
// somebody who waits for a school expects.
type retryPolicy struct{}

// NextRetry implements [river.ClientRetryPolicy].
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Second<<min(len(job.Errors), 6), time.Minute))
}
