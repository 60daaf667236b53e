package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/doctor"
)

// testCase is one problem.
type testCase struct {
	name string
	make func(w *world)
	// finds are the codes that an examination must find, and no others.
	finds string
	// leaves are the codes that are left after Fix, which repair must then remove.
	leaves string
	repair func(w *world)
	// unfollowed says that the steps are not followed, because the problem cannot be made twice.
	unfollowed bool
}

// run makes every problem, one after the other in one world, and checks that it is found, and repaired or left.
func run(t *testing.T, w *world, cases []testCase) {
	w.finds("")
	for _, s := range cases {
		ok := t.Run(s.name, func(t *testing.T) {
			w.T = t
			s.make(w)
			report := w.finds(s.finds)
			again := w.finds(s.finds) // an examination changes nothing
			for i, f := range again.Findings {
				if g := report.Findings[i]; f.Subject != g.Subject || f.Detail != g.Detail || f.Fix != g.Fix {
					t.Errorf("another examination reports %+v instead of %+v", f, g)
				}
			}
			w.fix(report)
			w.refillSpares()
			w.finds(s.leaves)
			if s.repair != nil {
				s.repair(w)
				w.refillSpares()
				w.finds("")
			}
			if s.leaves != "" && s.repair == nil {
				t.Fatal("the situation stays")
			}
			if !s.unfollowed {
				s.follow(w)
			}
		})
		if !ok {
			break
		}
	}
	w.T = t
}

// follow makes a problem again, follows the steps of its finding exactly, and checks that nothing is wrong afterwards.
func (s testCase) follow(w *world) {
	w.Helper()
	s.make(w)
	all := w.followAll(w.finds(s.finds))
	if !all && s.repair != nil {
		s.repair(w)
	}
	if !all {
		w.fix(w.examine())
	}
	w.refillSpares()
	w.finds("")
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school := w.school().School.Database
	spare := func() string { return value[string](w, "select database from tenants where state = 'spare'") }
	run(t, w, []testCase{
		{
			name: "missing of a school", finds: "database_missing", leaves: "database_missing",
			make:   func(w *world) { w.superuser("postgres", "drop database "+school+" with (force)") },
			repair: func(w *world) { w.homeroom("homeroom tenant reprovision " + school) },
		},
		{
			name: "renamed", finds: "database_renamed", leaves: "database_renamed",
			make:   func(w *world) { w.superuser("postgres", "alter database "+school+" rename to away") },
			repair: func(w *world) { w.superuser("postgres", "alter database away rename to "+school) },
		},
		{
			name: "missing of a spare", finds: "database_missing",
			make: func(w *world) { w.superuser("postgres", "drop database "+spare()+" with (force)") },
		},
		{
			name: "foreign", finds: "database_foreign", leaves: "database_foreign",
			make: func(w *world) {
				w.superuser("postgres", "alter database "+school+" rename to away", "create database "+school)
			},
			repair: func(w *world) {
				w.superuser("postgres", "drop database "+school, "alter database away rename to "+school)
			},
			unfollowed: true, // see TestSparesThatAreNotFinished: the old database would stay
		},
		{
			name: "marked as another's", finds: "database_foreign", leaves: "database_foreign",
			make: func(w *world) {
				w.superuser("postgres", "comment on database "+school+" is 'homeroom tenant 0199c1b0-0000-7000-8000-000000000000'")
			},
			repair: func(w *world) { w.superuser("postgres", "comment on database "+school+" is null"); w.fix(w.examine()) },
		},
		{
			name: "invalid, of a school", finds: "database_invalid", leaves: "database_invalid",
			make: func(w *world) {
				w.superuser("postgres", "update pg_database set datconnlimit = -2 where datname = '"+school+"'")
			},
			repair: func(w *world) {
				w.superuser("postgres", "update pg_database set datconnlimit = -1 where datname = '"+school+"'")
			},
		},
		{
			name: "invalid, of a spare", finds: "database_invalid",
			make: func(w *world) {
				w.superuser("postgres", "update pg_database set datconnlimit = -2 where datname = '"+spare()+"'")
			},
		},
		{
			name: "invalid, of a spare that is being built again", finds: "database_invalid",
			make: func(w *world) {
				w.superuser("postgres", "update pg_database set datconnlimit = -2 where datname = '"+spare()+"'")
				w.sql("update tenants set state = 'building' where state = 'spare'")
			},
		},
		{
			name: "closed", finds: "database_closed",
			make: func(w *world) { w.superuser("postgres", "alter database "+school+" allow_connections false") },
		},
		{
			name: "open to everybody", finds: "database_access",
			make: func(w *world) { w.superuser("postgres", "grant connect on database "+school+" to public") },
		},
		{
			name: "another's", finds: "database_owner",
			make: func(w *world) { w.superuser("postgres", "alter database "+school+" owner to postgres") },
		},
		{
			name: "without its mark", finds: "database_unmarked",
			make: func(w *world) { w.superuser("postgres", "comment on database "+school+" is null") },
		},
		{
			name: "without its role", finds: "role_missing",
			make: func(w *world) {
				w.superuser("postgres", "revoke all on database "+school+" from "+school, "drop role "+school)
			},
		},
		{
			name: "role with more rights", finds: "role_out_of_order",
			make: func(w *world) { w.superuser("postgres", "alter role "+school+" set search_path = pg_catalog") },
		},
		{
			name: "role that may not log in", finds: "role_out_of_order",
			make: func(w *world) { w.superuser("postgres", "alter role "+school+" nologin") },
		},
		{
			name: "role with another password", finds: "login_refused",
			make: func(w *world) { w.superuser("postgres", "alter role "+school+" password 'changed'") },
		},
		{
			name: "spare with another password", finds: "spare_unusable",
			make: func(w *world) { w.superuser("postgres", "alter role "+spare()+" password 'changed'") },
		},
		{
			name: "without a grant", finds: "grants_missing schema_drift",
			make: func(w *world) { w.superuser(school, "revoke select on lunch_weeks from homeroom_tenant") },
		},
		{
			name: "that cannot be opened", finds: "database_settings database_unreadable",
			make: func(w *world) {
				w.superuser("postgres", "alter database "+school+" set session_preload_libraries = 'nothing'")
			},
		},
		{
			name: "role of nobody", finds: "role_without_database",
			make: func(w *world) { w.superuser("postgres", "create role t_aaaaaaaaaaaaaaaaaaaaaaaaaa") },
		},
		{
			name: "template of another version", finds: "template_old",
			make: func(w *world) {
				w.superuser("postgres", "create database homeroom_template_1_0123456789ab template "+w.server.Template(),
					"alter database homeroom_template_1_0123456789ab is_template true",
					`do $$ begin execute (
						select format('comment on database %I is %L', datname, 'homeroom schema 1 of Postgres `+major(w)+`, row ' || xmin || ', closed by a superuser')
						from pg_database where datname = 'homeroom_template_1_0123456789ab'
					); end $$`)
			},
		},
		{
			name: "incomplete template", finds: "template_incomplete",
			make: func(w *world) { w.superuser("postgres", "create database homeroom_template_2_0123456789ab") },
		},
		{
			name: "incomplete template that is in use", finds: "template_incomplete",
			make: func(w *world) { w.superuser("postgres", "alter database "+w.server.Template()+" is_template false") },
		},
		{
			name: "kept", finds: "kept_database", leaves: "kept_database",
			make:   func(w *world) { w.superuser("postgres", "create database "+school+"_kept_20261121130000") },
			repair: func(w *world) { w.superuser("postgres", "drop database "+school+"_kept_20261121130000") },
		},
	})
	w.usable(school)
	w.usable(spare())
}

func major(w *world) string { return strings.Split(w.postgres.Version(), ".")[0] }

func TestSchemas(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school().School.Database
	latest := w.server.Migrations().Latest()
	run(t, w, []testCase{
		{
			name: "another version in the catalog", finds: "version_differs",
			make: func(w *world) { w.sql("update tenants set schema_version = schema_version - 1") },
		},
		{
			name: "another fingerprint in the catalog", finds: "fingerprint_differs",
			make: func(w *world) { w.sql("update tenants set fingerprint = 'another'") },
		},
		{
			name: "changed by hand", finds: "schema_drift", leaves: "schema_drift",
			make:   func(w *world) { w.superuser(school, "create index scribble on lunch_weeks (starts_on)") },
			repair: func(w *world) { w.superuser(school, "drop index scribble") },
		},
		{
			name: "dirty", finds: "schema_unclear", leaves: "schema_unclear",
			make:   func(w *world) { w.superuser(school, "update schema_migrations set dirty = true") },
			repair: func(w *world) { w.superuser(school, "update schema_migrations set dirty = false") },
		},
		{
			name: "quarantined", finds: "tenant_quarantined", leaves: "tenant_quarantined",
			make: func(w *world) {
				w.sql("update tenants set state = 'quarantined', resume_state = 'ready', quarantine_cause = 'boom', quarantine_kind = 'migration'")
			},
			repair: func(w *world) {
				w.sql("update tenants set state = 'ready', resume_state = null, quarantine_cause = null, quarantine_kind = null")
			},
		},
		{
			name: "whose replacement has stopped", finds: "tenant_quarantined", leaves: "tenant_quarantined",
			make: func(w *world) {
				w.sql(`update tenants set state = 'quarantined', resume_state = 'ready', quarantine_cause = 'replaced', quarantine_kind = 'replaced',
					updated_at = now() - interval '16 minutes'`)
			},
			repair: func(w *world) {
				w.sql("update tenants set state = 'ready', resume_state = null, quarantine_cause = null, quarantine_kind = null")
			},
		},
	})
	if version := value[uint](w, "select schema_version from tenants"); version != latest {
		t.Errorf("the catalog says version %d, want %d", version, latest)
	}
}

// A repair does not migrate a tenant that is held at a version on purpose.
func TestTenantsHeldAtAVersionAreNotMigrated(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school().School.Database
	w.sql("update tenants set held_at = schema_version - 1")
	w.superuser("postgres", "grant connect on database "+school+" to public")
	report := w.finds("database_access")
	if plan := w.doctor.Plan(report); len(plan) != 0 {
		t.Errorf("it plans %+v", plan)
	}
}

// While a fleet run is active, databases are ahead of their rows.
func TestVersionsAreNotComparedWhileMigrating(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	w.sql("update tenants set schema_version = schema_version - 1")
	run := catalog.NewRun{ID: uuid.New(), Direction: "up", Total: 1, Concurrency: 1, StartedBy: "test"}
	if err := w.catalog.StartRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if report := w.finds(""); len(report.Skipped) != 1 {
		t.Errorf("it does not report that: %v", report.Skipped)
	}
	if err := w.catalog.FinishRun(t.Context(), run.ID, catalog.RunDone, ""); err != nil {
		t.Fatal(err)
	}
	w.finds("version_differs")
}

// A pass of the service opens some databases, then the next ones; it compares the catalog's record of all.
func TestBoundedExaminationsOpenEveryDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	var schools []string
	for range 3 {
		schools = append(schools, w.school().School.Database)
	}
	for _, school := range schools {
		w.superuser("postgres", "alter role "+school+" password 'changed'")
	}
	found := map[string]int{}
	for range 6 {
		report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: 1})
		if err != nil {
			t.Fatal(err)
		}
		if report.Counts.Opened != 1 || codes(report) != "login_refused" {
			t.Fatalf("opened %d: %s", report.Counts.Opened, describe(report))
		}
		found[report.Findings[0].TenantID.String()]++
	}
	if len(found) != 3 {
		t.Errorf("opened %v", found)
	}
	report, err := w.doctor.Examine(t.Context(), doctor.Options{})
	if err != nil || report.Counts.Opened != 0 || codes(report) != "" {
		t.Errorf("a limited examination opened %d and found %q, %v", report.Counts.Opened, codes(report), err)
	}
	w.sql("update tenants set fingerprint = 'another'")
	if report, err = w.doctor.Examine(t.Context(), doctor.Options{}); err != nil || codes(report) != "reference_differs" {
		t.Errorf("a limited examination found %q, %v", codes(report), err)
	}
}
