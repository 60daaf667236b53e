package main

import (
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

// A caller that names an ineligible tenant gets an error, as from the API.
func TestMigrateRefusesIneligibleTenants(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	database := makeTenants(t, w.catalogURL, w.serverURL, "../../migrations/tenant", 1)[0].Database()
	for set, want := range map[string]string{
		"state = 'deleted'": "is deleted: a run cannot migrate it",
		"state = 'quarantined', resume_state = 'ready', quarantine_kind = 'replaced', quarantine_cause = 'x'": "is being replaced",
		"state = 'ready', lineage = 'another'": "comes from other migrations",
	} {
		w.exec(t, "update tenants set state = 'ready', name = 'Lincoln High', slug = 'lincoln-high', resume_state = null, quarantine_kind = null, quarantine_cause = null")
		w.exec(t, "update tenants set "+set)
		for _, plan := range [][]string{{"--plan"}, nil} {
			args := append([]string{"migrate", "run", "--no-progress", "--tenant", database}, plan...)
			if code, out, errs := w.homeroom(t, args...); code != exitCannot || !strings.Contains(errs, want) {
				t.Errorf("%s, %v: exit code %d: %s%s", set, plan, code, out, errs)
			}
		}
	}
	if code, _, errs := w.homeroom(t, "migrate", "--tenant", "nobodys", "--to", "99"); code != exitCannot ||
		!strings.Contains(errs, `there is no tenant "nobodys"`) || !strings.Contains(errs, "--to 99") {
		t.Errorf("not all errors are reported at once: exit code %d: %s", code, errs)
	}
}
