package signup

import (
	"encoding/json"
	"slices"
	"time"

	"homeroom/tenant"
)

// StepName names a step of a sign-up.
type StepName string

// The steps of a sign-up, in their order.
const (
	stepReserve      StepName = "reserve"
	stepIdentity     StepName = "identity"
	stepVerification StepName = "verification"
	stepApproval     StepName = "approval"
	stepMembership   StepName = "enrolment"
	stepProvision    StepName = "provision"
	stepFinish       StepName = "finish"
)

// StepNames are all names of steps.
var StepNames = []StepName{stepReserve, stepIdentity, stepVerification, stepApproval, stepMembership, stepProvision, stepFinish}

// Step is one step of a sign-up as its caller sees it.
type Step struct {
	Name   StepName          `json:"name"`
	Status tenant.StepStatus `json:"status"`
	// Attempt counts the workers that have taken the sign-up up.
	Attempt    int       `json:"attempt"`
	StartedAt  time.Time `json:"startedAt"`
	DurationMS int64     `json:"durationMs"`
	// Problem is a code that says why it failed.
	Problem string `json:"problem,omitempty"`
}

// stepLog is the list of steps of one sign-up. It is written along with the changes it tells of, so that it costs no round
// trip of its own.
type stepLog []Step

// maxSteps is how many steps are kept. A sign-up that waits for hours, for a server that is away, is tried hundreds of
// times; its first steps and its latest attempts tell what there is to know.
const (
	maxSteps   = 40
	firstSteps = 4
)

// begin adds a running step, or a new attempt of the last.
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

// correct gives a step that was written down as done before it was, because the row had to hold it, its true duration, and
// has the next begin only now. The next write of the list tells it.
func (l stepLog) correct(name StepName) {
	for i := range l[:len(l)-1] {
		if l[i].Name == name {
			l[i].DurationMS = time.Since(l[i].StartedAt).Milliseconds()
			l[i+1].StartedAt = time.Now().UTC()
		}
	}
}

// restart has the last step begin only now: its time is then the identity provider's alone, without the check of the spare.
func (l stepLog) restart() { l[len(l)-1].StartedAt = time.Now().UTC() }

// json is the list as the catalog keeps it.
func (l stepLog) json() json.RawMessage {
	text, err := json.Marshal([]Step(l))
	if err != nil {
		panic(err) // strings, numbers and times
	}
	return text
}

// readLog is the inverse of json. An unreadable list, which only another program could have written, is begun anew.
func readLog(text json.RawMessage) stepLog {
	var l stepLog
	_ = json.Unmarshal(text, &l)
	if n := len(l); n > 0 && l[n-1].Status == tenant.Running {
		l.end("interrupted")
	}
	return l
}
