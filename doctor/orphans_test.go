package doctor_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/auth0"
	"homeroom/internal/secret"
	"homeroom/signup"
	"homeroom/tenant"
)

// copyOf stores the present rows of the catalog, as a backup does.
func copyOf(w *world) {
	w.Helper()
	w.sql("drop schema if exists backup cascade; create schema backup")
	for _, table := range []string{"tenants", "users", "signups"} {
		w.sql("create table backup." + table + " as table " + table)
	}
}

// restore restores the catalog from the copy.
func restore(w *world) {
	w.Helper()
	err := w.catalog.InTx(w.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(w.Context(), `
			delete from signups; delete from users; delete from tenants; delete from river.river_job;
			insert into tenants table backup.tenants;
			insert into users table backup.users;
			insert into signups table backup.signups`)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

// known checks that the catalog has a school as before the restore.
func known(w *world, school *signup.Result) {
	w.Helper()
	user, err := w.catalog.UserByIdentity(w.Context(), school.User.IdentityID)
	if err != nil || user.ID != school.User.ID || user.Email != school.User.Email || user.TenantID != school.School.ID {
		w.Errorf("user %+v, %v", user, err)
	}
	view, err := w.service.View(w.Context(), school.SignupID)
	if err != nil || view.School == nil || view.School.Database != school.School.Database || view.User.IdentityID != school.User.IdentityID {
		w.Errorf("sign-up %+v, %v", view, err)
	}
	row, err := w.catalog.TenantByID(w.Context(), school.School.ID)
	if err != nil || row.State != "ready" || row.Name != school.School.Name || row.SchemaVersion != school.School.SchemaVersion || row.Slug != view.School.Slug {
		w.Errorf("tenant %+v, %v", row, err)
	}
	w.usable(school.School.Database)
}

// TestARestoredCatalog restores the catalog from before two schools signed up: it has no row of the first, and takes
// the tenant of the second for a spare.
func TestARestoredCatalog(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	first := w.school()
	copyOf(w)
	second := w.school() // has a spare from before the copy
	third := w.school()  // has one that was built after it
	w.usable(second.School.Database)
	restore(w)

	// The stock is refilled without an examination: the refiller builds a new spare, and leaves the second school's.
	report := w.finds("database_without_row lost_school lost_school")
	w.fix(report)
	w.refillSpares()
	w.finds("")
	for _, school := range []*signup.Result{first, second, third} {
		known(w, school)
	}
	if n := value[int](w, "select count(*) from tenants where state = 'spare'"); n != 1 {
		t.Errorf("%d spares, want a new one", n)
	}
	// A new school gets its own tenant.
	if fourth := w.school(); fourth.School.ID == second.School.ID || fourth.School.ID == third.School.ID {
		t.Error("two schools have one tenant")
	}
	w.finds("")
}

// claimableAgain makes a spare claimable although it may be in use, as older programs would have.
const claimableAgain = "update tenants set claimable_xid = pg_current_xact_id()::xid, claimable_in = catalog_instance() where state = 'spare'"

func TestALostSchoolWhoseTenantAnotherHas(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	copyOf(w)
	orphans := w.school()
	restore(w)
	w.sql(claimableAgain)
	taken := w.school()
	if taken.School.ID != orphans.School.ID {
		t.Fatal("the spare is not the school's")
	}
	report := w.finds("database_without_row lost_school") // and the spare that was built after the copy
	for _, finding := range report.Findings {
		if finding.Code == "lost_school" && finding.Fix != "" {
			t.Errorf("it would repair it: %+v", finding)
		}
	}
}

// A school whose database our key does not open may not be ours.
func TestALostSchoolThatOurKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	copyOf(w)
	orphans := w.school()
	restore(w)
	w.superuser("postgres", "alter role "+orphans.School.Database+" password 'changed'")
	if plan := w.doctor.Plan(w.finds("lost_school")); len(plan) != 0 {
		t.Errorf("it plans %+v", plan)
	}
}

// A school whose owner used an existing account has no user id at the provider, and is restored nevertheless. Its
// database is not taken for a spare.
func TestALostSchoolWithALinkedAccount(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	copyOf(w)
	account := "auth0|5f7c8ec7c33c6c004bbafe82"
	school := w.begin(w.own(account, "ada@lincoln.example"))
	restore(w)
	w.fix(w.finds("lost_school"))
	w.finds("")
	user, err := w.catalog.UserByIdentity(t.Context(), account)
	if err != nil || user.TenantID != school.School.ID {
		t.Errorf("%+v, %v", user, err)
	}
	row, err := w.catalog.Signup(t.Context(), school.SignupID)
	if err != nil || row.IdentityID == nil || *row.IdentityID != account || row.UserID != user.ID {
		t.Errorf("%+v, %v", row, err)
	}
}

// Of several people of a lost school the owner is the one whose sign-up the organization was created for.
func TestALostSchoolWithMembers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*auth0.Config){"with an organization": withOrganizations, "without": func(*auth0.Config) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, 0, change)
			copyOf(w)
			school := w.school()
			w.begin(w.invited(school.School.ID))
			w.sql("delete from invitations")
			restore(w)
			if name == "without" {
				if plan := w.doctor.Plan(w.finds("lost_school")); len(plan) != 0 {
					t.Errorf("it plans %+v", plan)
				}
				return
			}
			w.fix(w.finds("lost_school organization_without_school"))
			report := w.finds("lost_school") // the member
			if f := report.Findings[0]; f.Fix != "" || !strings.Contains(f.Detail, "had joined") {
				t.Errorf("it says %+v", f)
			}
			user, err := w.catalog.UserByID(t.Context(), school.User.ID)
			if err != nil || user.Role != "owner" || user.IdentityID != school.User.IdentityID {
				t.Errorf("%+v, %v", user, err)
			}
		})
	}
}

// The doctor leaves alone what may not be ours.
func TestDatabasesWithoutARow(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	// as of another Homeroom, with another key
	elsewhere, err := tenant.Open(tenant.Config{URL: secret.String(w.postgres.URL("postgres")), Key: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(elsewhere.Close)
	build := func(server *tenant.Server) tenant.ID {
		id := tenant.NewID()
		if _, err := server.Ensure(w.Context(), id, 0, nil); err != nil {
			w.Fatal(err)
		}
		return id
	}
	var id tenant.ID
	drop := func(w *world) {
		w.superuser("postgres", "drop database "+id.Database()+" with (force)", "drop role if exists "+id.Database())
	}
	run(t, w, []testCase{
		{
			name: "another Homeroom's", finds: "database_without_row", leaves: "database_without_row",
			make: func(w *world) { id = build(elsewhere) }, repair: drop,
		},
		{
			name: "with data, and no account", finds: "database_without_row", leaves: "database_without_row",
			make: func(w *world) {
				id = build(w.server)
				w.usable(id.Database())
			}, repair: drop,
		},
		{
			name: "of an older version", finds: "database_without_row",
			make: func(w *world) {
				id = build(w.server)
				w.superuser(id.Database(), "update schema_migrations set version = version - 1")
			},
		},
		{
			name: "foreign", finds: "database_without_row", leaves: "database_without_row",
			make: func(w *world) {
				id = tenant.NewID()
				w.superuser("postgres", "create database "+id.Database())
			}, repair: drop,
		},
		{
			name: "a forgotten spare", finds: "database_without_row",
			make: func(w *world) { id = build(w.server) },
		},
	})
	if n := value[int](w, "select count(*) from pg_database where datname = $1", id.Database()); n != 0 {
		t.Error("the unknown spare was not dropped")
	}
}
