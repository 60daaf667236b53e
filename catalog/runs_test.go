package catalog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// newRun returns a run over the whole fleet to version 4.
func newRun() catalog.NewRun {
	return catalog.NewRun{
		ID: uuid.Must(uuid.NewV7()), Lineage: "lunch", SchemaHash: "abc", ToVersion: 4, Direction: "up", Total: 1, StartedBy: "test",
		Canaries: 1, MaxFailures: 3, Concurrency: 8,
	}
}

func start(t *testing.T, store *catalog.Store, run catalog.NewRun) uuid.UUID {
	t.Helper()
	if err := store.StartRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	return run.ID
}

func TestOneMigrationRunAtATime(t *testing.T) {
	t.Parallel()
	store := setup(t)
	first := start(t, store, newRun())
	if err := store.StartRun(t.Context(), newRun()); !errors.Is(err, catalog.ErrRunActive) {
		t.Errorf("a second run: %v", err)
	}
	if err := store.ChangeRun(t.Context(), first, catalog.RunPaused, "ada"); err != nil {
		t.Fatal(err)
	}
	if err := store.StartRun(t.Context(), newRun()); !errors.Is(err, catalog.ErrRunActive) {
		t.Errorf("a second run beside a paused one: %v", err)
	}
	for name, change := range map[string]error{
		"pausing twice":           store.ChangeRun(t.Context(), first, catalog.RunPaused, "ada"),
		"finishing while paused":  store.FinishRun(t.Context(), first, catalog.RunDone, ""),
		"resuming an unknown run": store.ChangeRun(t.Context(), uuid.New(), catalog.RunRunning, "ada"),
	} {
		if !errors.Is(change, catalog.ErrStateChanged) {
			t.Errorf("%s: %v", name, change)
		}
	}
	if err := store.ChangeRun(t.Context(), first, catalog.RunRunning, "grace"); err != nil {
		t.Fatal(err)
	}
	if run, err := store.OpenRun(t.Context()); err != nil || run.ID != first || run.State != catalog.RunRunning || *run.ChangedBy != "grace" {
		t.Errorf("resumed: %+v, %v", run, err)
	}
	if err := store.ChangeRun(t.Context(), first, catalog.RunAborted, "ada"); err != nil {
		t.Fatal(err)
	}
	run, err := store.RunByID(t.Context(), first)
	if err != nil || run.State != catalog.RunAborted || run.FinishedAt == nil || *run.Problem != "aborted by ada" {
		t.Errorf("aborted: %+v, %v", run, err)
	}
	second := start(t, store, newRun())
	page, err := store.Runs(t.Context(), "", 1)
	if err != nil || len(page.Rows) != 1 || page.Rows[0].ID != second {
		t.Errorf("the list: %+v, %v", page, err)
	}
	if page, err = store.Runs(t.Context(), page.NextCursor, 1); err != nil || len(page.Rows) != 1 || page.Rows[0].ID != first || page.NextCursor != "" {
		t.Errorf("the next page: %+v, %v", page, err)
	}
}

// behind returns the tenants of a run to version 4.
func behind(t *testing.T, store *catalog.Store, filter catalog.BehindFilter) []catalog.Tenant {
	t.Helper()
	filter.Lineage, filter.Servers = "lunch", []string{"main"}
	if filter.Version == 0 {
		filter.Version = 4
	}
	tenants, err := store.Behind(t.Context(), filter)
	if err != nil {
		t.Fatal(err)
	}
	return tenants
}

func failure(id uuid.UUID, counts bool) catalog.Outcome {
	problem := "it broke"
	return catalog.Outcome{TenantID: id, Database: "t_x", State: "failed", FromVersion: 3, ToVersion: 3, Problem: &problem, Attempts: 1, Counts: counts}
}

func success(id uuid.UUID, to uint) catalog.Outcome {
	return catalog.Outcome{TenantID: id, Database: "t_x", State: "done", FromVersion: 3, ToVersion: to, Attempts: 1, Counts: true}
}

func record(t *testing.T, store *catalog.Store, run uuid.UUID, outcomes ...catalog.Outcome) {
	t.Helper()
	if err := store.RecordOutcomes(t.Context(), run, outcomes); err != nil {
		t.Fatal(err)
	}
}

func tenantOf(t *testing.T, store *catalog.Store, id uuid.UUID) catalog.Tenant {
	t.Helper()
	row, err := store.TenantByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestOutcomesDecideWhatBecomesOfTenants(t *testing.T) {
	t.Parallel()
	store := setup(t)
	good, bad, locked := spare(t, store), spare(t, store), spare(t, store)
	run := start(t, store, newRun())
	if n := len(behind(t, store, catalog.BehindFilter{NotIn: run})); n != 3 {
		t.Errorf("%d are behind", n)
	}
	record(t, store, run, success(good, 4), failure(bad, true), failure(locked, false))
	record(t, store, run, failure(good, true)) // of a process that considered this one dead
	if n := len(behind(t, store, catalog.BehindFilter{NotIn: run})); n != 0 {
		t.Errorf("%d are without an outcome", n)
	}
	if row := tenantOf(t, store, good); row.State != catalog.Spare || row.SchemaVersion != 4 || row.Fingerprint != nil {
		t.Errorf("the good one: %+v", row)
	}
	if row := tenantOf(t, store, bad); row.State != catalog.Quarantined || *row.QuarantineCause != "it broke" || *row.QuarantineKind != catalog.MigrationFailed {
		t.Errorf("the bad one: %+v", row)
	}
	if row := tenantOf(t, store, locked); row.State != catalog.Spare || row.SchemaVersion != 3 {
		t.Errorf("the locked one: %+v", row)
	}
	found, err := store.RunByID(t.Context(), run)
	if err != nil || found.Done != 1 || found.Failed != 2 || found.Counting != 1 || found.Rate <= 0 {
		t.Errorf("the run: %+v, %v", found, err)
	}
	groups, err := store.FailureGroups(t.Context(), run)
	if err != nil || len(groups) != 1 || groups[0].Tenants != 2 || len(groups[0].Examples) != 2 {
		t.Errorf("failures: %+v, %v", groups, err)
	}

	if err := store.FinishRun(t.Context(), run, catalog.RunDone, ""); err != nil {
		t.Fatal(err)
	}
	if n := len(behind(t, store, catalog.BehindFilter{SkipQuarantined: true})); n != 1 {
		t.Errorf("%d are behind and not quarantined", n)
	}
	record(t, store, start(t, store, newRun()), success(bad, 4))
	if row := tenantOf(t, store, bad); row.State != catalog.Spare || row.QuarantineCause != nil || row.QuarantineKind != nil {
		t.Errorf("after the cure: %+v", row)
	}
}

func TestARunLeavesATenantThatIsBeingReplacedAlone(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	if err := store.Quarantine(t.Context(), id, catalog.BeingReplaced, "a new database"); err != nil {
		t.Fatal(err)
	}
	if n := len(behind(t, store, catalog.BehindFilter{})); n != 0 {
		t.Errorf("%d are behind", n)
	}
	record(t, store, start(t, store, newRun()), success(id, 4)) // it began earlier
	if row := tenantOf(t, store, id); row.State != catalog.Quarantined || *row.QuarantineKind != catalog.BeingReplaced {
		t.Errorf("it is %+v", row)
	}
}

func TestTheOrderOfARun(t *testing.T) {
	t.Parallel()
	store := setup(t)
	sick, plain, wanted, canary := spare(t, store), spare(t, store), spare(t, store), spare(t, store)
	if err := store.Quarantine(t.Context(), sick, catalog.MigrationFailed, "it broke"); err != nil {
		t.Fatal(err)
	}
	if err := store.RequestMigration(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if err := store.SetCanary(t.Context(), canary, true); err != nil {
		t.Fatal(err)
	}
	var order []uuid.UUID
	for _, row := range behind(t, store, catalog.BehindFilter{}) {
		order = append(order, row.ID)
	}
	if len(order) != 4 || order[0] != canary || order[1] != wanted || order[2] != plain || order[3] != sick {
		t.Errorf("%v", order)
	}
	if rows := behind(t, store, catalog.BehindFilter{OnlyRequested: true}); len(rows) != 1 || rows[0].ID != wanted {
		t.Errorf("wanted: %+v", rows)
	}
	record(t, store, start(t, store, newRun()), success(wanted, 3))
	if rows := behind(t, store, catalog.BehindFilter{OnlyRequested: true}); len(rows) != 0 {
		t.Errorf("still wanted: %+v", rows)
	}
}

func TestATenantThatIsHeldWaitsForItsName(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	down := newRun()
	down.Direction, down.ToVersion, down.Hold, down.OnlyTenants = "down", 2, true, []string{id.String()}
	run := start(t, store, down)
	if rows := behind(t, store, catalog.BehindFilter{Version: 2, Down: true, Only: down.OnlyTenants}); len(rows) != 1 {
		t.Errorf("above version 2: %+v", rows)
	}
	record(t, store, run, success(id, 2))
	if row := tenantOf(t, store, id); row.SchemaVersion != 2 || row.HeldAt == nil || *row.HeldAt != 2 {
		t.Errorf("it is %+v", row)
	}
	if rows := behind(t, store, catalog.BehindFilter{}); len(rows) != 0 {
		t.Errorf("a run over the fleet has it: %+v", rows)
	}
	if rows := behind(t, store, catalog.BehindFilter{Only: down.OnlyTenants}); len(rows) != 1 {
		t.Errorf("a run that names it has %+v", rows)
	}
	if err := store.FinishRun(t.Context(), run, catalog.RunDone, ""); err != nil {
		t.Fatal(err)
	}
	up := newRun()
	up.OnlyTenants = down.OnlyTenants
	record(t, store, start(t, store, up), success(id, 4))
	if row := tenantOf(t, store, id); row.HeldAt != nil {
		t.Errorf("it is still held: %+v", row)
	}
}

func TestReferencesOfASchema(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for _, r := range []catalog.Reference{
		{Lineage: "lunch", Version: 2, Fingerprint: "a", Lines: []string{"table x"}},
		{Lineage: "lunch", Version: 1, Fingerprint: "b", Lines: []string{"table y"}},
		{Lineage: "other", Version: 2, Fingerprint: "d", Lines: []string{}},
	} {
		if err := store.SetReference(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	found, err := store.References(t.Context(), "lunch")
	if err != nil || len(found) != 2 || found[0].Fingerprint != "b" || found[1].Fingerprint != "a" || found[1].Lines[0] != "table x" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestAFingerprintIsOfTheVersionThatWasListed(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	listed := tenantOf(t, store, id)
	run := start(t, store, newRun())
	further := catalog.Health{Version: 4, Fingerprint: "further"}
	if err := store.SetFingerprint(t.Context(), listed, further); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("another version while a run is open: %v", err)
	}
	if err := store.SetFingerprint(t.Context(), listed, catalog.Health{Version: listed.SchemaVersion, Fingerprint: "same"}); err != nil {
		t.Errorf("the same version while a run is open: %v", err)
	}
	if err := store.ChangeRun(t.Context(), run, catalog.RunAborted, "ada"); err != nil {
		t.Fatal(err)
	}
	if err := store.SetFingerprint(t.Context(), listed, further); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("somebody else has recorded it since: %v", err)
	}
	if err := store.SetFingerprint(t.Context(), tenantOf(t, store, id), further); err != nil {
		t.Errorf("another version: %v", err)
	}
	if row := tenantOf(t, store, id); row.SchemaVersion != 4 || *row.Fingerprint != "further" {
		t.Errorf("it is %+v", row)
	}
}

func TestATenantIsRecheckedUnlessItsRunHasRecordedItsVersion(t *testing.T) {
	t.Parallel()
	store := setup(t)
	begun, moved, locked, other := spare(t, store), spare(t, store), spare(t, store), spare(t, store)
	chosen := newRun()
	chosen.OnlyTenants = []string{begun.String(), moved.String(), tenantOf(t, store, locked).Database}
	run := start(t, store, chosen)
	record(t, store, run, success(moved, 4), failure(locked, false))
	all := []uuid.UUID{begun, moved, locked, other}
	for _, id := range all {
		row := tenantOf(t, store, id)
		if err := store.SetFingerprint(t.Context(), row, catalog.Health{Version: row.SchemaVersion, Fingerprint: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	known := func() (known []bool) {
		if err := store.RecheckInterrupted(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range all {
			known = append(known, tenantOf(t, store, id).Fingerprint != nil)
		}
		return known
	}
	if got := known(); !slices.Equal(got, []bool{true, true, true, true}) {
		t.Errorf("while the run is open: %v", got)
	}
	if err := store.ChangeRun(t.Context(), run, catalog.RunAborted, "ada"); err != nil {
		t.Fatal(err)
	}
	if got := known(); !slices.Equal(got, []bool{false, true, false, true}) {
		t.Errorf("after it was aborted: %v", got)
	}
	row := tenantOf(t, store, begun)
	if err := store.SetFingerprint(t.Context(), row, catalog.Health{Version: row.SchemaVersion, Fingerprint: "x"}); err != nil {
		t.Fatal(err)
	}
	if got := known(); !slices.Equal(got, []bool{true, true, false, true}) {
		t.Errorf("after one was looked at: %v", got)
	}
}
