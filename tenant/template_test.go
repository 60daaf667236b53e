package tenant_test

import (
	"slices"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))

	t.Run("one that a dead process left incomplete is built again", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		exec(t, root, "create database "+server.Template()) // no mark, no schema
		ensure(t, server)
		if !value[bool](t, root, "select datistemplate and not datallowconn from pg_database where datname = $1", server.Template()) {
			t.Error("the template is not marked, or accepts connections")
		}
	})
	t.Run("one that somebody else drops is built again", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		ensure(t, server)
		exec(t, root, "alter database "+server.Template()+" is_template false")
		exec(t, root, "drop database "+server.Template())
		id := ensure(t, server)
		pgtest.Connect(t, server.URL(id, 0).Reveal())
	})
	t.Run("one whose DROP was interrupted is dropped and built again", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		ensure(t, server)
		exec(t, root, "update pg_database set datconnlimit = -2, datistemplate = false where datname = $1", server.Template())
		ensure(t, openAt(t, own.URL("postgres"), nil)) // found at the start
		exec(t, root, "update pg_database set datconnlimit = -2, datistemplate = false where datname = $1", server.Template())
		ensure(t, server) // found during the work
	})
	t.Run("one that was changed by hand is built again, and ends the session that did it", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		ensure(t, server)
		exec(t, root, "alter database "+server.Template()+" allow_connections true")
		inside := pgtest.Connect(t, own.URL(server.Template()))
		exec(t, inside, "create table stray (i int)")
		exec(t, root, "alter database "+server.Template()+" allow_connections false")
		survey, err := server.Survey(t.Context())
		if err != nil || survey.Templates[0].Complete || survey.Templates[0].Connections != 1 {
			t.Errorf("survey: %+v, %v", survey.Templates, err)
		}
		clone := pgtest.Connect(t, own.URL(ensure(t, server).Database()))
		if value[bool](t, clone, "select to_regclass('stray') is not null") {
			t.Error("a new tenant has the stray table")
		}
		if inside.Ping(t.Context()) == nil {
			t.Error("the session in the template continues")
		}
	})
	t.Run("one that sorts text by former rules is built again", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		ensure(t, server)
		exec(t, root, "update pg_database set datcollversion = '153.14' where datname = $1", server.Template())
		survey, err := server.Survey(t.Context())
		if err != nil || !survey.Templates[0].CollationChanged {
			t.Errorf("survey: %+v, %v", survey.Templates, err)
		}
		ensure(t, server)
	})
	t.Run("an outdated one whose DROP was interrupted is dropped", func(t *testing.T) {
		server := openAt(t, own.URL("postgres"), nil)
		older := openAt(t, own.URL("postgres"), func(c *tenant.Config) { c.Migrations = load(t, ownSchema[:1]...) })
		ensure(t, older)
		exec(t, root, "update pg_database set datconnlimit = -2, datistemplate = false where datname = $1", older.Template())
		if err := server.DropTemplate(t.Context(), older.Template()); err != nil {
			t.Error(err)
		}
	})
}

// TestATemplateWithASessionThatWeMayNotEnd: an administrator has a session in it.
func TestATemplateWithASessionThatWeMayNotEnd(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	exec(t, root, "create role provisioner login createdb createrole password 'secret'; grant pg_signal_backend to provisioner")
	server := openAt(t, withUser(t, own.URL("postgres"), "provisioner", "secret"), nil)
	id := ensure(t, server)
	exec(t, root, "alter database "+server.Template()+" allow_connections true")
	inside := pgtest.Connect(t, own.URL(server.Template())+"&application_name=console")
	if _, err := server.Ensure(t.Context(), tenant.NewID(), 0, nil); err == nil || !strings.Contains(err.Error(), "role postgres with console") {
		t.Errorf("a new tenant: got %v, want the role of the session", err)
	}
	if err := inside.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ensure(t, server)
	if err := pgtest.Connect(t, own.URL(id.Database())).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := server.Archive(t.Context(), id, tenant.ArchiveName(id, value2026))
	if err == nil || !strings.Contains(err.Error(), "only a superuser can end") || strings.Contains(err.Error(), "grant pg_signal_backend") {
		t.Errorf("archive: got %v, want the role of the session", err)
	}
}

// TestAServerWhoseTimeoutsAreShort: our connections set their own timeouts, or a slow template could never be built.
func TestAServerWhoseTimeoutsAreShort(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, map[string]string{
		"idle_session_timeout": "1ms", "statement_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms", "lock_timeout": "1ms",
		"quote_all_identifiers": "on",
	})
	server := openAt(t, own.URL("postgres"), nil)
	id := ensure(t, server)
	again, err := server.Ensure(t.Context(), id, 0, nil)
	if err != nil || again.Changed() {
		t.Errorf("a second time: %v %+v", err, again.Steps)
	}
}

// TestParametersOfTheServersURL: parameters about pools, statements and roles do not apply to tenants.
func TestParametersOfTheServersURL(t *testing.T) {
	t.Parallel()
	address := pgtest.Server(t).URL("postgres")
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	server := openAt(t, address+separator+"pool_max_conns=7&statement_cache_capacity=10&application_name=x&search_path=pg_temp&user=postgres&connect_timeout=9", nil)
	id := ensure(t, server)
	if found, err := server.Inspect(t.Context(), id, 0); err != nil || !found.CanLogin {
		t.Errorf("the tenant's role cannot connect: %+v, %v", found.CanLogin, err)
	}
	own := pgtest.Connect(t, server.URL(id, 0).Reveal())
	if user := value[string](t, own, "select current_user"); user != id.Database() {
		t.Errorf("entered as %s", user)
	}
	if !strings.Contains(server.URL(id, 0).Reveal(), "connect_timeout=9") {
		t.Error("the connection parameters are lost")
	}
}

// TestTenantsHaveTheSettingsOfTheTemplate checks that tenants have the settings of a migration, and no others. A clone
// does not copy them.
func TestTenantsHaveTheSettingsOfTheTemplate(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	root := pgtest.Connect(t, own.URL("postgres"))
	server := openAt(t, own.URL("postgres"), nil)
	before := ensure(t, server)
	settings := func(database string) []string {
		return value[[]string](t, root, `
			select coalesce((select setconfig from pg_db_role_setting where setrole = 0 and setdatabase = pg_database.oid), '{}')
			from pg_database where datname = $1`, database)
	}
	exec(t, root, "alter database "+server.Template()+" set search_path = public, 'a \"strange\" name'")
	exec(t, root, "alter database "+server.Template()+" set work_mem = '8MB'")
	exec(t, root, "alter database "+before.Database()+" set default_transaction_read_only = on")
	want := settings(server.Template())
	for _, id := range []tenant.ID{before, tenant.NewID()} {
		if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
			t.Fatal(err)
		}
		if got := settings(id.Database()); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if again, err := server.Ensure(t.Context(), id, 0, nil); err != nil || again.Changed() {
			t.Errorf("a second time: %v %+v", err, again.Steps)
		}
	}
}
