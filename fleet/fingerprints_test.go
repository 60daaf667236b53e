package fleet_test

import (
	"context"
	"slices"
	"testing"

	"homeroom/catalog"
	"homeroom/fleet"
)

func TestFingerprintsAreTakenAfterARun(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	all := b.fleet(t, schema(t, 3))
	fingerprints := func() (list []string) {
		for _, id := range b.ids {
			row, err := b.catalog.TenantByID(t.Context(), id.UUID())
			if err != nil {
				t.Fatal(err)
			}
			if row.Fingerprint != nil {
				list = append(list, *row.Fingerprint)
			}
		}
		return slices.Compact(list)
	}
	before := fingerprints()
	if len(before) != 1 {
		t.Fatalf("clones have fingerprints %v", before)
	}
	if _, err := all.Run(t.Context(), fleet.Options{By: "test"}); err != nil {
		t.Fatal(err)
	}
	if stale := fingerprints(); len(stale) != 0 {
		t.Errorf("after the run the catalog still has %v", stale)
	}
	looked := 0
	if err := all.TakeFingerprints(t.Context(), func(n int) { looked = n }); err != nil || looked != 3 {
		t.Errorf("looked at %d, %v", looked, err)
	}
	references, err := b.catalog.References(t.Context(), schema(t, 3).Lineage())
	if err != nil || len(references) != 1 {
		t.Fatalf("references %+v, %v", references, err)
	}
	if now := fingerprints(); len(now) != 1 || now[0] != references[0].Fingerprint || now[0] == before[0] {
		t.Errorf("fingerprints %v, reference %s, before %v", now, references[0].Fingerprint, before)
	}
}

func TestDriftGroupsWhatDiffersInTheSameWay(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	all := b.fleet(t, schema(t, 2))
	for _, id := range b.ids[:2] {
		exec(t, id, "create index by_class on pupils (class)")
	}
	exec(t, b.ids[3], "drop table pupils")
	known, err := all.Drift(t.Context(), fleet.DriftOptions{Stored: true})
	if err != nil || known.Compared != 5 || known.Drifted() != 0 {
		t.Errorf("before anybody looked: %+v, %v", known, err)
	}
	for _, stored := range []bool{false, true} { // the second knows what the first has seen
		drift, err := all.Drift(t.Context(), fleet.DriftOptions{Stored: stored})
		if err != nil || drift.Compared != 5 || drift.Drifted() != 3 || len(drift.Groups) != 2 {
			t.Fatalf("stored %v: %+v, %v", stored, drift, err)
		}
		first := drift.Groups[0]
		if len(first.Tenants) != 2 || first.Version != 2 || len(first.Differences) != 1 || first.Differences[0].Name != "public.by_class" || first.Differences[0].Want != "" {
			t.Errorf("stored %v: the largest group is %+v", stored, first)
		}
		if drift.Groups[1].Tenants[0].ID != b.ids[3].UUID() {
			t.Errorf("stored %v: the other group is %+v", stored, drift.Groups[1])
		}
	}
	one, err := all.Drift(t.Context(), fleet.DriftOptions{Only: []string{b.ids[0].Database()}})
	if err != nil || one.Compared != 1 || one.Drifted() != 1 {
		t.Errorf("one: %+v, %v", one, err)
	}
}

// TestAnInterruptedRunOfChosenTenantsIsSeenAfterwards: no later run migrates a tenant that is held at a version.
func TestAnInterruptedRunOfChosenTenantsIsSeenAfterwards(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	all := b.fleet(t, schema(t, 3))
	id := b.ids[0]
	only := []string{id.Database()}
	if _, err := all.Run(t.Context(), fleet.Options{By: "ada", Only: only, To: new(uint(1))}); err != nil {
		t.Fatal(err)
	}
	recorded := func(version uint) {
		t.Helper()
		if err := all.TakeFingerprints(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		row, err := b.catalog.TenantByID(t.Context(), id.UUID())
		if err != nil || row.SchemaVersion != version || row.HeldAt == nil || row.Fingerprint == nil {
			t.Errorf("the catalog has it at version %d, held at %v, fingerprint %v, %v", row.SchemaVersion, row.HeldAt, row.Fingerprint, err)
		}
	}
	recorded(1)
	run, err := all.Start(t.Context(), fleet.Options{By: "ada", Only: only})
	if err != nil {
		t.Fatal(err)
	}
	// Its worker dies between two files.
	if _, err := open(t, schema(t, 3)).MigrateTo(t.Context(), id, 2); err != nil {
		t.Fatal(err)
	}
	recorded(1)
	if err := b.catalog.ChangeRun(t.Context(), run.ID, catalog.RunAborted, "ada"); err != nil {
		t.Fatal(err)
	}
	_, err = b.catalog.Exclusive(t.Context(), "migration run", func(context.Context) error {
		recorded(1) // a worker may not have seen yet that it was aborted
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	recorded(2)
}
