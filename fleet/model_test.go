package fleet_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"homeroom/migrations"
)

// modelRuns is how many runs there are of each shape of the world. Under the race detector a few must do.
func modelRuns() int {
	if raceDetector {
		return 400
	}
	return 10_000
}

var shapes = []shape{
	{name: "two processes", processes: 2, tenants: 4},
	{name: "three processes, two programs", processes: 3, tenants: 5, newer: true},
	{name: "locks are lost", processes: 2, tenants: 5, losesLocks: true},
}

// TestModel has rapid look for a way to break a run over the fleet.
func TestModel(t *testing.T) {
	t.Parallel()
	fourth := append(slices.Clone(files), "alter table pupils add column born date;")
	sets := []*migrations.Set{schemaOf(t, files), schemaOf(t, fourth)}
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			seen := tally{}
			failed := 0
			defer func() {
				t.Logf("%d runs: %s", seen["runs"], seen)
				if failed > 0 {
					t.Logf("run %d was the first to fail", failed)
				}
			}()
			for range modelRuns() / 100 {
				rapid.Check(quiet{t}, func(rt *rapid.T) {
					drawn := rapid.SliceOfN(rapid.Uint64(), 80, 240).Draw(rt, "choices")
					problem, _ := play(t, shape, sets, drawn, seen, false)
					if problem == "" {
						return
					}
					if failed == 0 {
						failed = seen["runs"]
					}
					_, trace := play(t, shape, sets, drawn, tally{}, true)
					rt.Logf("%s", trace)
					rt.Fatalf("%s", problem)
				})
			}
		})
	}
}

// quiet leaves out that all is well.
type quiet struct{ *testing.T }

// Logf implements rapid.TB.
func (q quiet) Logf(format string, args ...any) {
	if !strings.HasPrefix(format, "[rapid] OK") {
		q.T.Logf(format, args...)
	}
}

// tally counts what has come up, to show that the runs get about.
type tally map[string]int

// String lists it, the most frequent first.
func (t tally) String() string {
	var parts []string
	for _, what := range slices.SortedFunc(maps.Keys(t), func(a, b string) int { return cmp.Or(t[b]-t[a], strings.Compare(a, b)) }) {
		parts = append(parts, fmt.Sprintf("%s %d", what, t[what]))
	}
	return strings.Join(parts, ", ")
}

// play runs a world, and tells what was wrong.
func play(t *testing.T, shape shape, sets []*migrations.Set, drawn []uint64, seen tally, traced bool) (problem, trace string) {
	var text *strings.Builder
	if traced {
		text = &strings.Builder{}
	}
	synctest.Test(t, func(*testing.T) {
		m := newMachine(shape, sets, &choices{drawn: drawn})
		m.trace, m.seen = text, seen
		seen["runs"]++
		m.play()
		if len(m.problems) > 0 {
			problem = m.problems[0]
		}
	})
	if traced {
		trace = text.String()
	}
	return problem, trace
}
