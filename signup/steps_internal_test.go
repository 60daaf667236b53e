package signup

import "testing"

func TestTheStepsOfASignupAreBounded(t *testing.T) {
	t.Parallel()
	var l stepLog
	for attempt := range 500 {
		l.begin(stepIdentity, attempt+1)
		l.end("unavailable")
	}
	if len(l) != maxSteps || l[0].Attempt != 1 || l[firstSteps].Attempt != 500-(maxSteps-firstSteps)+1 || l[maxSteps-1].Attempt != 500 {
		t.Errorf("%d steps: first %+v, last %+v", len(l), l[0], l[len(l)-1])
	}
}
