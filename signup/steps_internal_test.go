package signup

import "testing"

func TestTheStepsOfASignupThatIsTriedForHoursStayFew(t *testing.T) {
	t.Parallel()
	var l log
	for attempt := range 500 {
		l.begin(stepIdentity, attempt+1)
		l.end("unavailable")
	}
	if len(l) != mostSteps || l[0].Attempt != 1 || l[firstSteps].Attempt != 500-(mostSteps-firstSteps)+1 || l[mostSteps-1].Attempt != 500 {
		t.Errorf("%d steps: first %+v, last %+v", len(l), l[0], l[len(l)-1])
	}
}
