package main

import (
	"sync"
	"testing"

	"homeroom/internal/flaky"
	"homeroom/internal/pgtest"
)

// wired puts wires between the world's processes and everything they need.
func (w *world) wired(t testing.TB) map[string]*wire {
	t.Helper()
	catalog, catalogURL := newWire(t, w.catalogURL)
	server, serverURL := newWire(t, w.serverURL)
	provider, providerURL := newWire(t, w.auth0.URL())
	w.issuer = providerURL + "/"
	w.env = append(w.env, "HOMEROOM_CATALOG_URL="+catalogURL, "HOMEROOM_SERVER_MAIN_URL="+serverURL, "AUTH0_BASE_URL="+providerURL,
		"AUTH0_MANAGEMENT_AUDIENCE="+w.auth0.URL()+"/api/v2/")
	return map[string]*wire{"the catalog": catalog, "the server": server, "the provider": provider}
}

// TestFaultsBetweenUsAndTheOthers has schools sign up while the network to one of the others fails in every way, and then
// looks at what is left.
func TestFaultsBetweenUsAndTheOthers(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"the catalog", "the server", "the provider"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			postgres := pgtest.Private(t, nil)
			w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
			wire := w.wired(t)[target]
			p := w.start(t)
			w.settled(t)
			faults := map[string]func() (repair func()){}
			for name, fault := range wireFaults {
				faults[name] = func() func() { return wire.begin(t, fault) }
			}
			if target == "the provider" {
				for _, fault := range answered {
					faults[string(fault.Kind)] = func() func() { w.auth0.Inject(fault); return w.auth0.ClearFaults }
				}
			}
			for fault, begin := range faults {
				t.Run(fault, func(t *testing.T) { w.through(t, p, begin) })
			}
		})
	}
}

// answered are the faults of a provider that answers.
var answered = []flaky.Fault{
	{Kind: flaky.StatusBefore, Status: 500, Times: 3},
	{Kind: flaky.StatusAfter, Status: 503, Times: 3},
	{Kind: flaky.RateLimited, Times: 4},
	{Kind: flaky.LostAnswer, Times: 3},
	{Kind: flaky.Unauthorized, Times: 2},
}

// through signs schools up, more than there are spares, during a fault that begins between two of them and ends after a
// moment.
func (w *world) through(t *testing.T, p *process, begin func() (repair func())) {
	t.Helper()
	const clients, each = 3, 2
	crowd := newCrowd(func() string { return p.url })
	crowd.signUp(t, newSchool(0)) // so that there are connections for the fault to befall
	repair := begin()
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for n := range each {
				crowd.signUp(t, newSchool(client*each+n))
			}
		})
	}
	pauseFor(t.Context(), 700)
	repair()
	group.Wait()
	w.settled(t)
	if n := len(crowd.promised); n != clients*each+1 {
		t.Errorf("%d sign-ups were acknowledged, want %d", n, clients*each+1)
	}
	crowd.checkRestored(t, w)
	w.audit(t)
	t.Log(crowd.answers)
}
