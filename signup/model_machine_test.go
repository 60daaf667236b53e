package signup_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/signup"
)

// shape is what kind of world a run is in.
type shape struct {
	name                           string
	processes, servers             int
	spares                         int
	capacity                       int  // of each server; 0 is no limit
	operators                      bool // reprovision tenants
	unmanaged                      bool // have accounts at the provider, and make databases
	verify, approve                bool // schools wait for their e-mail, for an operator
	hideAccounts                   bool // nobody is told whether an e-mail has an account
	managesMemberships, noMetadata bool // the provider makes organizations, and keeps no metadata
	accounts                       bool // people bring logins of their own
	invites                        bool // people are invited
	extraChoices                   int  // by how many choices its runs are longer
}

// patience is how long a sign-up waits for a person.
const waitTimeout = 2 * time.Minute

// machine is a world and the clients and operators who act in it.
type machine struct {
	*world
	clients []*client
	// services are those of the processes that live.
	services       map[*process]*signup.Service
	operatorNeeded bool // somebody has made what only a person can judge
	confirmFirst   bool // in the end, people first confirm what they are asked to
	faultless      bool // everything works, and nothing else happens
	// promises are the sign-ups of which somebody was told that they go on to their school.
	accepted          []uuid.UUID
	unmanagedAccounts int // how many accounts strangers have opened
}

func newMachine(shape shape, choices *choices) *machine {
	m := &machine{services: map[*process]*signup.Service{}, world: &world{
		shape: shape, choices: choices, began: time.Now(), faults: true, locks: map[string]*session{}, unavailable: map[string]bool{},
		names: map[uuid.UUID]string{}, count: map[string]int{}, owners: map[uuid.UUID]uuid.UUID{}, schools: map[uuid.UUID]uuid.UUID{},
		freed: map[string]time.Time{}, approved: map[uuid.UUID]bool{}, admitted: map[uuid.UUID]bool{}, closed: map[string]bool{},
		waiting: map[uuid.UUID]time.Time{},
	}}
	for i := range shape.servers {
		name := fmt.Sprintf("server%d", i+1)
		m.servers = append(m.servers, &serverSim{name: name})
		row := catalog.Server{Name: name, Weight: 1}
		if shape.capacity > 0 {
			row.Capacity = &shape.capacity
		}
		m.catalog.servers = append(m.catalog.servers, row)
	}
	return m
}

// steps are what the driver does next, as often as it shall come up.
var steps = [28]func(m *machine){
	(*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome,
	(*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).newClient,
	(*machine).newClient, (*machine).newClient, (*machine).oldClient, (*machine).oldClient, (*machine).oldClient,
	(*machine).wait, (*machine).wait, (*machine).reconcile, (*machine).background, (*machine).crash, (*machine).outage,
	(*machine).operate, (*machine).people, (*machine).people, (*machine).people, (*machine).people,
}

// run plays the world until the choices are used up, then has everything work, and looks at what there is in the end.
func (m *machine) run() {
	for range m.shape.processes {
		m.startProcess()
	}
	m.unreliable, m.confirmFirst = m.choices.next(4) == 1, m.choices.next(2) == 1
	if m.choices.next(4) > 0 {
		m.faults = false
		m.refillSpares()
		m.runUntilIdle()
		m.startWaitingClients()
		m.faults = true
	}
	for m.choices.left() && len(m.problems) == 0 {
		steps[m.choices.next(len(steps))](m)
	}
	if len(m.problems) == 0 {
		m.runToCompletion()
	}
	m.end()
}

// end lets nothing go on, so that every goroutine of the bubble ends.
func (m *machine) end() {
	m.trace = nil
	for p := range m.services {
		m.kill(p)
	}
	for _, t := range m.tasks {
		t.cancel()
	}
	time.Sleep(time.Hour)
}

func (m *machine) startProcess() {
	p := &process{name: fmt.Sprintf("process %d", len(m.procs)+1)}
	m.procs = append(m.procs, p)
	registry := storeSim{m.world, p}
	cfg := signup.Config{
		Catalog: registry, Servers: serversSim{m.world, p}, Identity: providerSim{m.world, p}, Queue: queueSim{registry},
		Key: key, Spares: m.shape.spares, Logger: slog.New(slog.DiscardHandler),
		VerifyFirst: m.shape.verify, HideAccounts: m.shape.hideAccounts, WaitTimeout: waitTimeout,
	}
	if m.shape.approve {
		cfg.Mode = signup.WithApproval
	}
	service, err := signup.New(cfg)
	if err != nil {
		panic(err)
	}
	m.services[p] = service
	m.tracef("%s: started", p.name)
}

// anyProcess is a process that lives, or nil.
func (m *machine) anyProcess() *process {
	var alive []*process
	for _, p := range m.procs {
		if !p.dead() {
			alive = append(alive, p)
		}
	}
	if len(alive) == 0 {
		return nil
	}
	return alive[m.choices.next(len(alive))]
}

// deliverSome decides what becomes of some of the calls that wait, one after the other.
func (m *machine) deliverSome() {
	for range 1 + m.choices.next(6) {
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

var waits = []time.Duration{time.Second, 5 * time.Second, 300 * time.Millisecond, 16 * time.Second, 31 * time.Second}

func (m *machine) wait() {
	d := waits[m.choices.next(len(waits))]
	m.tracef("%s go by", d)
	m.advance(d)
}

// reconcile has a process make a pass.
func (m *machine) reconcile() {
	if p := m.anyProcess(); p != nil {
		service := m.services[p]
		m.start(p, "reconciler's pass", func(ctx context.Context) (any, error) { return nil, service.ReconcileOnce(ctx) }, nil)
	}
}

func (m *machine) refillSpares() {
	if p := m.anyProcess(); p != nil {
		service := m.services[p]
		m.start(p, "filling the spares", func(ctx context.Context) (any, error) { return nil, service.RefillSpares(ctx) }, nil)
	}
}

// background has a process do what it does all the time besides.
func (m *machine) background() {
	if m.choices.next(2) == 0 {
		m.refillSpares()
	} else {
		m.runJob()
	}
}

// runJob has a process do a job that is due and that nobody is at.
func (m *machine) runJob() {
	i := slices.IndexFunc(m.catalog.jobs, func(j job) bool {
		busy := slices.ContainsFunc(m.tasks, func(t *task) bool { return t.job == j.number && !t.over && !t.proc.dead() })
		return !busy && !j.due.After(time.Now())
	})
	p := m.anyProcess()
	if i < 0 || p == nil {
		return
	}
	j, service := m.catalog.jobs[i], m.services[p]
	work := func(ctx context.Context) (any, error) {
		return nil, service.RunReprovision(ctx, j.tenant, j.archive)
	}
	m.world.begin(&task{what: fmt.Sprintf("job %d", j.number), proc: p, job: j.number, then: func(t *task) {
		if t.err == nil || signup.NeedsOperator(t.err) {
			m.catalog.jobs = slices.DeleteFunc(m.catalog.jobs, func(other job) bool { return other.number == j.number })
		}
	}}, work)
}

// crash starts a process where one is missing, or kills one.
func (m *machine) crash() {
	alive := 0
	for _, p := range m.procs {
		if !p.dead() {
			alive++
		}
	}
	if alive < m.shape.processes {
		m.startProcess()
		return
	}
	m.kill(m.anyProcess())
	m.collect()
}

// outage takes a system away for a while, or brings all of them back.
func (m *machine) outage() {
	if len(m.unavailable) > 0 {
		clear(m.unavailable)
		m.tracef("every system is back")
		return
	}
	systems := []string{"identity", "catalog"}
	for _, s := range m.servers {
		systems = append(systems, s.name)
	}
	system := systems[m.choices.next(len(systems))]
	m.unavailable[system] = true
	m.tracef("%s is away", system)
}

// others are operators and strangers, where there are any.
func (m *machine) operate() {
	switch n := m.choices.next(5); {
	case m.shape.unmanaged && n == 4:
		m.resolve()
	case m.shape.operators && n < 2:
		m.reprovision(n == 0)
	case m.shape.unmanaged && n == 2:
		m.createOtherAccount()
	case m.shape.unmanaged && n == 3:
		m.createUnmanagedDatabase()
	default:
		m.deliverSome()
	}
}

// reprovision has an operator reprovision a tenant.
func (m *machine) reprovision(fresh bool) {
	p := m.anyProcess()
	if p == nil || len(m.catalog.tenants) == 0 {
		return
	}
	t := m.catalog.tenants[m.choices.next(len(m.catalog.tenants))]
	reservation := signup.ReprovisionRequest{Tenant: t.ID.String(), Fresh: fresh, Confirm: t.Slug, Actor: "operator"}
	service := m.services[p]
	m.start(p, "reprovision "+m.name(t.ID), func(ctx context.Context) (any, error) {
		_, _, err := service.Reprovision(ctx, reservation)
		return nil, err
	}, nil)
}

// createOtherAccount is opened or closed at the provider, with an e-mail that a client has.
func (m *machine) createOtherAccount() {
	if len(m.clients) == 0 {
		return
	}
	email := m.clients[m.choices.next(len(m.clients))].request.Email
	i := slices.IndexFunc(m.accounts, func(l simAccount) bool { return l.email == email })
	switch {
	case i < 0:
		m.tracef("a stranger opens an account with %s", email)
		m.unmanagedAccounts++
		m.accounts = append(m.accounts, simAccount{id: fmt.Sprintf("stranger|%d", m.unmanagedAccounts), email: email})
	case m.accounts[i].our == uuid.Nil && !slices.Contains(m.own, m.accounts[i].id):
		m.tracef("a stranger closes the account with %s", email)
		m.accounts = slices.Delete(m.accounts, i, i+1)
	}
}

// createUnmanagedDatabase takes the name of one that is about to be made.
func (m *machine) createUnmanagedDatabase() {
	for _, t := range m.catalog.tenants {
		for _, s := range m.servers {
			if s.name == t.Server && s.find(t.Database) == nil && t.State == catalog.Building && t.Name != "" {
				m.tracef("a stranger makes the database of %s", m.name(t.ID))
				s.databases = append(s.databases, database{name: t.Database, unmanaged: true})
				m.operatorNeeded = true
				return
			}
		}
	}
}
