package catalog_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// TestEveryNamedObjectIsExpected compares the objects in the migrations' texts with those that the migrations have
// created.
func TestEveryNamedObjectIsExpected(t *testing.T) {
	t.Parallel()
	store := setup(t)
	rows, err := store.Pool().Query(t.Context(), `
		select relname::text from pg_class
		where relkind = 'i' and relnamespace = 'public'::regnamespace
			and not exists (select from pg_constraint where conindid = pg_class.oid)
		union all
		select tgname::text from pg_trigger where not tgisinternal
		union all
		select conname::text from pg_constraint
		where connamespace = 'public'::regnamespace and contype <> 'n' and conname !~ '_(pkey|fkey|key|check)$'`)
	if err != nil {
		t.Fatal(err)
	}
	exists, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	expected := catalog.ExpectedObjects()
	for _, name := range exists {
		if _, ok := expected[name]; !ok {
			t.Errorf("%s is there and not expected: the pattern does not match how its migration makes it", name)
		}
	}
	if missing := survey(t, store).Self.Missing; len(missing) > 0 {
		t.Errorf("missing in a new catalog: %+v", missing)
	}
}

func TestTheSurveyLooksAtTheCatalogItself(t *testing.T) {
	t.Parallel()
	store := setup(t)
	sql := func(statement string) {
		t.Helper()
		if _, err := store.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	self := survey(t, store).Self
	if len(self.Servers) != 1 || !self.Servers[0].Open || self.Servers[0].ClosedBecause != nil || len(self.Paused)+len(self.ReadableBy) > 0 {
		t.Errorf("a new catalog: %+v", self)
	}
	sql("drop index signups_by_user; drop trigger tell_of_run on migration_runs; alter table tenants drop constraint a_name_comes_with_a_slug")
	sql("grant select on users to public")
	sql("update servers set closed_because = 'full', closed_at = now() - interval '2 days'")
	sql(`insert into migration_runs (id, to_version, direction, state, lineage, total, concurrency, started_by, started_at)
		values ('0199c1b0-0000-7000-8000-000000000000', 1, 'up', 'paused', 'x', 1, 1, 'test', now() - interval '2 days')`)
	self = survey(t, store).Self
	var names []string
	for _, object := range self.Missing {
		names = append(names, object.Name)
		if object.SQL != "" {
			sql(object.SQL)
		}
	}
	if !slices.Equal(names, []string{"a_name_comes_with_a_slug", "signups_by_user", "tell_of_run"}) {
		t.Errorf("missing are %v", names)
	}
	if !slices.Equal(self.ReadableBy, []string{"PUBLIC"}) || *self.Servers[0].ClosedBecause != "full" || self.Servers[0].Open ||
		len(self.Paused) != 1 || self.Paused[0].ChangedBy != "test" {
		t.Errorf("%+v", self)
	}
	if missing := survey(t, store).Self.Missing; len(missing) != 1 || missing[0].Kind != "constraint" {
		t.Errorf("their statements have not made the index and the trigger again: %+v", missing)
	}
}
