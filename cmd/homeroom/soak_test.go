//go:build soak

package main

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// The soak test covers what the other crash tests are too short for: every ordered pair of kill points, and thousands
// of sign-ups while everything fails all the time. `make soak` runs it, and prints its counts.
var (
	soakFor       = flag.Duration("for", 10*time.Minute, "how long it may take, more or less")
	soakPairs     = flag.Float64("pairs", 0.5, "the part of the time that is for pairs of kill points; all of them are run when it is 1")
	soakSagas     = flag.Int("sagas", 2000, "how many sign-ups there are at least, even when it takes longer; 0 for none")
	soakSeed      = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of everything that is drawn by lot")
	soakWorlds    = flag.Int("worlds", 6*runtime.NumCPU(), "how many worlds there are at once")
	soakOnly      = flag.String("only", "", "one pair alone, such as \"signup.reserved, then signup.finished\", as a failure names it")
	soakTimeScale = flag.Int("haste", defaultTimeScale, "how much faster than in production recovery begins")
)

// tally has the counts of a part of the soak test, in the order in which they were first counted.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	order  []string
	// failures are printed at the end, and make the test fail.
	failures []string
}

func newTally(order ...string) *tally { return &tally{counts: map[string]int{}, order: order} }

func (y *tally) add(what string, n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts[what] += n
}

// fail records a failure of a kind.
func (y *tally) fail(what, format string, args ...any) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts[what]++
	y.failures = append(y.failures, what+": "+fmt.Sprintf(format, args...))
}

// print prints the counts, those of the given order even when they are zero.
func (y *tally) print(title string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	fmt.Printf("%s\n", title)
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(y.counts)), func(what string) bool { return slices.Contains(y.order, what) })
	for _, what := range slices.Concat(y.order, rest) {
		fmt.Printf("  %-32s %d\n", what, y.counts[what])
	}
	for _, failure := range y.failures[:min(len(y.failures), 50)] {
		fmt.Printf("  FAILED %s\n", failure)
	}
}

// percentile of sorted durations.
func percentile(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return all[min(int(part*float64(len(all))), len(all)-1)].Round(10 * time.Millisecond)
}

// newRand returns a random source for each world, so that a seed gives each world the same sequence whatever the
// others do.
func newRand(world int) *rand.Rand { return rand.New(rand.NewPCG(*soakSeed, uint64(world))) }

// TestSoak runs all parts.
func TestSoak(t *testing.T) {
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stdout, "soak: seed %d, %d worlds, recovery %d times as fast as in production\n", *soakSeed, *soakWorlds, *soakTimeScale)
	begin := time.Now()
	if *soakOnly != "" {
		onlyPair(t)
		return
	}
	if *soakPairs > 0 {
		runPairs(t, begin.Add(time.Duration(*soakPairs*float64(*soakFor))))
	}
	if *soakRestores > 0 {
		restores(t)
	}
	if *soakSagas > 0 {
		sagas(t, begin.Add(*soakFor))
	}
	fmt.Printf("soak: it took %s\n", time.Since(begin).Round(time.Second))
}
