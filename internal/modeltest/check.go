// Package modeltest runs the code of several processes against simulated systems. It runs one goroutine at a time, decides the
// outcome of each call, and lets rapid search for a run that violates an invariant.
package modeltest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// runsWithRaceDetector is the number of runs under the race detector, which makes them many times slower, and finds little where
// one goroutine runs at a time.
const runsWithRaceDetector = 400

// Check calls play many times, each time with a new world and with other choices, whose number is between fewest and
// most. runs is a multiple of 100. The test fails when a run has a violation: rapid then looks for the fewest choices
// that cause it, and the test prints the trace of that run. Each run is in a bubble of testing/synctest, in which
// time passes only by [World.Advance].
func Check(t *testing.T, runs, fewest, most int, play func(w *World)) {
	t.Helper()
	if raceDetector {
		runs = runsWithRaceDetector
	}
	seen, firstFailed := Counts{}, 0
	defer func() {
		t.Logf("%d runs: %s", seen["runs"], seen)
		if firstFailed > 0 {
			t.Logf("run %d was the first to fail", firstFailed)
		}
	}()
	for range runs / 100 {
		rapid.Check(Quiet(t), func(rt *rapid.T) {
			choices := rapid.SliceOfN(rapid.Uint64(), fewest, most).Draw(rt, "choices")
			problem := run(t, play, choices, seen, nil)
			if problem == "" {
				return
			}
			if firstFailed == 0 {
				firstFailed = seen["runs"]
			}
			trace := &strings.Builder{}
			run(t, play, choices, Counts{}, trace)
			rt.Logf("%s", trace)
			rt.Fatalf("%s", problem)
		})
	}
}

// run calls play once, and returns the first violation.
func run(t *testing.T, play func(w *World), choices []uint64, seen Counts, trace *strings.Builder) (problem string) {
	t.Helper()
	seen["runs"]++
	synctest.Test(t, func(*testing.T) {
		w := &World{
			Seen: seen, Unavailable: map[string]bool{}, Locks: map[string]*Session{}, choices: choices, trace: trace, began: time.Now(),
		}
		play(w)
		if len(w.Problems) > 0 {
			problem = w.Problems[0]
		}
		w.end()
	})
	return problem
}

// Quiet returns a test that does not log that all is well.
func Quiet(t *testing.T) rapid.TB { return quiet{t} }

type quiet struct{ *testing.T }

// Logf implements rapid.TB.
func (q quiet) Logf(format string, args ...any) {
	if !strings.HasPrefix(format, "[rapid] OK") {
		q.T.Logf(format, args...)
	}
}

// Counts is how often something has happened in all runs. It shows whether they reach what they should.
type Counts map[string]int

// String lists them, the largest first.
func (c Counts) String() string {
	var parts []string
	for _, what := range slices.SortedFunc(maps.Keys(c), func(a, b string) int { return cmp.Or(c[b]-c[a], strings.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%s %d", what, c[what]))
	}
	return strings.Join(parts, ", ")
}
