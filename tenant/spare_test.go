package tenant_test

import (
	"errors"
	"slices"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// A spare is discarded only if it has exactly the rows of its template: none, or those that the migrations have
// written.
func TestDiscardDropsOnlyUnusedDatabases(t *testing.T) {
	t.Parallel()
	seeded := append(slices.Clone(ownSchema), [2]string{
		"insert into shop.items (name) values ('soup'), ('bread')", "delete from shop.items",
	})
	server := open(t, func(c *tenant.Config) { c.Migrations = load(t, seeded...) })
	for name, c := range map[string]struct {
		statement string
		discarded bool
	}{
		"as it was cloned": {"select 1", true},
		"a row more":       {"insert into shop.items (name) values ('salad')", false},
		"a row changed":    {"update shop.items set name = 'stew' where name = 'soup'", false},
		"a large object":   {"select lo_from_bytea(0, 'soup')", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := ensure(t, server)
			exec(t, pgtest.Connect(t, rootURL(t, id.Database())), "set role homeroom_owner; "+c.statement)
			endSessions(t, id)
			err := server.Discard(t.Context(), id)
			facts, factsErr := server.Stats(t.Context(), id)
			if factsErr != nil || facts.Exists == c.discarded || c.discarded != (err == nil) || err != nil && !errors.Is(err, tenant.ErrInUse) {
				t.Errorf("%v; there is a database: %v, %v", err, facts.Exists, factsErr)
			}
		})
	}
	marked := ensure(t, server)
	if _, err := server.MarkInUse(t.Context(), map[tenant.ID]string{marked: "a school"}); err != nil {
		t.Fatal(err)
	}
	if err := server.Discard(t.Context(), marked); !errors.Is(err, tenant.ErrInUse) {
		t.Errorf("a database that is marked as in use: %v", err)
	}
	if err := server.CheckSpare(t.Context(), marked, "another school"); !errors.Is(err, tenant.ErrInUse) {
		t.Errorf("a spare that another school has: %v", err)
	}
	if err := server.CheckSpare(t.Context(), marked, "a school"); err != nil {
		t.Errorf("a spare that this school has: %v", err)
	}
}

// Rows that even the owner may not read do not stop the creation of databases.
func TestATenantWhoseRowsTheOwnerMayNotRead(t *testing.T) {
	t.Parallel()
	ensure(t, open(t, func(c *tenant.Config) {
		c.Migrations = load(t, [2]string{"create table secrets (i int); alter table secrets enable row level security, force row level security", "drop table secrets"})
	}))
}

// endSessions ends the test's own sessions in a tenant's database.
func endSessions(t *testing.T, id tenant.ID) {
	t.Helper()
	exec(t, pgtest.Connect(t, rootURL(t, "postgres")), "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '"+id.Database()+"'")
}
