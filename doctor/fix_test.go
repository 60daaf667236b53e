package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/tenant"
)

// TestRepairsCheckAgain makes a change between the examination and the repair, which must then do nothing.
func TestRepairsCheckAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school := w.school()
	spare := value[string](w, "select database from tenants where state = 'spare'")
	nobody, err := tenant.ParseDatabase("t_aaaaaaaaaaaaaaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	expired, user := uuid.New(), uuid.New()
	for _, c := range []struct {
		name                string
		make, change, after func()
		finds               string
	}{
		{
			"a spare that has been claimed", func() { w.superuser("postgres", "alter role "+spare+" password 'changed'") },
			func() { w.sql("update tenants set state = 'reserved', name = 'x y', slug = 'x' where state = 'spare'") },
			func() {
				w.sql("update tenants set state = 'spare', name = null, slug = null where state = 'reserved'")
				w.fix(w.examine())
			}, "spare_unusable",
		},
		{
			"a database that has come back", func() { w.superuser("postgres", "alter database "+spare+" rename to away") },
			func() { w.superuser("postgres", "alter database away rename to "+spare) },
			func() {}, "database_missing",
		},
		{
			"a role whose tenant has come back", func() { w.superuser("postgres", "create role "+nobody.Database()) },
			func() {
				w.sql("insert into tenants (id, server, database, lineage, state) values ($1, 'main', $2, 'x', 'building')", nobody.UUID(), nobody.Database())
			},
			func() {
				w.sql("delete from tenants where state = 'building'")
				w.superuser("postgres", "drop role "+nobody.Database())
			}, "role_without_database",
		},
		{
			"an account whose sign-up is checked again",
			func() {
				w.sql(`insert into signups (id, request_hash, user_id, email, school_name, status, finished_at)
					values ($1, '', $2, 'eve@lincoln.example', 'Eve', 'expired', now())`, expired, user)
				err := w.auth0.Seed(userWith(user.String(), "eve@lincoln.example", map[string]any{"signup_id": expired.String()}))
				if err != nil {
					t.Fatal(err)
				}
			},
			func() { w.sql("update signups set check_at = now() where id = $1", expired) },
			func() {
				if _, there := w.auth0.User("auth0|" + user.String()); !there {
					t.Error("the account is gone")
				}
				w.sql("update signups set check_at = null where id = $1", expired)
				w.fix(w.examine())
			}, "identity_of_expired_signup",
		},
		{
			"a schema that is no longer reliable", func() { w.sql("update tenants set schema_version = 1 where state = 'ready'") },
			func() { w.superuser(school.School.Database, "update schema_migrations set dirty = true") },
			func() {
				w.superuser(school.School.Database, "update schema_migrations set dirty = false")
				w.fix(w.examine())
			}, "version_differs",
		},
		{
			"a lost school whose account has other metadata",
			func() {
				copyOf(w)
				w.sql("delete from signups where status = 'ready'")
				w.sql("delete from users")
				w.sql("delete from tenants where state = 'ready'")
			},
			func() {
				remake(w, school.User.IdentityID, func(u *auth0test.User) { u.AppMetadata["school_name"] = "Roosevelt" })
			},
			func() {
				remake(w, school.User.IdentityID, func(u *auth0test.User) { u.AppMetadata["school_name"] = school.School.Name })
				restore(w)
			}, "lost_school",
		},
	} {
		c.make()
		report := w.finds(c.finds)
		c.change()
		onResult := 0
		_, err := w.doctor.Fix(t.Context(), report, func(f doctor.Finding, err error) {
			if onResult++; !errors.Is(err, catalog.ErrStateChanged) {
				t.Errorf("%s: the repair returned %v", c.name, err)
			}
		})
		if err != nil || onResult != 1 {
			t.Errorf("%s: %d repairs, %v", c.name, onResult, err)
		}
		c.after()
		w.finds("")
	}
}

// Two findings with the same repair are repaired once, and both are reported.
func TestOneRepairFixesAllFindingsOfATenant(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school().School.Database
	w.superuser("postgres", "alter database "+school+" allow_connections false", "alter role "+school+" nologin")
	report := w.finds("database_closed role_out_of_order")
	onResult := 0
	if _, err := w.doctor.Fix(t.Context(), report, func(doctor.Finding, error) { onResult++ }); err != nil || onResult != 2 {
		t.Errorf("%d were reported, %v", onResult, err)
	}
	if n := value[int](w, "select count(*) from audit_events where action = 'doctor.fix'"); n != 1 {
		t.Errorf("%d repairs are recorded", n)
	}
	w.finds("")
	w.usable(school)
}

// A problem that needs an operator is not repaired.
func TestQuarantinedTenantsAreNotRepaired(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school().School.Database
	w.sql("update tenants set state = 'quarantined', resume_state = 'ready', quarantine_cause = 'boom', quarantine_kind = 'database'")
	w.superuser("postgres", "alter database "+school+" allow_connections false")
	if plan := w.doctor.Plan(w.finds("database_closed tenant_quarantined")); len(plan) != 0 {
		t.Errorf("it plans %+v", plan)
	}
}

// A repair without an error and without an effect is reported as failed, with advice, and is not in the audit log.
func TestARepairWithoutEffectIsReported(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	gone := uuid.New()
	cfg := w.config
	cfg.CancelJob = func(context.Context, int64) error { return nil }
	cfg.Jobs = func(context.Context) ([]doctor.Job, error) {
		return []doctor.Job{{ID: 7, Kind: "finish", State: "available", TenantID: &gone}}, nil
	}
	d := w.newDoctor(cfg)
	report, err := d.Examine(t.Context(), doctor.Options{})
	if err != nil || codes(report) != "job_without_row" {
		t.Fatalf("%v%s", err, describe(report))
	}
	var failed *doctor.NotRepairedError
	after, err := d.Fix(t.Context(), report, func(_ doctor.Finding, err error) {
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "Somebody has deleted a row by hand") {
			t.Errorf("it says %v", err)
		}
	})
	if err != nil || failed == nil || codes(after) != "job_without_row" {
		t.Errorf("%v, %v%s", err, failed, describe(after))
	}
	if n := value[int](w, "select count(*) from audit_events where action = 'doctor.fix'"); n != 0 {
		t.Errorf("%d repairs are in the audit", n)
	}
}
