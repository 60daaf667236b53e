package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/internal/pgtest"
)

// crash is a kill point, and the way to bring a process there.
type crash struct {
	point  string
	spares int
	// first is a kill point at which an earlier process died, during the same sign-up.
	first string
	// rewritten changes the metadata of the school's identity after that.
	rewritten bool
	// provoke makes the victim reach the point. If it is nil, the test posts the school, as often as a client would.
	// It need not wait for the end.
	provoke func(t *testing.T, w *world, victim *process, s school)
	// slow victims run with the intervals of production.
	slow bool
	// proxied victims reach the tenants' server through a proxy that can be cut.
	proxied bool
	// between runs before the survivor starts.
	between func(t *testing.T, w *world)
	// recovery runs after that. If it is nil, the client repeats its sign-up until it has its school.
	recovery func(t *testing.T, w *world, survivor *process, s school)
}

// crashes are those of sign-ups, spares and re-provisionings. Preparations and migrations have tables of their own
// below.
var crashes = []crash{
	{point: "signup.reserved", spares: 1},
	{point: "signup.identity_wanted", spares: 1},
	{point: "signup.identity_made", spares: 1},
	{point: "signup.before_finish", spares: 1},
	{point: "signup.finished", spares: 1},
	{point: "signup.reserved"},
	{point: "signup.identity_made"},
	{point: "signup.identity_recorded"},
	{point: "tenant.database_wanted"},
	{point: "tenant.database_created"},
	{point: "tenant.opened"},
	{point: "signup.before_finish"},
	{point: "signup.finished"},

	{point: "signup.taken_over", spares: 1, first: "signup.reserved", provoke: endLease, slow: true},
	{point: "signup.identity_made", first: "signup.reserved", provoke: endLease, slow: true},
	{point: "reconcile.taken_over", spares: 1, first: "signup.identity_made", provoke: nothing},
	{point: "reconcile.expired", spares: 1, first: "signup.reserved", provoke: nothing},
	{point: "reconcile.identity_recorded", first: "signup.identity_made", provoke: nothing},
	{point: "signup.finished", first: "signup.identity_recorded", provoke: nothing},

	{point: "signup.refused", spares: 1, provoke: weakPassword},
	{point: "signup.undone", spares: 1, provoke: weakPassword},
	{point: "signup.refused_in_doubt", spares: 1, provoke: weakPasswordAfterUnknownOutcome},
	{point: "signup.given_back", spares: 1, provoke: unanswered},
	{point: "signup.rested", provoke: unreachable, proxied: true},
	{point: "signup.needs_operator", spares: 1, first: "signup.identity_made", rewritten: true, provoke: nothing, recovery: corrected},
	{point: "signup.resumed", spares: 1, first: "signup.identity_made", rewritten: true, provoke: resolves("--finish")},
	{point: "signup.undone_by_operator", spares: 1, first: "signup.identity_made", rewritten: true, provoke: resolves("--undo")},
	{point: "signup.late_identity_removed", spares: 1, provoke: expiredMeanwhile, slow: true},
	{point: "signup.leftover_removed", spares: 1, first: "signup.reserved", provoke: leftover},
	{point: "reconcile.identity_removed", spares: 1, first: "signup.reserved", provoke: lateIdentity, recovery: lateIdentityDeleted},
	{point: "reconcile.closed", spares: 1, first: "signup.reserved", provoke: lateIdentity, recovery: lateIdentityDeleted},

	{point: "spare.inserted", spares: 2, provoke: nothing, recovery: nothing},
	{point: "tenant.database_wanted", spares: 2, provoke: nothing, recovery: nothing},
	{point: "tenant.database_created", spares: 2, provoke: nothing, recovery: nothing},
	{point: "tenant.opened", spares: 2, provoke: nothing, recovery: nothing},
	{point: "spare.built", spares: 2, provoke: nothing, recovery: nothing},
	{point: "spare.marked", spares: 2, provoke: nothing, recovery: nothing},
	{point: "tenant.discard_closed", spares: 2, provoke: unclaimable, recovery: nothing},
	{point: "tenant.discard_unmarked", spares: 2, provoke: unclaimable, recovery: nothing},
	{point: "tenant.discard_dropped", spares: 2, provoke: unclaimable, recovery: nothing},
	{point: "spare.discarded", spares: 2, provoke: unclaimable, recovery: nothing},
	{point: "signup.tenant_replaced", spares: 1, provoke: withoutDatabase},
	{point: "signup.tenants_marked", spares: 1, provoke: succeeds},

	{point: "reprovision.accepted", provoke: reprovision(plain, nil)},
	{point: "reprovision.begun", provoke: reprovision(plain, nil)},
	{point: "reprovision.ensured", provoke: reprovision(plain, nil)},
	{point: "reprovision.healthy", provoke: reprovision(plain, nil)},
	{point: "reprovision.quarantined", provoke: reprovision(plain, makeUnmanaged), between: ours},
	{point: "tenant.migrated", provoke: reprovision(plain, nil)},
	{point: "tenant.granted", provoke: reprovision(plain, ungranted)},
	{point: "tenant.restored", provoke: reprovision(plain, unlimited)},
	{point: "tenant.owner_restored", provoke: reprovision(plain, taken)},
	{point: "tenant.invalid_dropped", provoke: reprovision(plain, invalidUnmarked)},
	{point: "tenant.opened", provoke: reprovision(plain, dropped)},
	{point: "rotate.recorded", provoke: rotate, recovery: rotationCompletes},
	{point: "tenant.rotated", provoke: rotate},
	{point: "reprovision.accepted", provoke: reprovision(fresh, nil)},
	{point: "reprovision.begun", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_closed", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_emptied", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_renamed", provoke: reprovision(fresh, nil)},
	{point: "tenant.set_aside_dropped", provoke: reprovision(fresh, invalid)},
	{point: "reprovision.set_aside", provoke: reprovision(fresh, nil)},
	{point: "tenant.database_created", provoke: reprovision(fresh, nil)},
	{point: "tenant.opened", provoke: reprovision(fresh, nil)},
	{point: "reprovision.ensured", provoke: reprovision(fresh, nil)},
	{point: "reprovision.healthy", provoke: reprovision(fresh, nil)},
}

// preparations are the points on the way to a server's first tenant, in order.
var preparations = []string{
	"server.role_created", "server.owner_joined", "server.role_created", "server.closed", "template.created", "template.unmarked",
	"template.dropped", "migrations.before_file", "migrations.file_committed", "template.filled", "template.altered", "template.described",
}

// lanes is how many worlds work on the crashes with the same number of spares, each on one after the other.
var lanes = map[int]int{0: 3, 1: 2, 2: 1}

// TestKilledAtEveryStep kills the real process at every step of a sign-up, of building a spare and of a
// re-provisioning, starts another, and audits the result.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for spares, n := range lanes {
		for lane := range n {
			t.Run(fmt.Sprintf("with %d spares, lane %d", spares, lane), func(t *testing.T) {
				t.Parallel()
				postgres := pgtest.Private(t, nil)
				w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), spares)
				w.start(t).stopWhen(t, w)
				number := 0
				for i, c := range crashes {
					if c.spares != spares {
						continue
					}
					if number++; number%n == lane {
						t.Run(c.String(), func(t *testing.T) { c.run(t, w, newSchool(i)) })
					}
				}
				auditServer(t, postgres.URL("postgres"), w.known(t))
			})
		}
	}
}

// stopWhen kills the process once all spares exist.
func (p *process) stopWhen(t *testing.T, w *world) {
	t.Helper()
	w.waitIdle(t)
	p.kill()
}

// String names the case.
func (c crash) String() string {
	name := c.point
	if c.first != "" {
		name += " after " + c.first
	}
	return name
}

// run kills a process at the point, and lets another one recover.
func (c crash) run(t *testing.T, w *world, s school) {
	t.Helper()
	c.die(t, w, s)
	survivor := w.start(t)
	c.recover(t, w, survivor, s)
}

// die brings a process to the point.
func (c crash) die(t *testing.T, w *world, s school) {
	t.Helper()
	if c.provoke == nil {
		c.provoke = posts
	}
	var env []string
	if c.slow {
		env = []string{"HOMEROOM_HASTE=1"}
	}
	if c.first != "" {
		victim := w.start(t, slices.Concat(env, []string{"HOMEROOM_KILL_AT=" + c.first})...)
		posts(t, w, victim, s)
		victim.waitDead(t)
		if c.rewritten {
			w.rewrite(t, s, uuid.NewString())
		}
	}
	if c.spares == 2 {
		w.spares += 2 // all spares exist, and the point is reached while more are built
	}
	var url string
	if c.proxied {
		w.serverProxy, url = newProxy(t, w.serverURL)
		env = append(env, "HOMEROOM_SERVER_MAIN_URL="+url)
	}
	victim := w.start(t, slices.Concat(env, []string{"HOMEROOM_KILL_AT=" + c.point})...)
	c.provoke(t, w, victim, s)
	victim.waitDead(t)
	if c.slow { // its lease was long, too
		w.exec(t, "update signups set check_at = least(check_at, now() + interval '3 s') where email = $1", s.Email)
	}
	if c.between != nil {
		c.between(t, w)
	}
}

// recover waits until everything is repaired, and audits.
func (c crash) recover(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	if c.recovery == nil {
		c.recovery = checkRecovered
	}
	c.recovery(t, w, survivor, s)
	w.waitIdle(t)
	w.audit(t)
	survivor.kill()
}

// checkRecovered repeats the sign-up as a client, which gets its school in the end.
func checkRecovered(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	w.waitIdle(t) // without the client
	s.mustSucceed(t, survivor.url)
}

// lateIdentityDeleted waits until the late identity is deleted, before the client comes back.
func lateIdentityDeleted(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	eventually(t, "the end of the late identity", func() (bool, error) {
		return !slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	checkRecovered(t, w, survivor, s)
}

// nothing: the victim reaches the point by itself.
func nothing(*testing.T, *world, *process, school) {}
