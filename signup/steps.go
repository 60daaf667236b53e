package signup

import (
	"encoding/json"
	"slices"
	"time"

	"homeroom/tenant"
)

// StepName names a step of a sign-up.
type StepName string

// The steps of a sign-up, in order.
const (
	stepReserve      StepName = "reserve"
	stepIdentity     StepName = "identity"
	stepVerification StepName = "verification"
	stepApproval     StepName = "approval"
	stepMembership   StepName = "enrolment"
	stepProvision    StepName = "provision"
	stepFinish       StepName = "finish"
)

// StepNames are the names of all steps.
var StepNames = []StepName{stepReserve, stepIdentity, stepVerification, stepApproval, stepMembership, stepProvision, stepFinish}

// Step is one step of a sign-up as its caller sees it.
type Step struct {
	Name   StepName          `json:"name"`
	Status tenant.StepStatus `json:"status"`
	// Attempt counts the workers that have taken over the sign-up.
	Attempt    int       `json:"attempt"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMS int64     `json:"durationMs"`
	// Problem is a code that says why it failed.
	Problem string `json:"problem,omitempty"`
}

// stepLog is the list of steps of one sign-up. It is written together with other changes, so that it needs no round
// trip of its own.
type stepLog []Step

// maxSteps is how many steps are kept. A sign-up that waits for hours for a server that does not answer is tried
// hundreds of times; its first steps and its latest attempts are enough.
const (
	maxSteps   = 40
	firstSteps = 4
)

// begin adds a running step, or a new attempt of the last step.
func (l *stepLog) begin(name StepName, attempt int) {
	if len(*l) >= maxSteps {
		*l = slices.Delete(*l, firstSteps, firstSteps+1)
	}
	*l = append(*l, Step{Name: name, Status: tenant.Running, Attempt: attempt, StartedAt: time.Now().UTC()})
}

// end closes the last step; an empty problem means it is done.
func (l *stepLog) end(problem string) {
	last := &(*l)[len(*l)-1]
	last.Status, last.Problem = tenant.Done, problem
	if problem != "" {
		last.Status = tenant.Failed
	}
	last.DurationMS = time.Since(last.StartedAt).Milliseconds()
}

// correct sets the true duration of a step that had to be written as done before it was, and lets the next step begin
// now. The next write of the list contains it.
func (l stepLog) correct(name StepName) {
	for i := range l[:len(l)-1] {
		if l[i].Name == name {
			l[i].DurationMS = time.Since(l[i].StartedAt).Milliseconds()
			l[i+1].StartedAt = time.Now().UTC()
		}
	}
}

// restart lets the last step begin now: its time is then the identity provider's alone, without the check of the spare.
func (l stepLog) restart() { l[len(l)-1].StartedAt = time.Now().UTC() }

// json returns the list as the catalog stores it.
func (l stepLog) json() json.RawMessage {
	text, err := json.Marshal([]Step(l))
	if err != nil {
		panic(err) // only strings, numbers and times
	}
	return text
}

// readLog is the inverse of json. An unreadable list, which only another program could have written, becomes an empty
// one.
func readLog(text json.RawMessage) stepLog {
	var l stepLog
	_ = json.Unmarshal(text, &l)
	if n := len(l); n > 0 && l[n-1].Status == tenant.Running {
		l.end("interrupted")
	}
	return l
}
