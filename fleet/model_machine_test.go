package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/modeltest"
	"homeroom/migrations"
	"homeroom/tenant"
)

// shape is what kind of world a run is in.
type shape struct {
	name               string
	processes, tenants int
	newer              bool // a program with one more file comes along
	losesLocks         bool // sessions with locks are lost, and their processes go on for a while
}

// machine is a world and the operators who act in it.
type machine struct {
	*world
	shape shape
	sets  []*migrations.Set // older files first
	newer bool              // the newer program has been seen
}

func newMachine(w *modeltest.World, shape shape, sets []*migrations.Set) *machine {
	m := &machine{shape: shape, sets: sets, world: &world{World: w, faults: true}}
	w.Check, w.Fault, w.Waits = m.check, m.fault, waits
	for i := range shape.tenants {
		id := tenant.ID(uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-%012d", i+1)))
		db := &database{version: 2 - uint(w.Next(2))}
		if w.Next(4) == 1 {
			db.poison = db.version + 1 + uint(w.Next(2))
		}
		m.rows.tenants = append(m.rows.tenants, &row{db: db, Tenant: catalog.Tenant{
			ID: id.UUID(), Server: serverNames[i%2], Database: id.Database(), State: catalog.Ready, Slug: fmt.Sprintf("school%d", i+1),
			Lineage: sets[0].Lineage(), SchemaVersion: db.version, Canary: w.Next(4) == 1,
		}})
	}
	return m
}

// steps are what the driver does next, as often as it shall come up.
var steps = [25]func(m *machine){
	(*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn,
	(*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).Wait, (*machine).Wait, (*machine).operatorRuns,
	(*machine).narrowedRun, (*machine).automaticRun, (*machine).automaticRun, (*machine).workLoop, (*machine).workLoop,
	(*machine).changesTheRun, (*machine).changesTheRun, (*machine).crash, (*machine).trouble, (*machine).trouble,
	(*machine).abortsHalfway,
}

// play lets things happen until the choices are used up, then has everything work, and looks at what there is in the end.
func (m *machine) play() {
	for range m.shape.processes {
		m.startProcess()
	}
	for m.More() && len(m.Problems) == 0 {
		steps[m.Next(len(steps))](m)
	}
	if len(m.Problems) == 0 {
		m.comeToRest()
	}
}

func (m *machine) startProcess() {
	set := m.sets[0]
	if m.shape.newer && m.Next(3) == 1 {
		set, m.newer = m.sets[1], true
	}
	m.boot(set)
}

func (m *machine) boot(set *migrations.Set) *process {
	p := &process{Process: m.NewProcess(), set: set}
	var err error
	p.fleet, err = fleet.New(fleet.Config{
		Catalog: catalogSim{m.world, p}, Servers: serversSim{m.world, p}, Concurrency: 2, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	p.fleet.DisableJitter()
	m.procs = append(m.procs, p)
	m.Tracef("%s: started with %d files", p, p.set.Latest())
	return p
}

// somebody is a process that lives, or nil.
func (m *machine) somebody() *process { return modeltest.Pick(m.World, modeltest.Alive(m.procs)) }

// goOn delivers some of the pending calls, one after the other.
func (m *machine) goOn() { m.DeliverSome(8) }

var waits = []time.Duration{
	100 * time.Millisecond, 25 * time.Millisecond, 310 * time.Millisecond, time.Second, 5 * time.Second, 16 * time.Second,
}

// runs has a process run the fleet. by is nil if an operator has asked for that.
func (m *machine) runs(p *process, by any, what string, options fleet.Options) *modeltest.Task {
	return m.Start(&modeltest.Task{What: what, Process: p.Process, For: by, Then: m.endsWell}, func(ctx context.Context) (any, error) {
		return p.fleet.Run(ctx, options)
	})
}

// operatorRuns has an operator run the whole fleet.
func (m *machine) operatorRuns() {
	p := m.somebody()
	if p == nil {
		return
	}
	options := fleet.Options{By: "ada"}
	if m.Next(2) == 1 {
		options.MaxFailures, options.Canaries = new(m.Next(3)), new(m.Next(3))
	}
	m.runs(p, nil, "ada's run", options)
}

// narrowedRun has an operator move one or two tenants, up or down.
func (m *machine) narrowedRun() {
	p := m.somebody()
	if p == nil {
		return
	}
	options := fleet.Options{By: "grace"}
	for range 1 + m.Next(2) {
		options.Only = append(options.Only, m.rows.tenants[m.Next(len(m.rows.tenants))].Slug)
	}
	if m.Next(2) == 0 {
		options.To = new(1 + uint(m.Next(3)))
	}
	m.runs(p, nil, fmt.Sprintf("grace's run of %v", options.Only), options)
}

// automaticRun has a service bring the fleet up to date.
func (m *machine) automaticRun() {
	if p := m.somebody(); p != nil {
		m.runs(p, &automatic{}, "the service's run", fleet.Options{By: "serve", Automatic: true, SkipQuarantined: m.Next(2) == 0})
	}
}

// workLoop has a process work on the run that is open, or look at schemas.
func (m *machine) workLoop() {
	p := m.somebody()
	if p == nil {
		return
	}
	if m.Next(4) == 1 {
		m.fingerprints(p)
		return
	}
	m.work(p)
}

func (m *machine) fingerprints(p *process) {
	m.Start(&modeltest.Task{What: "fingerprints", Process: p.Process}, func(ctx context.Context) (any, error) {
		return nil, p.fleet.TakeFingerprints(ctx, nil)
	})
}

func (m *machine) work(p *process) {
	m.Start(&modeltest.Task{What: "work", Process: p.Process}, func(ctx context.Context) (any, error) {
		_, err := p.fleet.Work(ctx)
		return nil, err
	})
}

// changesTheRun has an operator pause, resume or abort the open run.
func (m *machine) changesTheRun() {
	open := m.rows.open()
	if open == nil {
		m.goOn()
		return
	}
	switch n := m.Next(5); {
	case n == 4:
		m.changeRun(open, catalog.RunAborted)
	case open.State == catalog.RunRunning:
		m.changeRun(open, catalog.RunPaused)
	default:
		m.changeRun(open, catalog.RunRunning)
	}
}

// changeRun has an operator bring an open run into another state.
func (m *machine) changeRun(open *run, to catalog.RunState) {
	m.Seen[string(open.State)+" to "+string(to)]++
	_ = m.rows.change(open.ID, to, "changed by an operator", open.State)
	m.check()
	m.Tracef("an operator has run %d %s", open.number, open.State)
}

// abortsHalfway has an operator move one or two tenants, and abort whatever run is open as soon as a file has been run.
func (m *machine) abortsHalfway() {
	m.narrowedRun()
	for before := m.Seen["migrate"]; m.Seen["migrate"] == before && m.More() && len(m.Problems) == 0; {
		m.goOn()
	}
	if open := m.rows.open(); open != nil {
		m.changeRun(open, catalog.RunAborted)
	}
}

// crash starts a process where one is missing, or kills one.
func (m *machine) crash() {
	if len(modeltest.Alive(m.procs)) < m.shape.processes {
		m.startProcess()
		return
	}
	m.Kill(m.somebody().Process)
}

// trouble befalls servers, tenants and locks, and passes.
func (m *machine) trouble() {
	if m.shape.losesLocks && m.Next(2) == 0 {
		m.loseTheLock()
		return
	}
	t := m.rows.tenants[m.Next(len(m.rows.tenants))]
	switch m.Next(7) {
	case 0, 1:
		m.Outage(serverNames[0], serverNames[1], "catalog")
	case 2:
		t.db.held = time.Now().Add(time.Duration(1+m.Next(20)) * time.Second)
		m.Tracef("somebody holds a lock in %s", t.Slug)
	case 3:
		t.db.poison = t.db.version + uint(m.Next(2))
		m.Tracef("file %d will fail in %s", t.db.poison, t.Slug)
	case 4, 5:
		t.db.poison = 0
		m.Tracef("%s is cured", t.Slug)
	case 6:
		if t.State == catalog.Quarantined && m.Next(4) == 0 {
			kind := catalog.BeingReplaced
			t.QuarantineKind = &kind
			m.Tracef("%s is being replaced", t.Slug)
		}
	}
}

// loseTheLock cuts the session of whoever works on a run, who notices later.
func (m *machine) loseTheLock() {
	s := m.worker
	if s == nil || s.run == nil || m.Locks[runLock] != &s.Session || s.Closed() {
		return
	}
	m.Seen["lost locks"]++
	m.Tracef("the session that works on run %d is lost", s.run.number)
	s.run.overlapped, m.overlap = true, true
	m.At(time.Now().Add(longestDeaf), func() { s.cancel(errSessionLost) })
	delete(m.Locks, runLock)
}

// runLock is held by whoever works on a run.
const runLock = "migration run"
