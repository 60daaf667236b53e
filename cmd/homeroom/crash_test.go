package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"homeroom/internal/devpg"
	"homeroom/internal/flaky"
	"homeroom/internal/pgtest"
)

// TestTheAnswerOfTheProviderIsLostAndTheProcessDies: the user exists, and no process knows.
func TestTheAnswerOfTheProviderIsLostAndTheProcessDies(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	victim := w.start(t)
	w.waitIdle(t)
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.Hang, WorkFirst: true})
	school := newSchool(1)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _, _ = school.post(t.Context(), victim.url)
	}()
	eventually(t, "the user", func() (bool, error) { return len(w.auth0.Users()) == 1, nil })
	victim.kill()
	<-answered
	survivor := w.start(t)
	w.waitIdle(t)
	school.mustSucceed(t, survivor.url)
	w.audit(t)
	if n := len(w.auth0.Users()); n != 1 {
		t.Errorf("%d users, want 1", n)
	}
}

// TestPostgresCrashesUnderLoad crashes the server again and again while schools sign up.
func TestPostgresCrashesUnderLoad(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 3)
	p := w.start(t)
	w.waitIdle(t)
	underLoad(t, w, func() string { return p.url }, func(ctx context.Context) {
		for range 3 {
			pauseFor(ctx, 300+rand.N(700))
			if err := postgres.Restart(context.WithoutCancel(ctx), devpg.Immediate); err != nil {
				t.Error(err)
			}
		}
	})
	auditServer(t, postgres.URL("postgres"), w.known(t))
}

// TestKilledAtRandomUnderLoad kills the process at random moments while schools sign up.
func TestKilledAtRandomUnderLoad(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 3)
	var mu sync.Mutex
	p := w.start(t)
	w.waitIdle(t)
	url := func() string {
		mu.Lock()
		defer mu.Unlock()
		return p.url
	}
	underLoad(t, w, url, func(ctx context.Context) {
		for range 6 {
			pauseFor(ctx, 50+rand.N(400))
			p.kill()
			next := w.start(t)
			mu.Lock()
			p = next
			mu.Unlock()
		}
	})
	auditServer(t, postgres.URL("postgres"), w.known(t))
}

// pauseFor lets the load run for some milliseconds. Whatever happens in them, every outcome must be right.
func pauseFor(ctx context.Context, milliseconds int) {
	timer := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// underLoad signs 60 schools up from 8 clients while disturb runs, repeats each until it is ready, and audits.
func underLoad(t *testing.T, w *world, url func() string, disturb func(ctx context.Context)) {
	t.Helper()
	const clients, each = 8, 8
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pool := newClientPool(url)
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for n := range each {
				pool.signUp(t, newSchool(client*each+n))
			}
		})
	}
	disturb(ctx)
	group.Wait()
	w.waitIdle(t)
	if n := len(pool.promised); n != clients*each {
		t.Errorf("%d sign-ups were acknowledged, want %d", n, clients*each)
	}
	pool.checkRestored(t, w)
	w.audit(t)
}

// known returns the databases in the catalog, without those that were to be built for sign-ups that have expired.
func (w *world) known(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	const begun = "state <> 'building' or not exists (select from signups where tenant_id = tenants.id and status = 'expired')"
	for _, database := range w.databases(t, begun) {
		known[database] = true
	}
	return known
}
