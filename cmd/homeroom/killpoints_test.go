package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/internal/pgtest"
)

// crash is a kill point, and how a process is led there.
type crash struct {
	point  string
	spares int
	// first is where a process died before, at a sign-up that was posted to it.
	first string
	// rewritten: after that, somebody has rewritten what the school's identity says of its sign-up.
	rewritten bool
	// provoke leads the victim to the point; nil posts the school, as often as a client would. It need not wait for the end.
	provoke func(t *testing.T, w *world, victim *process, s school)
	// slow victims run at the tempo of production.
	slow bool
	// wired victims reach the tenants' server through a wire that can be cut.
	wired bool
	// between is done before the survivor starts.
	between func(t *testing.T, w *world)
	// recovery is what comes then; nil has the client repeat its sign-up until it has its school.
	recovery func(t *testing.T, w *world, survivor *process, s school)
}

// crashes are the sign-ups, spares and re-provisionings; preparations and migrations have tables of their own below.
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

	{point: "signup.refused", spares: 1, provoke: weakly},
	{point: "signup.undone", spares: 1, provoke: weakly},
	{point: "signup.refused_in_doubt", spares: 1, provoke: weaklyInDoubt},
	{point: "signup.given_back", spares: 1, provoke: unanswered},
	{point: "signup.rested", provoke: unreachable, wired: true},
	{point: "signup.needs_operator", spares: 1, first: "signup.identity_made", rewritten: true, provoke: nothing, recovery: corrected},
	{point: "signup.resumed", spares: 1, first: "signup.identity_made", rewritten: true, provoke: resolves("--finish")},
	{point: "signup.undone_by_operator", spares: 1, first: "signup.identity_made", rewritten: true, provoke: resolves("--undo")},
	{point: "signup.late_identity_removed", spares: 1, provoke: expiredMeanwhile, slow: true},
	{point: "signup.leftover_removed", spares: 1, first: "signup.reserved", provoke: leftover},
	{point: "reconcile.identity_removed", spares: 1, first: "signup.reserved", provoke: lateIdentity, recovery: forgotten},
	{point: "reconcile.closed", spares: 1, first: "signup.reserved", provoke: lateIdentity, recovery: forgotten},

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

// preparations are the points on the way to a server's first tenant, in their order.
var preparations = []string{
	"server.role_created", "server.owner_joined", "server.role_created", "server.closed", "template.created", "template.unmarked",
	"template.dropped", "migrations.before_file", "migrations.file_committed", "template.filled", "template.altered", "template.described",
}

// lanes is how many worlds work on the crashes with as many spares, one after the other in each.
var lanes = map[int]int{0: 3, 1: 2, 2: 1}

// TestKilledAtEveryStep kills the real process at every step of a sign-up, of building a spare and of a re-provisioning,
// starts another, and looks at what is left.
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

// stopWhen kills the process once the stock is full.
func (p *process) stopWhen(t *testing.T, w *world) {
	t.Helper()
	w.settled(t)
	p.kill()
}

// String tells the cases apart.
func (c crash) String() string {
	name := c.point
	if c.first != "" {
		name += " after " + c.first
	}
	return name
}

// run dies at the point, and mends.
func (c crash) run(t *testing.T, w *world, s school) {
	t.Helper()
	c.die(t, w, s)
	survivor := w.start(t)
	c.recover(t, w, survivor, s)
}

// die leads a process to the point.
func (c crash) die(t *testing.T, w *world, s school) {
	t.Helper()
	if c.provoke == nil {
		c.provoke = posts
	}
	var tempo []string
	if c.slow {
		tempo = []string{"HOMEROOM_HASTE=1"}
	}
	if c.first != "" {
		victim := w.start(t, slices.Concat(tempo, []string{"HOMEROOM_KILL_AT=" + c.first})...)
		posts(t, w, victim, s)
		victim.waitDead(t)
		if c.rewritten {
			w.rewrite(t, s, uuid.NewString())
		}
	}
	if c.spares == 2 {
		w.spares += 2 // the stock is full, and the point is on the way to more
	}
	var url string
	if c.wired {
		w.serverWire, url = newWire(t, w.serverURL)
		tempo = append(tempo, "HOMEROOM_SERVER_MAIN_URL="+url)
	}
	victim := w.start(t, slices.Concat(tempo, []string{"HOMEROOM_KILL_AT=" + c.point})...)
	c.provoke(t, w, victim, s)
	victim.waitDead(t)
	if c.slow { // and so was its lease
		w.exec(t, "update signups set check_at = least(check_at, now() + interval '3 s') where email = $1", s.Email)
	}
	if c.between != nil {
		c.between(t, w)
	}
}

// recover waits until everything is mended, and looks whether it is.
func (c crash) recover(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	if c.recovery == nil {
		c.recovery = checkRecovered
	}
	c.recovery(t, w, survivor, s)
	w.settled(t)
	w.audit(t)
	survivor.kill()
}

// checkRecovered is the client, who has its school in the end.
func checkRecovered(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	w.settled(t) // without the client
	s.mustSucceed(t, survivor.url)
}

// forgotten: the late identity goes away before the client comes back.
func forgotten(t *testing.T, w *world, survivor *process, s school) {
	t.Helper()
	eventually(t, "the end of the late identity", func() (bool, error) {
		return !slices.ContainsFunc(w.auth0.Users(), func(u auth0test.User) bool { return u.Email == s.Email }), nil
	})
	checkRecovered(t, w, survivor, s)
}

// nothing: the victim gets there by itself.
func nothing(*testing.T, *world, *process, school) {}
