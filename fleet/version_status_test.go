package fleet_test

import (
	"maps"
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/fleet"
)

// TestVersionStatusCountsEveryTenantOnce, and finds a database that differs from the catalog.
func TestVersionStatusCountsEveryTenantOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, 6)
	all := b.fleet(t, schema(t, 3))
	if _, err := all.Run(t.Context(), fleet.Options{By: "test", Only: []string{b.ids[0].Database(), b.ids[1].Database(), b.ids[2].Database()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Run(t.Context(), fleet.Options{By: "test", Only: []string{b.ids[3].Database()}, To: new(uint(1))}); err != nil {
		t.Fatal(err)
	}
	if err := b.catalog.Quarantine(t.Context(), b.ids[4].UUID(), catalog.MigrationFailed, "it failed"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalog.Pool().Exec(t.Context(), "update tenants set lineage = 'another' where id = $1", b.ids[5].UUID()); err != nil {
		t.Fatal(err)
	}
	exec(t, b.ids[0], "update schema_migrations set dirty = true")
	exec(t, b.ids[1], "update schema_migrations set version = 2")
	s, err := all.VersionStatus(t.Context(), fleet.Options{}, nil, nil)
	if err != nil || s.To != 3 || s.At != 3 || s.Others != 1 || s.Quarantined != 1 || s.Total() != 6 || !s.Incomplete() || s.AllCurrent() ||
		!maps.Equal(s.Behind, map[uint]int{2: 1}) || !maps.Equal(s.Held, map[uint]int{1: 1}) || len(s.Ahead) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	found := map[string]string{}
	for _, u := range s.Mismatches {
		found[u.Tenant.Database] = u.Problem
	}
	if len(found) != 2 || !strings.Contains(found[b.ids[0].Database()], "the database is dirty at version 3") ||
		!strings.Contains(found[b.ids[1].Database()], "the catalog has it at version 3, and its database says 2") {
		t.Errorf("unclear: %v", found)
	}

	older, err := b.fleet(t, schema(t, 2)).VersionStatus(t.Context(), fleet.Options{Only: []string{b.ids[2].Database()}}, nil, nil)
	if err != nil || !maps.Equal(older.Ahead, map[uint]int{3: 1}) || older.Incomplete() || older.AllCurrent() || older.Total() != 1 || len(older.Mismatches) != 0 {
		t.Errorf("an older program: %+v, %v", older, err)
	}
}
