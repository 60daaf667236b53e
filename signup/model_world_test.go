package signup_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/internal/modeltest"
	"homeroom/signup"
)

// longestDelay is how long after its caller has stopped waiting, or has died, a call may still take effect. The saga must work
// with all delays that are shorter than its own limits.
const longestDelay = 20 * time.Second

// world is the three systems, and the processes that use them.
type world struct {
	*modeltest.World
	shape shape

	catalog    rows
	accounts   []simAccount
	servers    []*serverSim
	faults     bool
	unreliable bool
	procs      []*process
	names      sync.Map // from ids to names; the processes read it too
	count      map[string]int
	// owners maps every tenant that was ever ready to its sign-up, schools every such sign-up to its tenant.
	owners, schools map[uuid.UUID]uuid.UUID
	// sparesReturned counts the spares that were returned, or not counted in time, by which the stock may be exceeded.
	sparesReturned int
	// freed is when an e-mail, or an account with it, was last released.
	freed map[string]time.Time
	jobs  int

	organizations []*organization
	own           []string // accounts that people have created themselves
	// approved are the sign-ups that an operator has approved, admitted those that got a tenant, closed the accounts
	// that somebody has removed at the provider.
	approved, admitted map[uuid.UUID]bool
	closed             map[string]bool
	// waiting is since when a sign-up waits for a person.
	waiting map[uuid.UUID]time.Time
}

// process is one process of the program.
type process struct {
	*modeltest.Process
	service *signup.Service
}

// faults are the outcomes of calls, as often as they shall occur. unreliableFaults are those of the identity provider, which is
// the least reliable of the three systems, and of all systems in some runs.
var faults = [32]modeltest.Fault{
	23: modeltest.Refused, modeltest.Refused, modeltest.AnswerLost, modeltest.AnswerLost, modeltest.AnswerLost,
	modeltest.Lost, modeltest.Lost, modeltest.Delayed, modeltest.Kills,
}

var unreliableFaults = [16]modeltest.Fault{
	8: modeltest.Refused, modeltest.Refused, modeltest.AnswerLost, modeltest.AnswerLost, modeltest.Lost,
	modeltest.Delayed, modeltest.Delayed, modeltest.Kills,
}

// fault chooses the outcome of a call.
func (w *world) fault(c *modeltest.Call) modeltest.Fault {
	switch {
	case !w.faults:
		return modeltest.Works
	case w.unreliable || c.System == "identity":
		return unreliableFaults[w.Next(len(unreliableFaults))]
	}
	return faults[w.Next(len(faults))]
}

// name returns the name of a thing in this run, which does not depend on its random id.
func (w *world) name(id uuid.UUID) string {
	name, _ := w.names.Load(id)
	text, _ := name.(string)
	return text
}

// setName gives a name to a new thing.
func (w *world) setName(id uuid.UUID, kind string) {
	if w.name(id) == "" {
		w.count[kind]++
		w.names.Store(id, fmt.Sprintf("%s%d", kind, w.count[kind]))
	}
}

// describe returns what a call is about.
func (w *world) describe(id uuid.UUID, detail string) string {
	return strings.TrimSpace(w.name(id) + " " + detail)
}
