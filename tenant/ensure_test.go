package tenant_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/tenant"
)

func TestEnsureMakesATenantThatItsOwnRoleCanUse(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := tenant.NewID()
	result, err := server.Ensure(t.Context(), id, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := migrations.Tenant().Latest(); result.Version != want {
		t.Errorf("version %d, want %d", result.Version, want)
	}
	own := pgtest.Connect(t, server.URL(id, 0).Reveal())
	exec(t, own, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
	if n := value[int](t, own, "select count(*) from lunch_weeks"); n != 1 {
		t.Errorf("%d weeks, want 1", n)
	}
	if path := value[string](t, own, "show search_path"); path != "public" {
		t.Errorf("search_path %q", path)
	}
	for name, statement := range map[string]string{
		"create table":             "create table mine (id int)",
		"create temporary table":   "create temporary table mine (id int)",
		"create schema":            "create schema mine",
		"drop table":               "drop table lunch_weeks",
		"alter table":              "alter table lunch_weeks add column mine int",
		"truncate":                 "truncate lunch_weeks cascade",
		"write the version":        "update schema_migrations set version = 99",
		"become the owner":         "set role homeroom_owner",
		"create extension":         "create extension pgcrypto",
		"open the database to all": "grant connect on database " + id.Database() + " to public",
	} {
		_, err := own.Exec(t.Context(), statement)
		if err == nil && name == "open the database to all" {
			// Postgres warns and grants nothing.
			continue
		}
		code := "42501" // insufficient_privilege; "must be owner" has the same code
		refused(t, name, err, code)
	}
}

func TestATenantsRoleIsRefusedEverywhereElse(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	a, b := ensure(t, server), ensure(t, server)
	for _, database := range []string{b.Database(), "postgres", "template1", server.Template()} {
		_, err := pgx.Connect(t.Context(), in(t, server.URL(a, 0), database))
		if database == server.Template() {
			refused(t, database, err, "55000") // not currently accepting connections
			continue
		}
		refused(t, database, err, "42501")
	}
	if _, err := pgx.Connect(t.Context(), server.URL(a, 1).Reveal()); err == nil {
		t.Error("another rotation's password is accepted")
	}
}

func TestEnsureChangesNothingOnAHealthyTenant(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := ensure(t, server)
	admin := pgtest.Connect(t, in(t, server.URL(id, 0), id.Database()))
	exec(t, admin, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	rows := `
		select (select xmin::text from pg_database where datname = $1) || ' ' || (select xmin::text from pg_authid where rolname = $1)`
	before := value[string](t, root, rows, id.Database())
	result, err := server.Ensure(t.Context(), id, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Changed() {
		t.Errorf("changed something: %+v", result.Steps)
	}
	if after := value[string](t, root, rows, id.Database()); after != before {
		t.Errorf("the server's rows were rewritten: %s, then %s", before, after)
	}
}

func TestEnsureRestoresWhatWasRemovedByHand(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	for name, damage := range map[string]func(t *testing.T, root, inside *pgx.Conn, id tenant.ID){
		"the database": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "drop database "+id.Database()+" with (force)")
		},
		"the role": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "revoke all on database "+id.Database()+" from "+id.Database())
			exec(t, root, "drop role "+id.Database())
		},
		"the password": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "alter role "+id.Database()+" password 'another'")
		},
		"the membership": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "revoke homeroom_tenant from "+id.Database())
		},
		"the search path": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "alter role "+id.Database()+" set search_path = pg_temp, public")
		},
		"CONNECT": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "revoke connect on database "+id.Database()+" from "+id.Database())
		},
		"the closed door": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "grant connect, temporary on database "+id.Database()+" to public")
		},
		"the owner": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "alter database "+id.Database()+" owner to postgres")
		},
		"the open door": func(t *testing.T, root, _ *pgx.Conn, id tenant.ID) {
			exec(t, root, "alter database "+id.Database()+" allow_connections false")
		},
		"the grants": func(t *testing.T, _, inside *pgx.Conn, _ tenant.ID) {
			exec(t, inside, "revoke all on all tables in schema public from homeroom_tenant")
			exec(t, inside, "revoke all on schema public from homeroom_tenant")
		},
		"the schema, which the group may change": func(t *testing.T, _, inside *pgx.Conn, _ tenant.ID) {
			exec(t, inside, "grant create on schema public to homeroom_tenant")
		},
		"one grant too many": func(t *testing.T, _, inside *pgx.Conn, _ tenant.ID) {
			exec(t, inside, "grant update on schema_migrations to homeroom_tenant")
		},
		"the version table's newest rows": func(t *testing.T, _, inside *pgx.Conn, _ tenant.ID) {
			exec(t, inside, "drop table orders cascade")
			exec(t, inside, "update schema_migrations set version = 3")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := ensure(t, server)
			root := pgtest.Connect(t, rootURL(t, "postgres"))
			inside := pgtest.Connect(t, rootURL(t, id.Database()))
			damage(t, root, inside, id)
			_ = inside.Close(t.Context())
			result, err := server.Ensure(t.Context(), id, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !result.Changed() {
				t.Error("found nothing to repair")
			}
			own := pgtest.Connect(t, server.URL(id, 0).Reveal())
			exec(t, own, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
			if _, err := own.Exec(t.Context(), "update schema_migrations set version = 1"); err == nil {
				t.Error("the tenant can write its version")
			}
			if value[bool](t, root, "select has_database_privilege('public', $1, 'connect')", id.Database()) {
				t.Error("PUBLIC may enter")
			}
			again, err := server.Ensure(t.Context(), id, 0, nil)
			if err != nil || again.Changed() {
				t.Errorf("a second repair: %v %+v", err, again.Steps)
			}
		})
	}
}

func TestEnsureLeavesAnUnmanagedDatabaseAlone(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := tenant.NewID()
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	exec(t, root, "create database "+id.Database())
	for _, limit := range []int{-1, -2} { // -2 marks a database whose DROP was interrupted
		exec(t, root, "update pg_database set datconnlimit = $2 where datname = $1", id.Database(), limit)
		if _, err := server.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrUnmanaged) {
			t.Errorf("got %v, want ErrUnmanaged", err)
		}
		if err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026)); !errors.Is(err, tenant.ErrUnmanaged) {
			t.Errorf("archive: got %v, want ErrUnmanaged", err)
		}
	}
}

func TestEnsureManyTimesAtOnceMakesOneTenant(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := tenant.NewID()
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	pgtest.Connect(t, server.URL(id, 0).Reveal())
}

func TestEnsureWorksForAProvisionerThatIsNoSuperuser(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role provisioner login createdb createrole password 'secret'")
	server := openAt(t, withUser(t, own.URL("postgres"), "provisioner", "secret"), nil)
	id := ensure(t, server)
	conn := pgtest.Connect(t, server.URL(id, 0).Reveal())
	exec(t, conn, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
	again, err := server.Ensure(t.Context(), id, 0, nil)
	if err != nil || again.Changed() {
		t.Errorf("a second time: %v %+v", err, again.Steps)
	}
}

// TestADatabaseWhoseDeletionWasInterrupted: Postgres marks it as invalid before it removes a file, and allows no
// connections.
func TestADatabaseWhoseDeletionWasInterrupted(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	id := ensure(t, server)
	exec(t, root, "update pg_database set datconnlimit = -2 where datname = $1", id.Database())
	if _, err := server.Ensure(t.Context(), id, 0, nil); !errors.Is(err, tenant.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Fatal(err)
	}
	pgtest.Connect(t, server.URL(id, 0).Reveal())
}

// TestArchiveThatMayNotEndSessionsChangesNothing: our role lacks pg_signal_backend.
func TestArchiveThatMayNotEndSessionsChangesNothing(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role provisioner login createdb createrole password 'secret'")
	server := openAt(t, withUser(t, own.URL("postgres"), "provisioner", "secret"), nil)
	id := ensure(t, server)
	pgtest.Connect(t, server.URL(id, 0).Reveal())
	err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026))
	if err == nil || !strings.Contains(err.Error(), "pg_signal_backend") {
		t.Errorf("got %v", err)
	}
	pgtest.Connect(t, server.URL(id, 0).Reveal())
	exec(t, root, "grant pg_signal_backend to provisioner")
	if err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026)); err != nil {
		t.Error(err)
	}
}

func TestArchiveKeepsTheOldDatabase(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id := ensure(t, server)
	old := pgtest.Connect(t, server.URL(id, 0).Reveal())
	exec(t, old, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
	archive := tenant.ArchiveName(id, value2026)
	for range 2 { // the second is a repetition after a crash
		if err := server.Archive(t.Context(), id, archive); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	fresh := pgtest.Connect(t, server.URL(id, 0).Reveal())
	if n := value[int](t, fresh, "select count(*) from lunch_weeks"); n != 0 {
		t.Errorf("the new database has %d weeks", n)
	}
	_, err := pgx.Connect(t.Context(), in(t, server.URL(id, 0), archive))
	refused(t, "connect to the archived database", err, "55000") // not currently accepting connections
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	exec(t, root, "alter database "+archive+" allow_connections true")
	_, err = pgx.Connect(t.Context(), in(t, server.URL(id, 0), archive))
	refused(t, "connect to the archived database after an operator has allowed connections", err, "42501")
	if n := value[int](t, pgtest.Connect(t, rootURL(t, archive)), "select count(*) from lunch_weeks"); n != 1 {
		t.Errorf("the archived database has %d weeks, want 1", n)
	}
}
