package main

import (
	"sync"
	"testing"

	"homeroom/internal/flaky"
	"homeroom/internal/pgtest"
)

// withProxies puts proxies between the world's processes and the servers that they use.
func (w *world) withProxies(t testing.TB) map[string]*proxy {
	t.Helper()
	catalog, catalogURL := newProxy(t, w.catalogURL)
	server, serverURL := newProxy(t, w.serverURL)
	provider, providerURL := newProxy(t, w.auth0.URL())
	w.issuer = providerURL + "/"
	w.env = append(w.env, "HOMEROOM_CATALOG_URL="+catalogURL, "HOMEROOM_SERVER_MAIN_URL="+serverURL, "AUTH0_BASE_URL="+providerURL,
		"AUTH0_MANAGEMENT_AUDIENCE="+w.auth0.URL()+"/api/v2/")
	return map[string]*proxy{"the catalog": catalog, "the server": server, "the provider": provider}
}

// TestNetworkFaultsDuringSignUps signs schools up while the network to one of the servers fails in every way, and
// then audits.
func TestNetworkFaultsDuringSignUps(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"the catalog", "the server", "the provider"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			postgres := pgtest.Private(t, nil)
			w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
			proxy := w.withProxies(t)[target]
			p := w.start(t)
			w.waitIdle(t)
			faults := map[string]func() (repair func()){}
			for name, fault := range networkFaults {
				faults[name] = func() func() { return proxy.begin(t, fault) }
			}
			if target == "the provider" {
				for _, fault := range answered {
					faults[string(fault.Kind)] = func() func() { w.auth0.Inject(fault); return w.auth0.ClearFaults }
				}
			}
			for fault, begin := range faults {
				t.Run(fault, func(t *testing.T) { w.signUpDuring(t, p, begin) })
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

// signUpDuring signs up more schools than there are spares, during a fault that begins between two of them and ends
// after a moment.
func (w *world) signUpDuring(t *testing.T, p *process, begin func() (repair func())) {
	t.Helper()
	const clients, each = 3, 2
	pool := newClientPool(func() string { return p.url })
	pool.signUp(t, newSchool(0)) // so that the fault meets open connections
	repair := begin()
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for n := range each {
				pool.signUp(t, newSchool(client*each+n))
			}
		})
	}
	pauseFor(t.Context(), 700)
	repair()
	group.Wait()
	w.waitIdle(t)
	if n := len(pool.promised); n != clients*each+1 {
		t.Errorf("%d sign-ups were acknowledged, want %d", n, clients*each+1)
	}
	pool.checkRestored(t, w)
	w.audit(t)
	t.Log(pool.answers)
}
