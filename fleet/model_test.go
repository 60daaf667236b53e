package fleet_test

import (
	"slices"
	"testing"

	"homeroom/internal/modeltest"
	"homeroom/migrations"
)

// modelRuns is how many runs there are of each shape of the world.
const modelRuns = 10_000

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
			modeltest.Check(t, modelRuns, 80, 240, func(w *modeltest.World) { newMachine(w, shape, sets).play() })
		})
	}
}
