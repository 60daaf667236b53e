package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// ordered runs statements in database postgres.
func (w *world) ordered(statements ...string) { w.superuser("postgres", statements...) }

// TestDamagedRolesAndDatabases: changes of a tenant's role or database from outside are found and repaired.
func TestDamagedRolesAndDatabases(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school, other := w.school().School.Database, w.school().School.Database
	var all []testCase
	for _, damage := range []struct{ finds, sql string }{
		{"database_settings", "alter database %s connection limit 0"},
		{"database_settings schema_drift", "alter database %s set default_transaction_read_only = on"},
		{"database_settings", "alter database %s is_template true"},
		{"role_out_of_order", "alter role %[1]s in database %[1]s set search_path = pg_catalog"},
		{"role_out_of_order", "alter role %s superuser"},
		{"role_out_of_order", "alter role %s createdb createrole"},
		{"role_out_of_order", "alter role %s bypassrls replication"},
		{"role_out_of_order", "alter role %s valid until '2020-01-01'"},
		{"role_out_of_order", "grant pg_read_all_data to %s"},
		{"role_out_of_order", "grant homeroom_owner to %s"},
		{"role_out_of_order", "grant " + other + " to %s"},
		{"role_out_of_order", "alter role %s connection limit 0"},
	} {
		sql := fmt.Sprintf(damage.sql, school)
		all = append(all, testCase{name: sql, finds: damage.finds, make: func(w *world) { w.ordered(sql) }})
		if strings.Contains(damage.sql, other) { // the other role has a finding too: it has a member
			all[len(all)-1].finds = "role_out_of_order role_out_of_order"
		}
	}
	run(t, w, append(all, testCase{
		name: "a group that may create", finds: "grants_missing schema_drift",
		make: func(w *world) { w.superuser(school, "grant create on schema public to homeroom_tenant") },
	}))
	w.usable(school)
}

// TestDamagedServers: damage of what all tenants of a server share.
func TestDamagedServers(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school := w.school().School.Database
	w.config.Spares = 1
	w.doctor = w.newDoctor(w.config)
	run(t, w, []testCase{
		{
			name: "an owner that may log in", finds: "shared_role",
			make: func(w *world) { w.ordered("alter role homeroom_owner login superuser") },
		},
		{
			name: "a group with a membership and a setting", finds: "shared_role",
			make: func(w *world) {
				w.ordered("grant pg_read_all_data to homeroom_tenant", "alter role homeroom_tenant set search_path = pg_catalog")
			},
		},
		{
			name: "a database for everybody", finds: "database_for_all", leaves: "database_for_all",
			make:   func(w *world) { w.ordered("create database metabase") },
			repair: func(w *world) { w.ordered("drop database metabase") }, unfollowed: true,
		},
		{
			name: "a database that is closed again", finds: "database_for_all", leaves: "database_for_all",
			make:   func(w *world) { w.ordered("drop database if exists metabase", "create database metabase") },
			repair: func(w *world) { w.ordered("drop database metabase") },
		},
		{
			name: "a template that was opened", finds: "template_incomplete",
			make: func(w *world) { w.ordered("alter database " + w.server.Template() + " allow_connections true") },
		},
		{
			name: "another library for sorting", finds: "collation_changed", leaves: "collation_changed",
			make: func(w *world) {
				w.ordered("update pg_database set datlocprovider = 'i', daticulocale = 'en', datcollversion = '1' where datname in ('" + school + "', '" + spareOf(w) + "')")
			},
			repair: func(w *world) {
				w.ordered("update pg_database set datlocprovider = 'c', daticulocale = null, datcollversion = null where datname in ('" + school + "', '" + spareOf(w) + "')")
			},
		},
		{
			name: "functions that were granted to PUBLIC again", finds: "functions_open", leaves: "functions_open",
			make:   func(w *world) { w.superuser(school, "grant execute on function pg_notify(text, text) to public") },
			repair: func(w *world) { w.superuser(school, "revoke execute on function pg_notify(text, text) from public") },
		},
		{
			name: "servers that take nothing", finds: "no_server_open server_closed", leaves: "no_server_open", // the refiller opens it
			make: func(w *world) {
				w.sql("update servers set weight = 0, closed_because = 'its disk is full', closed_at = now() - interval '2 days'")
			},
			repair: func(w *world) { w.sql("update servers set weight = 1, closed_because = null, closed_at = null") },
		},
		{
			name: "a full server", finds: "no_server_open", leaves: "no_server_open",
			make:   func(w *world) { w.sql("update servers set capacity = 1") },
			repair: func(w *world) { w.sql("update servers set capacity = null") },
		},
	})
	w.usable(school)
}

func spareOf(w *world) string {
	return value[string](w, "select database from tenants where state = 'spare'")
}

// TestDamagedSchemas: the version in schema_migrations counts only if the schema agrees.
func TestDamagedSchemas(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	result := w.school()
	school := result.School.Database
	latest := w.server.Migrations().Latest()
	for _, damage := range []struct{ name, finds, sql string }{
		{"a number without a file", "version_false", "update schema_migrations set version = 77"},
		{"a lower number", "version_false", fmt.Sprintf("update schema_migrations set version = %d", latest-1)},
		{"no number", "version_false", "delete from schema_migrations"},
		{"two numbers", "schema_unclear", "insert into schema_migrations values (77, false)"},
		{"a dirty number", "schema_unclear", "update schema_migrations set dirty = true"},
	} {
		ok := t.Run(damage.name, func(t *testing.T) {
			w.T = t
			w.superuser(school, damage.sql)
			report := w.finds(damage.finds)
			if len(w.doctor.Plan(report)) != 0 {
				t.Errorf("it would record a wrong version: %s", describe(report))
			}
			w.followAll(report)
			w.finds("")
			if version := value[uint](w, "select schema_version from tenants where state = 'ready'"); version != latest {
				t.Errorf("the catalog says version %d, want %d", version, latest)
			}
		})
		if !ok {
			return
		}
	}
	w.T = t
	run(t, w, []testCase{
		{
			name: "no table of versions", finds: "schema_unclear", leaves: "schema_unclear",
			make:   func(w *world) { w.superuser(school, "drop table schema_migrations") },
			repair: func(w *world) { w.followAll(w.examine()) },
		},
		{
			name: "a row with other migrations", finds: "lineage_differs migrations_of_others", leaves: "lineage_differs migrations_of_others",
			make:   func(w *world) { w.sql("update tenants set lineage = 'others'") },
			repair: func(w *world) { w.sql("update tenants set lineage = $1", w.server.Migrations().Lineage()) },
		},
		{
			name: "a schema that belongs to the tenant", finds: "schema_owner", leaves: "schema_owner",
			make:   func(w *world) { w.superuser(school, "alter schema public owner to "+school) },
			repair: func(w *world) { w.superuser(school, "alter schema public owner to pg_database_owner") },
		},
		{
			name: "no schema", finds: "schema_missing", leaves: "schema_missing",
			make: func(w *world) { w.superuser(school, "drop schema public cascade") },
			repair: func(w *world) {
				w.homeroom("homeroom tenant reprovision " + school + " --fresh --confirm " + result.School.Slug)
				w.drop("_kept_")
			},
			unfollowed: true,
		},
	})
	w.superuser(school, "drop schema public cascade")
	w.followAll(w.finds("schema_missing"))
	w.finds("kept_database")
	w.followAll(w.examine())
	w.finds("")
}

// drop drops the databases with this in their name.
func (w *world) drop(part string) {
	w.Helper()
	for name := range strings.FieldsSeq(value[string](w, "select coalesce(string_agg(datname, ' '), '') from pg_database where datname like '%' || $1 || '%'", part)) {
		w.ordered("drop database " + name)
	}
}

// TestDamagedCatalog: damage of the catalog's own database and rows.
func TestDamagedCatalog(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	result := w.school()
	run(t, w, []testCase{
		{
			name: "a dropped index", finds: "catalog_incomplete", leaves: "catalog_incomplete",
			make:   func(w *world) { w.sql("drop index signups_by_user") },
			repair: func(w *world) { w.sql("create index signups_by_user on signups (user_id)") },
		},
		{
			name: "a dropped trigger", finds: "catalog_incomplete", leaves: "catalog_incomplete",
			make:   func(w *world) { w.sql("drop trigger tell_of_tenant on tenants") },
			repair: func(w *world) { w.followAll(w.examine()) },
		},
		{
			name: "readers", finds: "catalog_readable catalog_readable", leaves: "catalog_readable catalog_readable",
			make:   func(w *world) { w.sql("grant select on users to public; grant select on tenants to homeroom_tenant") },
			repair: func(w *world) { w.sql("revoke all on users from public; revoke all on tenants from homeroom_tenant") },
		},
		{
			name: "a run that stays paused", finds: "run_paused", leaves: "run_paused",
			make: func(w *world) {
				w.sql(`insert into migration_runs (id, to_version, direction, state, lineage, total, concurrency, started_by, started_at)
					values (gen_random_uuid(), 1, 'up', 'paused', 'x', 1, 1, 'test', now() - interval '7 days')`)
			},
			repair: func(w *world) { w.sql("delete from migration_runs") },
		},
	}[:3])
	w.sql(`insert into migration_runs (id, to_version, direction, state, lineage, total, concurrency, started_by, started_at)
		values (gen_random_uuid(), 1, 'up', 'paused', 'x', 1, 1, 'test', now() - interval '7 days')`)
	w.followAll(w.finds("run_paused"))
	w.finds("")
	w.sql("delete from migration_runs")
	run(t, w, []testCase{
		{
			name: "a school that is called deleted", finds: "tenant_deleted", leaves: "tenant_deleted",
			make:   func(w *world) { w.sql("update tenants set state = 'deleted'") },
			repair: func(w *world) { w.sql("update tenants set state = 'ready'") },
		},
		{
			name: "an account that is blocked", finds: "identity_blocked", leaves: "identity_blocked",
			make: func(w *world) {
				remake(w, result.User.IdentityID, func(u *auth0test.User) { u.Blocked = new(true) })
			},
			repair: func(w *world) {
				remake(w, result.User.IdentityID, func(u *auth0test.User) { u.Blocked = nil })
			},
		},
	})
	w.config.Spares = 1
	w.doctor = w.newDoctor(w.config)
	w.sql("update tenants set updated_at = now() - interval '1 hour'")
	w.finds("stock_empty")
}

// One cause is one finding, and a repair that would make it worse is not done.
func TestOneCauseIsOneFinding(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	var schools []string
	for range 4 {
		schools = append(schools, w.school().School.Database)
	}
	each := func(sql string) {
		for _, school := range schools {
			w.ordered(strings.ReplaceAll(sql, "%s", school))
		}
	}
	unplanned := func(report doctor.Report) {
		t.Helper()
		if plan := w.doctor.Plan(report); len(plan) != 0 {
			t.Errorf("it plans %+v", plan)
		}
	}
	each("alter role %s password 'changed'")
	w.superuser(schools[0], "revoke select on lunch_weeks from homeroom_tenant")
	report := w.finds("grants_missing logins_refused schema_drift")
	if !strings.Contains(report.Findings[1].Detail, "4 of 4 tenants") {
		t.Error(describe(report))
	}
	unplanned(report) // it is unknown whether the key is the right one

	if err := w.catalog.SetTenantKeyCheck(t.Context(), []byte("another"), "test"); err != nil {
		t.Fatal(err)
	}
	w.config.KeyCheck = tenant.KeyCheck(key)
	w.doctor = w.newDoctor(w.config)
	unplanned(w.finds("grants_missing schema_drift tenant_key_differs"))

	if err := w.catalog.SetTenantKeyCheck(t.Context(), tenant.KeyCheck(key), "test"); err != nil {
		t.Fatal(err)
	}
	w.fix(w.finds("grants_missing logins_refused schema_drift"))
	w.finds("")
	for _, school := range schools {
		w.usable(school)
	}
	for _, school := range schools {
		w.superuser(school, "create index scribble on lunch_weeks (starts_on)")
	}
	report = w.finds("reference_differs")
	w.followAll(report)
	for _, school := range schools {
		w.superuser(school, "drop index scribble")
	}
	each("alter database %s rename to %s_away")
	each("comment on database %s_away is null")
	report = w.finds("databases_missing")
	unplanned(report)
	each("alter database %s_away rename to %s")
	w.fix(w.examine())
	w.finds("")
}

// A spare that the refiller cannot finish is a finding, and so is an unmanaged database with its name.
func TestSparesThatAreNotFinished(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	w.school()
	spare := spareOf(w)
	w.sql("update tenants set state = 'building', updated_at = now() - interval '4 minutes' where state = 'spare'")
	w.finds("spare_unfinished")
	w.ordered("drop database "+spare+" with (force)", "create database "+spare)
	w.followAll(w.finds("database_foreign"))
	w.refillSpares()
	w.finds("")
}

// A row that says that a school's tenant is a spare would give it to the next school.
func TestAUserWhoseTenantIsASpare(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	w.sql("update tenants set state = 'spare', name = null, slug = null where state = 'ready'")
	if report := w.finds("user_without_tenant"); strings.Contains(report.Findings[0].Detail, "the next school") {
		t.Error("nobody is given a spare whose row was changed by hand: ", describe(report))
	}
	w.sql(claimableAgain)
	report := w.finds("user_without_tenant")
	if !strings.Contains(report.Findings[0].Detail, "the next school would get") {
		t.Error(describe(report))
	}
	w.followAll(report)
	if n := value[int](w, "select count(*) from tenants where state = $1", catalog.Spare); n != 0 {
		t.Errorf("%d of it are in the stock", n)
	}
}

// All tenants of a server share its NOTIFY queue: a listener that stays in a transaction prevents its clean-up.
func TestAQueueOfNotificationsThatFills(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	if usage, ok := w.finds("").NotificationQueues["main"]; !ok || usage != 0 {
		t.Errorf("an empty queue is at %v, %v", usage, ok)
	}
	w.config.QueueWarnAt = 1e-4 // some hundred pages
	w.doctor = w.newDoctor(w.config)
	listener := pgtest.Connect(t, w.postgres.URL("postgres"))
	for _, statement := range []string{"listen bell", "begin", "select 1"} {
		if _, err := listener.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	w.ordered("select pg_notify('bell', n || repeat('x', 7900)) from generate_series(1, 1000) as n")
	w.followAll(w.finds("notification_queue"))
	if _, err := listener.Exec(t.Context(), "select 1"); err == nil {
		t.Error("the session that blocks the queue still exists")
	}
	w.ordered("select pg_notify('bell', n || repeat('x', 7900)) from generate_series(1, 50) as n") // the next NOTIFY cleans it up
	w.finds("")
}

// Warnings of a server's own check are reported, with their advice.
func TestWarningsAboutServers(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.config.Tolerate = slices.DeleteFunc(slices.Clone(serverWarnings), func(code string) bool { return code == tenant.WarnSuperuser })
	w.doctor = w.newDoctor(w.config)
	report := w.finds("server_remark")
	if f := report.Findings[0]; f.Subject != tenant.WarnSuperuser || !strings.Contains(f.Advice, "create role homeroom") {
		t.Error(describe(report))
	}
}

// While a session is open in the template it cannot be cloned, and its schema may have changed.
func TestATemplateThatSomebodyIsIn(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	template := w.server.Template()
	for range 2 {
		w.ordered("alter database " + template + " allow_connections true")
		inside := pgtest.Connect(t, w.postgres.URL(template))
		if _, err := inside.Exec(t.Context(), "create table stray (i int)"); err != nil {
			t.Fatal(err)
		}
		w.followAll(w.finds("template_open"))
		w.finds("")
	}
	fresh := w.school().School.Database
	w.superuser(fresh, "create table stray (i int)", "drop table stray") // it has none yet
	w.finds("")
}
