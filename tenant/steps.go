package tenant

import "time"

// StepStatus is the status of a step.
type StepStatus string

// The statuses of a step.
const (
	Running StepStatus = "running"
	Done    StepStatus = "done"
	Failed  StepStatus = "failed"
)

// StepName names a step of [Server.Ensure].
type StepName string

// The steps of [Server.Ensure], in order.
const (
	StepTemplate StepName = "template"
	StepDatabase StepName = "database"
	StepAccess   StepName = "access"
	StepSchema   StepName = "schema"
)

// StepNames and StepStatuses are the names and statuses of all steps.
var (
	StepNames    = []StepName{StepTemplate, StepDatabase, StepAccess, StepSchema}
	StepStatuses = []StepStatus{Running, Done, Failed}
)

// Step is one step of [Server.Ensure].
type Step struct {
	Name   StepName   `json:"name"`
	Status StepStatus `json:"status"`
	// Changed describes what was created or repaired; empty if there was nothing to do.
	Changed    string    `json:"changed,omitempty"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMS int64     `json:"durationMs"`
	// Problem says why it failed.
	Problem string `json:"problem,omitempty"`
}

// Progress is called with all steps so far when a step begins and when it ends. It may be nil.
type Progress func(steps []Step)

// recorder records the steps of one call, and reports them.
type recorder struct {
	steps    []Step
	progress Progress
}

// step runs f as the step of this name. f returns what it has changed.
func (r *recorder) step(name StepName, f func() (changed string, err error)) error {
	r.steps = append(r.steps, Step{Name: name, Status: Running, StartedAt: time.Now().UTC()})
	step := &r.steps[len(r.steps)-1]
	r.publish()
	changed, err := f()
	step.Status, step.Changed = Done, changed
	step.DurationMS = time.Since(step.StartedAt).Milliseconds()
	if err != nil {
		step.Status, step.Problem = Failed, err.Error()
	}
	r.publish()
	return err
}

func (r *recorder) publish() {
	if r.progress != nil {
		r.progress(append([]Step(nil), r.steps...))
	}
}
