package fleet_test

import (
	"context"
	"errors"
	"time"

	"homeroom/fleet"
	"homeroom/internal/modeltest"
	"homeroom/migrations"
)

// longestDeaf is how long a process may take to notice that it has lost the session of its lock.
const longestDeaf = 10 * time.Second

var errSessionLost = errors.New("the lock's session was lost")

// world is the catalog and the servers, and the processes that use them.
type world struct {
	*modeltest.World
	rows   rows
	faults bool
	// worker is the session whose lock allows work on a run; it may have ended.
	worker *worker
	// overlap: some process has worked on a run without its lock.
	overlap bool
	procs   []*process
}

// database is a tenant's, on a simulated server.
type database struct {
	version uint
	// poison is the file that fails on what is in it, up and down; 0 is none.
	poison uint
	// held is until when somebody has a lock on its tables.
	held time.Time
}

// worker is a session that holds the lock of a run, and what the work under it has been told so far.
type worker struct {
	modeltest.Session
	run      *run
	known    int  // how many outcomes the run had when the work began
	over     bool // it knows that its run is paused or over
	looks    bool // it is looking
	canaries bool // it is at the canaries
	broken   bool // a canary has failed
	counting int
	begun    map[string]bool // tenants
	cancel   context.CancelCauseFunc
}

type workerKey struct{}

// workerOf is who sends a call; nil outside a run's lock.
func workerOf(ctx context.Context) *worker {
	by, _ := ctx.Value(workerKey{}).(*worker)
	return by
}

// process is one process of the program, with its files.
type process struct {
	*modeltest.Process
	set   *migrations.Set
	fleet *fleet.Fleet
}

// automatic is who begins a run that nobody has asked for.
type automatic struct {
	known int // how many runs there were when it looked at the latest
}

// faults are the outcomes of calls, as often as they shall occur.
var faults = [40]modeltest.Fault{
	35: modeltest.Refused, modeltest.Lost, modeltest.AnswerLost, modeltest.AnswerLost, modeltest.Kills,
}

// fault chooses the outcome of a call.
func (w *world) fault(*modeltest.Call) modeltest.Fault {
	if !w.faults {
		return modeltest.Works
	}
	return faults[w.Next(len(faults))]
}
