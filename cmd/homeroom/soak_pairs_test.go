//go:build soak

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/internal/pgtest"
)

// A pair is two deaths: at the point of a crash, and at another point during the recovery. For each crash, one trace
// lists the points that its recovery reaches; each of them is then where the second process dies. The other ordered
// pairs are the same as the first death alone, since the recovery does not reach the second point.
type pairs struct {
	*tally
	until time.Time

	mu    sync.Mutex      // guards the fields below
	sagas map[int][]crash // by their spares
	fleet []fleetCrash
	// recoveryTimes are the times from the last death until no work was left.
	recoveryTimes []time.Duration
}

// perWorld is how many deaths a world has at most, since it grows with each.
const perWorld = 40

// runPairs runs pairs until the time is over, in a random order, or all of them.
func runPairs(t *testing.T, until time.Time) {
	begin := time.Now()
	p := &pairs{
		tally: newTally("first points", "pairs", "second deaths", "failures"), until: until, sagas: map[int][]crash{},
		fleet: slices.Clone(fleetCrashes),
	}
	for _, c := range crashes {
		p.sagas[c.spares] = append(p.sagas[c.spares], c)
	}
	total := len(crashes) + len(fleetCrashes)
	for spares := range 3 {
		queue := p.sagas[spares]
		newRand(1000+spares).Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	}
	newRand(2000).Shuffle(total-len(crashes), func(i, j int) { p.fleet[i], p.fleet[j] = p.fleet[j], p.fleet[i] })
	t.Run("pairs", func(t *testing.T) {
		for world := range *soakWorlds {
			t.Run(fmt.Sprint(world), func(t *testing.T) {
				t.Parallel()
				// Each worker begins with a share of its own, and then helps the others.
				for share := range 4 {
					if share = (world + share) % 4; share == 3 {
						p.fleets(t)
					} else {
						p.lane(t, share)
					}
				}
			})
		}
	})
	slices.Sort(p.recoveryTimes)
	p.print(fmt.Sprintf("pairs of kill points, %d first ones, in %s", total, time.Since(begin).Round(time.Second)))
	fmt.Printf("  %-32s p50 %s, p99 %s, longest %s\n", "from the last death to health", percentile(p.recoveryTimes, 0.5),
		percentile(p.recoveryTimes, 0.99), percentile(p.recoveryTimes, 1))
	if len(p.failures) > 0 {
		t.Fail()
	}
}

// onlyPair runs one pair alone.
func onlyPair(t *testing.T) {
	p := &pairs{tally: newTally("pairs", "second deaths")}
	first, second, _ := strings.Cut(*soakOnly, ", then ")
	postgres := pgtest.Private(t, nil)
	if i := slices.IndexFunc(fleetCrashes, func(c fleetCrash) bool { return c.point == first }); i >= 0 {
		w := newFleetWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 12)
		p.twiceOnFleet(t, w, fleetCrashes[i], second)
		w.checkTenants(t)
	} else {
		i := slices.IndexFunc(crashes, func(c crash) bool { return c.String() == first })
		if i < 0 {
			t.Fatalf("there is no crash %q", first)
		}
		w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), crashes[i].spares)
		w.start(t).stopWhen(t, w)
		p.twice(t, w, crashes[i], second, newSchool(0))
	}
	p.print(*soakOnly)
}

// over reports whether the time is up.
func (p *pairs) over() bool { return *soakPairs < 1 && time.Now().After(p.until) }

// take takes the next crash with so many spares.
func (p *pairs) take(spares int) (crash, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := p.sagas[spares]
	if len(queue) == 0 || p.over() {
		return crash{}, false
	}
	p.sagas[spares] = queue[1:]
	return queue[0], true
}

// takeFleet takes the next crash of a fleet's migration.
func (p *pairs) takeFleet() (fleetCrash, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fleet) == 0 || p.over() {
		return fleetCrash{}, false
	}
	first := p.fleet[0]
	p.fleet = p.fleet[1:]
	return first, true
}

// lane works on the crashes with this number of spares, in worlds of its own.
func (p *pairs) lane(t *testing.T, spares int) {
	n := 0
	for c, more := p.take(spares); more; {
		t.Run("world", func(t *testing.T) {
			postgres := pgtest.Private(t, nil)
			w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), spares)
			w.timeScale = *soakTimeScale
			w.start(t).stopWhen(t, w)
			sound := true
			for deaths := 0; sound && more && deaths < perWorld; c, more = p.take(spares) {
				var points []string
				sound = p.try(t, c.String(), func(t *testing.T) { n++; points = p.traced(t, w, c, newSchool(n)) })
				for _, second := range points {
					if !sound || p.over() {
						break
					}
					deaths++
					sound = p.try(t, c.String()+", then "+second, func(t *testing.T) { n++; p.twice(t, w, c, second, newSchool(n)) })
				}
				p.add("first points", 1)
			}
			if sound {
				auditServer(t, postgres.URL("postgres"), w.known(t))
			}
		})
	}
}

// try runs a subtest, and records its failure. A world with a failure is not used again.
func (p *pairs) try(t *testing.T, name string, f func(t *testing.T)) bool {
	ok := t.Run(name, f)
	if !ok {
		p.fail("failures", "%s", name)
	}
	return ok
}

// traced dies once, and returns the points that the recovery reaches.
func (p *pairs) traced(t *testing.T, w *world, c crash, s school) []string {
	c.die(t, w, s)
	file := filepath.Join(t.TempDir(), "trace")
	survivor := w.start(t, "HOMEROOM_KILL_TRACE="+file)
	if c.recovery == nil {
		recoverUntilCrash(t, survivor, s)
	}
	c.recover(t, w, survivor, s)
	return points(t, file)
}

// points reads a trace.
func points(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all := strings.Fields(string(text))
	slices.Sort(all)
	return slices.Compact(all)
}

// twice dies at the crash's point and, during the recovery, at the second.
func (p *pairs) twice(t *testing.T, w *world, c crash, point string, s school) {
	p.add("pairs", 1)
	c.die(t, w, s)
	second := w.start(t, "HOMEROOM_KILL_AT="+point)
	if c.recovery == nil && second.url != "" {
		recoverUntilCrash(t, second, s)
	}
	if c.point == "signup.needs_operator" { // the recovery waits for the operator
		w.exec(t, "update signups set status = 'pending', check_at = now(), problem = null where id = $1", w.stopped(t, s))
		c.recovery = checkRecovered
	}
	if w.crashes(t, second) {
		p.add("second deaths", 1)
	} else {
		second.kill() // before it reaches the point by a later event
	}
	begin := time.Now()
	survivor := w.start(t)
	if c.recovery == nil {
		w.waitIdle(t) // without the client
		p.mu.Lock()
		p.recoveryTimes = append(p.recoveryTimes, time.Since(begin))
		p.mu.Unlock()
	}
	c.recover(t, w, survivor, s)
}

// recoverUntilCrash is a client that repeats its sign-up until it has its school, or the process is dead.
func recoverUntilCrash(t *testing.T, p *process, s school) {
	eventually(t, "an end for the client", func() (bool, error) {
		select {
		case <-p.done:
			return true, nil
		default:
		}
		status, body, err := s.post(t.Context(), p.url)
		return status == 201, fmt.Errorf("%d %s %w", status, body, err)
	})
}

// crashes reports whether the process dies before no work is left.
func (w *world) crashes(t *testing.T, p *process) bool {
	return crashesBefore(t, p, func() (bool, error) {
		n, err := w.underWay(t.Context())
		return err == nil && n == 0, errors.Join(err, fmt.Errorf("%d things are under way", n))
	})
}

// crashesBefore reports whether the process dies before that is so.
func crashesBefore(t *testing.T, p *process, healthy func() (bool, error)) (dead bool) {
	eventually(t, "death, or health", func() (bool, error) {
		select {
		case <-p.done:
			dead = true
			return true, nil
		default:
		}
		return healthy()
	})
	return dead
}

// fleets works on the crashes of a fleet's migration, in worlds of its own.
func (p *pairs) fleets(t *testing.T) {
	for c, more := p.takeFleet(); more; {
		t.Run("world", func(t *testing.T) {
			postgres := pgtest.Private(t, nil)
			w := newFleetWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 12)
			w.timeScale = *soakTimeScale
			sound := true
			for deaths := 0; sound && more && deaths < perWorld; c, more = p.takeFleet() {
				var seconds []string
				sound = p.try(t, c.point, func(t *testing.T) { seconds = w.traced(t, c) })
				for _, second := range seconds {
					if !sound || p.over() {
						break
					}
					deaths++
					p.add("pairs", 1)
					sound = p.try(t, c.point+", then "+second, func(t *testing.T) { p.twiceOnFleet(t, w, c, second) })
				}
				p.add("first points", 1)
			}
			if sound {
				w.checkTenants(t)
			}
		})
	}
}

// crashOnce adds a version, and dies while it is applied.
func (w *fleetWorld) crashOnce(t *testing.T, c fleetCrash) {
	w.grow(t, c.alone)
	if c.prepare != nil {
		c.prepare(t, w)
	}
	w.crashAt(t, c)
}

func (w *fleetWorld) traced(t *testing.T, c fleetCrash) []string {
	w.crashOnce(t, c)
	file := filepath.Join(t.TempDir(), "trace")
	survivor := w.start(t, "HOMEROOM_KILL_TRACE="+file)
	w.migrated(t)
	survivor.kill()
	return points(t, file)
}

func (p *pairs) twiceOnFleet(t *testing.T, w *fleetWorld, c fleetCrash, point string) {
	w.crashOnce(t, c)
	second := w.start(t, "HOMEROOM_KILL_AT="+point)
	if crashesBefore(t, second, func() (bool, error) { return w.done(t) }) {
		p.add("second deaths", 1)
		second = w.start(t)
	}
	w.migrated(t)
	second.kill()
}
