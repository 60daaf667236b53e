//go:build soak

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/internal/pgtest"
)

// pair is two deaths: at the point of a crash, and at another one while that is being mended.
type pair struct {
	first  crash
	second string
}

// pairs runs ordered pairs of kill points until the time is up, in an order drawn by lot, or all of them.
func pairs(t *testing.T, until time.Time) {
	begin := time.Now()
	queues, total := sagaPairs()
	fleets := fleetPairs()
	total += len(fleets)
	y := newTally("pairs run", "second point reached", "pairs failed")
	take := func(queue *[]pair) (pair, bool) {
		y.mu.Lock()
		defer y.mu.Unlock()
		if len(*queue) == 0 || *soakPairs < 1 && time.Now().After(until) {
			return pair{}, false
		}
		p := (*queue)[0]
		*queue = (*queue)[1:]
		return p, true
	}
	t.Run("pairs", func(t *testing.T) {
		for world := range max(*soakWorlds, 4) {
			// Most pairs are of sign-ups and re-provisionings without a spare.
			spares := []int{0, 1, 0, -1, 0, 1, 0, 2}[world%8]
			t.Run(fmt.Sprint(world), func(t *testing.T) {
				t.Parallel()
				if spares < 0 {
					soakFleet(t, y, func() (pair, bool) { return take(&fleets) })
					return
				}
				for order := range []int{0, 1, 2} { // then it helps the others
					soakLane(t, y, (spares+order)%3, func(spares int) (pair, bool) { return take(queues[spares]) })
				}
			})
		}
	})
	title := fmt.Sprintf("pairs of kill points: %d, of %d there are, in %s", y.counts["pairs run"], total, time.Since(begin).Round(time.Second))
	y.tell(title)
}

// sagaPairs are the pairs of the crashes with each number of spares. The second may be wherever their mending may lead.
func sagaPairs() (queues map[int]*[]pair, total int) {
	points := map[string]bool{}
	for _, c := range crashes {
		points[c.point] = true
	}
	queues = map[int]*[]pair{0: {}, 1: {}, 2: {}}
	for _, c := range crashes {
		for _, second := range slices.Sorted(maps.Keys(points)) {
			*queues[c.spares] = append(*queues[c.spares], pair{c, second})
			total++
		}
	}
	for spares, queue := range queues {
		lot(1000+spares).Shuffle(len(*queue), func(i, j int) { (*queue)[i], (*queue)[j] = (*queue)[j], (*queue)[i] })
	}
	return queues, total
}

// fleetPairs are the pairs of the points of a fleet's migration.
func fleetPairs() (queue []pair) {
	for _, c := range fleetCrashes {
		for _, second := range fleetCrashes {
			queue = append(queue, pair{crash{point: c.point}, second.point})
		}
	}
	lot(2000).Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	return queue
}

// soakLane works on the pairs with as many spares in a world of its own.
func soakLane(t *testing.T, y *tally, spares int, take func(spares int) (pair, bool)) {
	n := 0
	for {
		p, ok := take(spares)
		if !ok {
			return
		}
		var w *world
		t.Run("world", func(t *testing.T) {
			postgres := pgtest.Private(t, nil)
			w = newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), spares)
			w.haste = *soakHaste
			w.start(t).stopWhen(t, w)
			// A world that has seen a failure is not used again, and one grows with every pair.
			for range 40 {
				y.add("pairs run", 1)
				n++
				if !t.Run(p.first.String()+" then "+p.second, func(t *testing.T) { p.run(t, w, y, newSchool(n)) }) {
					y.fail("pairs failed", "%s then %s", p.first, p.second)
					return
				}
				if p, ok = take(spares); !ok {
					break
				}
			}
			auditServer(t, postgres.URL("postgres"), w.known(t))
			if ok {
				y.add("pairs run", 1)
				t.Run(p.first.String()+" then "+p.second, func(t *testing.T) { p.run(t, w, y, newSchool(n)) })
			}
		})
	}
}

// run dies twice.
func (p pair) run(t *testing.T, w *world, y *tally, s school) {
	p.first.die(t, w, s)
	second := w.start(t, "HOMEROOM_KILL_AT="+p.second)
	if p.first.mend == nil && second.url != "" {
		var client sync.WaitGroup
		client.Go(func() { comesBackUntilDead(t, second, s) })
		defer client.Wait()
		client.Wait()
	}
	if w.dies(t, second) {
		y.add("second point reached", 1)
		second = w.start(t)
	}
	p.first.recover(t, w, second, s)
}

// comesBackUntilDead is a client that repeats its sign-up until it has its school, or nobody is there.
func comesBackUntilDead(t *testing.T, p *process, s school) {
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

// dies tells whether the process dies before everything is settled.
func (w *world) dies(t *testing.T, p *process) (dead bool) {
	eventually(t, "death, or everything settled", func() (bool, error) {
		select {
		case <-p.done:
			dead = true
			return true, nil
		default:
		}
		n, err := w.underWay(t.Context())
		return err == nil && n == 0, errors.Join(err, fmt.Errorf("%d things are under way", n))
	})
	return dead
}

// soakFleet works on the pairs of a fleet's migration in a world of its own.
func soakFleet(t *testing.T, y *tally, take func() (pair, bool)) {
	for more := true; more; {
		t.Run("world", func(t *testing.T) {
			postgres := pgtest.Private(t, nil)
			w := newFleetWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 12)
			w.haste = *soakHaste
			for range 40 {
				var p pair
				if p, more = take(); !more {
					break
				}
				y.add("pairs run", 1)
				if !t.Run(p.first.point+" then "+p.second, func(t *testing.T) { w.diesTwice(t, y, p) }) {
					y.fail("pairs failed", "%s then %s", p.first.point, p.second)
					return
				}
			}
			w.sound(t)
		})
	}
}

func (w *fleetWorld) diesTwice(t *testing.T, y *tally, p pair) {
	c := fleetCrashes[slices.IndexFunc(fleetCrashes, func(c fleetCrash) bool { return c.point == p.first.point })]
	w.grow(t, c.alone)
	if c.prepare != nil {
		c.prepare(t, w)
	}
	w.diesAt(t, c)
	name, _, _ := strings.Cut(p.second, ":")
	second := w.start(t, "HOMEROOM_KILL_AT="+name)
	dead := false
	eventually(t, "death, or the end of the run", func() (bool, error) {
		select {
		case <-second.done:
			dead = true
			return true, nil
		default:
		}
		return w.done(t)
	})
	if dead {
		y.add("second point reached", 1)
		second = w.start(t)
	}
	w.migrated(t)
	second.kill()
}
