package jobs

import (
	"time"

	"github.com/riverqueue/river/rivertype"
)

// retryPolicy repeats a failed job after 1, 2, 4, … at most 60 seconds: the delays of River's own policy grow to weeks, too
// long for people who wait for a school.
type retryPolicy struct{}

// NextRetry implements [river.ClientRetryPolicy].
func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Second<<min(len(job.Errors), 6), time.Minute))
}
