package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
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

func newMachine(shape shape, sets []*migrations.Set, choices *choices) *machine {
	m := &machine{shape: shape, sets: sets, world: &world{
		choices: choices, began: time.Now(), faults: true, locks: map[string]*session{}, away: map[string]bool{},
	}}
	for i := range shape.tenants {
		id := tenant.ID(uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-%012d", i+1)))
		db := &database{version: 2 - uint(choices.next(2))}
		if choices.next(4) == 1 {
			db.poison = db.version + 1 + uint(choices.next(2))
		}
		m.rows.tenants = append(m.rows.tenants, &row{db: db, Tenant: catalog.Tenant{
			ID: id.UUID(), Server: serverNames[i%2], Database: id.Database(), State: catalog.Ready, Slug: fmt.Sprintf("school%d", i+1),
			Lineage: sets[0].Lineage(), SchemaVersion: db.version, Canary: choices.next(4) == 1,
		}})
	}
	return m
}

// steps are what the driver does next, as often as it shall come up.
var steps = [25]func(m *machine){
	(*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn,
	(*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).goOn, (*machine).wait, (*machine).wait, (*machine).operatorRuns,
	(*machine).narrowedRun, (*machine).automaticRun, (*machine).automaticRun, (*machine).workLoop, (*machine).workLoop,
	(*machine).changesTheRun, (*machine).changesTheRun, (*machine).crash, (*machine).trouble, (*machine).trouble,
	(*machine).abortsHalfway,
}

// play lets things happen until the choices are used up, then has everything work, and looks at what there is in the end.
func (m *machine) play() {
	for range m.shape.processes {
		m.startProcess()
	}
	for m.choices.left() && len(m.problems) == 0 {
		steps[m.choices.next(len(steps))](m)
	}
	if len(m.problems) == 0 {
		m.comeToRest()
	}
	m.trace = nil // lets nothing go on, so that every goroutine of the bubble ends
	for _, p := range m.procs {
		m.kill(p)
	}
	time.Sleep(time.Hour)
}

func (m *machine) startProcess() {
	p := &process{number: len(m.procs) + 1, set: m.sets[0]}
	if m.shape.newer && m.choices.next(3) == 1 {
		p.set, m.newer = m.sets[1], true
	}
	m.boot(p)
}

func (m *machine) boot(p *process) {
	var err error
	p.fleet, err = fleet.New(fleet.Config{
		Catalog: catalogSim{m.world, p}, Servers: serversSim{m.world, p}, Concurrency: 2, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	p.fleet.DisableJitter()
	m.procs = append(m.procs, p)
	m.tell("process %d: started with %d files", p.number, p.set.Latest())
}

func (m *machine) alive() (alive []*process) {
	for _, p := range m.procs {
		if !p.dead() {
			alive = append(alive, p)
		}
	}
	return alive
}

// somebody is a process that lives, or nil.
func (m *machine) somebody() *process {
	alive := m.alive()
	if len(alive) == 0 {
		return nil
	}
	return alive[m.choices.next(len(alive))]
}

// deliverSome decides what becomes of some of the calls that wait, one after the other.
func (m *machine) goOn() {
	for range 1 + m.choices.next(8) {
		calls := m.ready()
		if len(calls) == 0 {
			m.wait()
			return
		}
		i := 0
		if len(calls) > 1 {
			i = m.choices.next(len(calls))
		}
		m.deliver(calls[i])
	}
}

var waits = []time.Duration{
	100 * time.Millisecond, 25 * time.Millisecond, 310 * time.Millisecond, time.Second, 5 * time.Second, 16 * time.Second,
}

func (m *machine) wait() {
	d := waits[m.choices.next(len(waits))]
	m.tell("%s go by", d)
	m.pass(d)
}

func (m *machine) runs(p *process, automatic bool, what string, options fleet.Options) *task {
	return m.start(&task{what: what, proc: p, automatic: automatic}, func(ctx context.Context) (fleet.Report, error) {
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
	if m.choices.next(2) == 1 {
		options.MaxFailures, options.Canaries = new(m.choices.next(3)), new(m.choices.next(3))
	}
	m.runs(p, false, "ada's run", options)
}

// narrowedRun has an operator move one or two tenants, up or down.
func (m *machine) narrowedRun() {
	p := m.somebody()
	if p == nil {
		return
	}
	options := fleet.Options{By: "grace"}
	for range 1 + m.choices.next(2) {
		options.Only = append(options.Only, m.rows.tenants[m.choices.next(len(m.rows.tenants))].Slug)
	}
	if m.choices.next(2) == 0 {
		options.To = new(1 + uint(m.choices.next(3)))
	}
	m.runs(p, false, fmt.Sprintf("grace's run of %v", options.Only), options)
}

// automaticRun has a service bring the fleet up to date.
func (m *machine) automaticRun() {
	if p := m.somebody(); p != nil {
		m.runs(p, true, "the service's run", fleet.Options{By: "serve", Automatic: true, SkipQuarantined: m.choices.next(2) == 0})
	}
}

// workLoop has a process work on the run that is open, or look at schemas.
func (m *machine) workLoop() {
	p := m.somebody()
	if p == nil {
		return
	}
	if m.choices.next(4) == 1 {
		m.fingerprints(p)
		return
	}
	m.work(p)
}

func (m *machine) fingerprints(p *process) {
	m.start(&task{what: "fingerprints", proc: p}, func(ctx context.Context) (fleet.Report, error) {
		return fleet.Report{}, p.fleet.TakeFingerprints(ctx, nil)
	})
}

func (m *machine) work(p *process) {
	m.start(&task{what: "work", proc: p}, func(ctx context.Context) (fleet.Report, error) {
		_, err := p.fleet.Work(ctx)
		return fleet.Report{}, err
	})
}

// changesTheRun has an operator pause, resume or abort the open run.
func (m *machine) changesTheRun() {
	open := m.rows.open()
	if open == nil {
		m.goOn()
		return
	}
	switch n := m.choices.next(5); {
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
	m.seen[string(open.State)+" to "+string(to)]++
	_ = m.rows.change(open.ID, to, "changed by an operator", open.State)
	m.check()
	m.tell("an operator has run %d %s", open.number, open.State)
}

// abortsHalfway has an operator move one or two tenants, and abort whatever run is open as soon as a file has been run.
func (m *machine) abortsHalfway() {
	m.narrowedRun()
	for before := m.seen["migrate"]; m.seen["migrate"] == before && m.choices.left() && len(m.problems) == 0; {
		m.goOn()
	}
	if open := m.rows.open(); open != nil {
		m.changeRun(open, catalog.RunAborted)
	}
}

// crash starts a process where one is missing, or kills one.
func (m *machine) crash() {
	if len(m.alive()) < m.shape.processes {
		m.startProcess()
		return
	}
	m.kill(m.somebody())
}

// trouble befalls servers, tenants and locks, and passes.
func (m *machine) trouble() {
	if m.shape.losesLocks && m.choices.next(2) == 0 {
		m.loseTheLock()
		return
	}
	t := m.rows.tenants[m.choices.next(len(m.rows.tenants))]
	switch m.choices.next(7) {
	case 0, 1:
		m.outage()
	case 2:
		t.db.held = time.Now().Add(time.Duration(1+m.choices.next(20)) * time.Second)
		m.tell("somebody holds a lock in %s", t.Slug)
	case 3:
		t.db.poison = t.db.version + uint(m.choices.next(2))
		m.tell("file %d will fail in %s", t.db.poison, t.Slug)
	case 4, 5:
		t.db.poison = 0
		m.tell("%s is cured", t.Slug)
	case 6:
		if t.State == catalog.Quarantined && m.choices.next(4) == 0 {
			kind := catalog.BeingReplaced
			t.QuarantineKind = &kind
			m.tell("%s is being replaced", t.Slug)
		}
	}
}

// outage takes a system away, or brings all of them back.
func (m *machine) outage() {
	if len(m.away) > 0 {
		clear(m.away)
		m.tell("every system is back")
		return
	}
	system := []string{serverNames[0], serverNames[1], "catalog"}[m.choices.next(3)]
	m.away[system] = true
	m.tell("%s is away", system)
}

// loseTheLock cuts the session of whoever works on a run, who notices later.
func (m *machine) loseTheLock() {
	s := m.locks["migration run"]
	if !m.shape.losesLocks || s == nil || s.stopped() || s.run == nil || slices.Contains(m.lost, s) {
		return
	}
	m.seen["lost locks"]++
	m.tell("the session that works on run %d is lost", s.run.number)
	s.isLost, s.run.overlapped, s.deafTo = true, true, time.Now().Add(longestDeaf)
	m.overlap = true
	m.lost = append(m.lost, s)
	delete(m.locks, "migration run")
}
