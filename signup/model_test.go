package signup_test

import (
	"testing"

	"homeroom/internal/modeltest"
)

// modelRuns is the number of runs of each shape.
const modelRuns = 8_000

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
			modeltest.Check(t, modelRuns, 80+shape.extraChoices, 240+shape.extraChoices, func(w *modeltest.World) {
				newMachine(w, shape).run()
			})
		})
	}
}
