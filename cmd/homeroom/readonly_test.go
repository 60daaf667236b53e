package main

import (
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// makeCatalog creates the catalog, as a starting service does.
func makeCatalog(t *testing.T, url string) {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := jobs.Migrate(t.Context(), store.Pool()); err != nil {
		t.Fatal(err)
	}
}

// A command that only reads must not migrate production because it belongs to a newer program.
func TestReadOnlyCommandsDoNotMigrateTheCatalog(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	looks := []string{
		"tenant list", "tenant drift", "signup list", "webhook list", "migrate list", "migrate run --plan --no-progress", "doctor --shallow",
	}
	for _, look := range looks {
		if code, _, errs := w.homeroom(t, strings.Fields(look)...); code != exitCannot {
			t.Errorf("homeroom %s without a catalog: exit code %d: %s", look, code, errs)
		}
	}
	if code, _, errs := w.homeroom(t, "migrate", "--no-progress"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	latest := int(migrations.Catalog().Latest())
	for before, want := range map[int]string{latest - 1: "upgrades it", latest + 1: "use the newer program"} {
		w.exec(t, "update schema_migrations set version = $1", before)
		for _, look := range looks {
			code, _, errs := w.homeroom(t, strings.Fields(look)...)
			if code != exitOK && code != exitFailures || !strings.Contains(errs, want) {
				t.Errorf("homeroom %s, at version %d: exit code %d: %s", look, before, code, errs)
			}
		}
		if after, err := w.number(t.Context(), "select version from schema_migrations"); err != nil || after != before {
			t.Errorf("version %d became %d, %v", before, after, err)
		}
	}
}
