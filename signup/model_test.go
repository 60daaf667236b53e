package signup_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// modelRuns is how many runs there are of each shape of the world. Under the race detector, which makes them many times
// slower and which the order in which the driver lets goroutines go on leaves little to find, a few must do.
func modelRuns() int {
	if raceDetector {
		return 400
	}
	return 8_000
}

var shapes = []shape{
	{name: "two processes, two spares", processes: 2, servers: 1, spares: 2},
	{name: "every tenant must be built", processes: 2, servers: 1},
	{name: "three processes, two servers, little room", processes: 3, servers: 2, spares: 1, capacity: 2},
	{name: "operators and strangers", processes: 2, servers: 1, spares: 1, operators: true, unmanaged: true},
	{name: "schools wait for their e-mail", processes: 2, servers: 1, spares: 1, verify: true, extraChoices: 80},
	{name: "schools wait for approval", processes: 2, servers: 1, approve: true, extraChoices: 80},
	{name: "both, and little room", processes: 3, servers: 2, spares: 1, capacity: 2, verify: true, approve: true, extraChoices: 80},
	{name: "the provider makes organizations", processes: 2, servers: 1, spares: 1, managesMemberships: true, extraChoices: 80},
	{name: "people bring their logins", processes: 2, servers: 1, spares: 1, verify: true, managesMemberships: true, accounts: true, extraChoices: 80},
	{name: "all that, and strangers", processes: 2, servers: 1, spares: 1, verify: true, approve: true, managesMemberships: true, accounts: true, unmanaged: true, extraChoices: 80},
	{name: "the provider keeps no metadata", processes: 2, servers: 1, spares: 1, verify: true, approve: true, managesMemberships: true, noMetadata: true, extraChoices: 80},
	{name: "accounts are concealed", processes: 2, servers: 1, spares: 1, verify: true, hideAccounts: true, extraChoices: 80},
	{name: "people are invited", processes: 2, servers: 1, spares: 1, approve: true, managesMemberships: true, invites: true, extraChoices: 80},
}

// TestModel has rapid look for a way to break the saga.
func TestModel(t *testing.T) {
	t.Parallel()
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
					drawn := rapid.SliceOfN(rapid.Uint64(), 80+shape.extraChoices, 240+shape.extraChoices).Draw(rt, "choices")
					problem, _ := play(t, shape, drawn, seen, false)
					if problem == "" {
						return
					}
					if failed == 0 {
						failed = seen["runs"]
					}
					_, trace := play(t, shape, drawn, tally{}, true)
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
func play(t *testing.T, shape shape, drawn []uint64, seen tally, traced bool) (problem, trace string) {
	var text *strings.Builder
	if traced {
		text = &strings.Builder{}
	}
	synctest.Test(t, func(*testing.T) {
		m := newMachine(shape, &choices{drawn: drawn})
		m.trace, m.seen = text, seen
		seen["runs"]++
		m.run()
		if len(m.problems) > 0 {
			problem = m.problems[0]
		}
	})
	if traced {
		trace = text.String()
	}
	return problem, trace
}
