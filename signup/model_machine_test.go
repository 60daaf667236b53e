package signup_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/modeltest"
	"homeroom/signup"
)

// shape is the configuration of a run.
type shape struct {
	name                           string
	processes, servers             int
	spares                         int
	capacity                       int  // of each server; 0 means no limit
	operators                      bool // operators reprovision tenants
	unmanaged                      bool // others create accounts at the provider, and databases
	verify, approve                bool // schools wait for their e-mail to be confirmed, for an operator
	hideAccounts                   bool // answers hide whether an e-mail has an account
	managesMemberships, noMetadata bool // the provider manages organizations, and stores no metadata
	accounts                       bool // people use accounts of their own
	invites                        bool // people are invited
	extraChoices                   int  // how many more choices its runs have
}

// waitTimeout is how long a sign-up waits for a person.
const waitTimeout = 2 * time.Minute

// machine is a world with its clients and operators.
type machine struct {
	*world
	clients        []*client
	operatorNeeded bool // something happened that only an operator can resolve
	confirmFirst   bool // at the end, people first confirm their e-mails
	faultless      bool // no more faults and no more requests by others
	// accepted are the sign-ups for which a caller was answered that they continue to their school.
	accepted          []uuid.UUID
	unmanagedAccounts int // how many unmanaged accounts were created
}

func newMachine(w *modeltest.World, shape shape) *machine {
	m := &machine{world: &world{
		World: w, shape: shape, faults: true,
		count: map[string]int{}, owners: map[uuid.UUID]uuid.UUID{}, schools: map[uuid.UUID]uuid.UUID{},
		freed: map[string]time.Time{}, approved: map[uuid.UUID]bool{}, admitted: map[uuid.UUID]bool{}, closed: map[string]bool{},
		waiting: map[uuid.UUID]time.Time{},
	}}
	w.Check, w.Fault, w.MaxDelay, w.Waits = m.check, m.fault, longestDelay, waits
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

// steps are the driver's actions, as often as they shall occur.
var steps = [28]func(m *machine){
	(*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome,
	(*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).deliverSome, (*machine).newClient,
	(*machine).newClient, (*machine).newClient, (*machine).oldClient, (*machine).oldClient, (*machine).oldClient,
	(*machine).Wait, (*machine).Wait, (*machine).reconcile, (*machine).background, (*machine).crash, (*machine).outage,
	(*machine).operate, (*machine).people, (*machine).people, (*machine).people, (*machine).people,
}

// run runs the world until the choices are used up, then ends all faults and checks the result.
func (m *machine) run() {
	for range m.shape.processes {
		m.startProcess()
	}
	m.unreliable, m.confirmFirst = m.Next(4) == 1, m.Next(2) == 1
	if m.Next(4) > 0 {
		m.faults = false
		m.refillSpares()
		m.runUntilIdle()
		m.startWaitingClients()
		m.faults = true
	}
	for m.More() && len(m.Problems) == 0 {
		steps[m.Next(len(steps))](m)
	}
	if len(m.Problems) == 0 {
		m.runToCompletion()
	}
}

func (m *machine) startProcess() {
	p := &process{Process: m.NewProcess()}
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
	var err error
	if p.service, err = signup.New(cfg); err != nil {
		panic(err)
	}
	m.Tracef("%s: started", p)
}

// anyProcess returns a running process, or nil.
func (m *machine) anyProcess() *process { return modeltest.Pick(m.World, modeltest.Alive(m.procs)) }

// start starts a task of a process. then is called when it has ended, unless it is nil.
func (m *machine) start(p *process, what string, f func(ctx context.Context) (any, error), then func(t *modeltest.Task)) {
	m.Start(&modeltest.Task{What: what, Process: p.Process, Then: then}, f)
}

// deliverSome delivers some of the pending calls, one after the other.
func (m *machine) deliverSome() { m.DeliverSome(6) }

var waits = []time.Duration{time.Second, 5 * time.Second, 300 * time.Millisecond, 16 * time.Second, 31 * time.Second}

// reconcile starts a reconciler pass of a process.
func (m *machine) reconcile() {
	if p := m.anyProcess(); p != nil {
		m.start(p, "reconciler's pass", func(ctx context.Context) (any, error) { return nil, p.service.ReconcileOnce(ctx) }, nil)
	}
}

func (m *machine) refillSpares() {
	if p := m.anyProcess(); p != nil {
		m.start(p, "filling the spares", func(ctx context.Context) (any, error) { return nil, p.service.RefillSpares(ctx) }, nil)
	}
}

// background starts the other background work of a process.
func (m *machine) background() {
	if m.Next(2) == 0 {
		m.refillSpares()
	} else {
		m.runJob()
	}
}

// runJob lets a process run a job that is due and that no process runs.
func (m *machine) runJob() {
	i := slices.IndexFunc(m.catalog.jobs, func(j job) bool {
		return len(m.Running(jobNumber(j.number))) == 0 && !j.due.After(time.Now())
	})
	p := m.anyProcess()
	if i < 0 || p == nil {
		return
	}
	j := m.catalog.jobs[i]
	m.Start(&modeltest.Task{What: fmt.Sprintf("job %d", j.number), Process: p.Process, For: jobNumber(j.number), Then: func(t *modeltest.Task) {
		if t.Err == nil || signup.NeedsOperator(t.Err) {
			m.catalog.jobs = slices.DeleteFunc(m.catalog.jobs, func(other job) bool { return other.number == j.number })
		}
	}}, func(ctx context.Context) (any, error) { return nil, p.service.RunReprovision(ctx, j.tenant, j.archive) })
}

// jobNumber is the purpose of the task that runs a job.
type jobNumber int

// crash starts a process if one is missing, or kills one.
func (m *machine) crash() {
	if len(modeltest.Alive(m.procs)) < m.shape.processes {
		m.startProcess()
		return
	}
	m.Kill(m.anyProcess().Process)
}

// outage makes a system unavailable for a while, or all of them available again.
func (m *machine) outage() {
	systems := []string{"identity", "catalog"}
	for _, s := range m.servers {
		systems = append(systems, s.name)
	}
	m.Outage(systems...)
}

// operate acts for operators and for people outside of Homeroom, if the run has them.
func (m *machine) operate() {
	switch n := m.Next(5); {
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

// reprovision makes an operator reprovision a tenant.
func (m *machine) reprovision(fresh bool) {
	p := m.anyProcess()
	if p == nil || len(m.catalog.tenants) == 0 {
		return
	}
	t := m.catalog.tenants[m.Next(len(m.catalog.tenants))]
	reservation := signup.ReprovisionRequest{Tenant: t.ID.String(), Fresh: fresh, Confirm: t.Slug, By: catalog.Actor{Name: "operator"}}
	m.start(p, "reprovision "+m.name(t.ID), func(ctx context.Context) (any, error) {
		_, _, err := p.service.Reprovision(ctx, reservation)
		return nil, err
	}, nil)
}

// createOtherAccount creates an account at the provider with a client's e-mail, or removes it.
func (m *machine) createOtherAccount() {
	if len(m.clients) == 0 {
		return
	}
	email := m.clients[m.Next(len(m.clients))].request.Email
	i := slices.IndexFunc(m.accounts, func(l simAccount) bool { return l.email == email })
	switch {
	case i < 0:
		m.Tracef("somebody creates an account with %s", email)
		m.unmanagedAccounts++
		m.accounts = append(m.accounts, simAccount{id: fmt.Sprintf("stranger|%d", m.unmanagedAccounts), email: email})
	case m.accounts[i].our == uuid.Nil && !slices.Contains(m.own, m.accounts[i].id):
		m.Tracef("somebody removes the account with %s", email)
		m.accounts = slices.Delete(m.accounts, i, i+1)
	}
}

// createUnmanagedDatabase creates a database with the name of a tenant that is about to be built.
func (m *machine) createUnmanagedDatabase() {
	for _, t := range m.catalog.tenants {
		for _, s := range m.servers {
			if s.name == t.Server && s.find(t.Database) == nil && t.State == catalog.Building && t.Name != "" {
				m.Tracef("somebody creates the database of %s", m.name(t.ID))
				s.databases = append(s.databases, database{name: t.Database, unmanaged: true})
				m.operatorNeeded = true
				return
			}
		}
	}
}
