package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

// TestKilledAtEveryStep kills the real process at every step of a sign-up and of building a spare, starts another, and
// looks at what is left.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	var mu sync.Mutex
	known := map[string]bool{}
	t.Run("points", func(t *testing.T) {
		for n, c := range []struct {
			point  string
			spares int
			posts  bool // whether a sign-up leads to the point; else building spares does
		}{
			{"signup.reserved", 1, true},
			{"signup.identity_made", 1, true},
			{"signup.before_finish", 1, true},
			{"signup.finished", 1, true},
			{"signup.reserved", 0, true},
			{"signup.identity_made", 0, true},
			{"signup.identity_recorded", 0, true},
			{"template.created", 0, true},
			{"template.filled", 0, true},
			{"tenant.database_created", 0, true},
			{"tenant.opened", 0, true},
			{"signup.before_finish", 0, true},
			{"signup.finished", 0, true},
			{"spare.inserted", 2, false},
			{"tenant.database_created", 2, false},
			{"tenant.opened", 2, false},
			{"spare.built", 2, false},
		} {
			t.Run(fmt.Sprintf("%s with %d spares", c.point, c.spares), func(t *testing.T) {
				t.Parallel()
				server := postgres
				if c.point == "template.created" || c.point == "template.filled" {
					server = pgtest.Private(t, nil) // one without a template yet
				}
				w := newWorld(t, server.URL(fmt.Sprintf("catalog_%d", n)), server.URL("postgres"), c.spares)
				school := newSchool(n)
				if c.posts {
					// The stock is filled by a process that lives, so that the point is reached by the sign-up.
					w.start(t).stopWhen(t, w)
				}
				victim := w.start(t, "HOMEROOM_KILL_AT="+c.point)
				if c.posts {
					if status, body, err := school.post(t.Context(), victim.url); err == nil {
						t.Fatalf("answered %d %s", status, body)
					}
				}
				victim.waitDead(t)

				survivor := w.start(t)
				w.settled(t)
				if c.posts {
					school.mustSucceed(t, survivor.url)
					w.settled(t)
				}
				w.audit(t)
				if server == postgres {
					mu.Lock()
					defer mu.Unlock()
					maps.Copy(known, w.known(t))
				}
			})
		}
	})
	auditServer(t, postgres.URL("postgres"), known)
}

// stopWhen kills the process once the stock is full.
func (p *process) stopWhen(t *testing.T, w *world) {
	t.Helper()
	w.settled(t)
	p.kill()
}

// mustSucceed repeats the sign-up as a client does, until it has its school.
func (s school) mustSucceed(t *testing.T, base string) string {
	t.Helper()
	var answer string
	eventually(t, "sign-up of "+s.Email, func() (bool, error) {
		status, body, err := s.post(t.Context(), base)
		answer = body
		if err == nil && status >= 400 && status != 409 && status != 503 {
			t.Fatalf("%d %s", status, body)
		}
		return status == 201, fmt.Errorf("%d %s %w", status, body, err)
	})
	return answer
}

// TestTheAnswerOfTheProviderIsLostAndTheProcessDies: the user exists, and nobody who lives knows.
func TestTheAnswerOfTheProviderIsLostAndTheProcessDies(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	victim := w.start(t)
	w.settled(t)
	w.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/users", Kind: auth0test.FaultHang, WorkFirst: true})
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
	w.settled(t)
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
	w.settled(t)
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

// TestKilledAtRandomUnderLoad kills the process at moments that nobody chose while schools sign up.
func TestKilledAtRandomUnderLoad(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 3)
	var mu sync.Mutex
	p := w.start(t)
	w.settled(t)
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

// pauseFor lets this many milliseconds of load pass. What happens in them is up to chance, and every outcome must be right.
func pauseFor(ctx context.Context, milliseconds int) {
	timer := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// underLoad signs 60 schools up from 8 clients while disturb runs, repeats each until it is done, and audits.
func underLoad(t *testing.T, w *world, url func() string, disturb func(ctx context.Context)) {
	t.Helper()
	const clients, each = 8, 8
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	acknowledged := map[string]string{} // e-mail → sign-up
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			for n := range each {
				school := newSchool(client*each + n)
				eventually(t, "sign-up of "+school.Email, func() (bool, error) {
					status, body, err := school.post(ctx, url())
					if status != 201 {
						return false, fmt.Errorf("%d %s %w", status, body, err)
					}
					var answer struct{ SignupID string }
					if err := json.Unmarshal([]byte(body), &answer); err != nil {
						return false, err
					}
					mu.Lock()
					acknowledged[school.Email] = answer.SignupID
					mu.Unlock()
					return true, nil
				})
			}
		})
	}
	disturb(ctx)
	group.Wait()
	w.settled(t)
	if len(acknowledged) != clients*each {
		t.Errorf("%d sign-ups were acknowledged, want %d", len(acknowledged), clients*each)
	}
	for email, id := range acknowledged {
		var status, owner string
		err := w.pool.QueryRow(t.Context(), `
			select status, users.email
			from signups
			join users on users.id = user_id
			where signups.id = $1 and users.state = 'active'`, id).Scan(&status, &owner)
		if err != nil || status != "ready" || owner != email {
			t.Errorf("acknowledged sign-up %s of %s: %s of %s, %v", id, email, status, owner, err)
		}
	}
	w.audit(t)
}

// known are the databases that the catalog knows. The row of a tenant that was to be built for a sign-up that has expired
// stands for none.
func (w *world) known(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	const begun = "state <> 'building' or not exists (select from signups where tenant_id = tenants.id and status = 'expired')"
	for _, database := range w.databases(t, begun) {
		known[database] = true
	}
	return known
}
