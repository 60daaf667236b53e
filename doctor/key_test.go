package doctor_test

import (
	"bytes"
	"testing"

	"homeroom/doctor"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

// TestANewTenantKey sets the passwords of another key for the roles of all tenants and spares, also of a tenant that
// must keep its version.
func TestANewTenantKey(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	held := w.school().School.Database
	w.sql("update tenants set held_at = schema_version - 1 where state = 'ready'")
	w.school()
	w.school()
	if err := w.catalog.SetTenantKeyCheck(t.Context(), tenant.KeyCheck(key), "test"); err != nil {
		t.Fatal(err)
	}
	another := bytes.Repeat([]byte("another key."), 4)
	server, err := tenant.Open(tenant.Config{URL: secret.String(w.postgres.URL("postgres")), Key: another})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	w.config.Servers, w.config.KeyCheck = tenant.Servers{"main": server}, tenant.KeyCheck(another)
	w.doctor = w.newDoctor(w.config)
	if plan := w.doctor.Plan(w.finds("tenant_key_differs")); len(plan) != 0 {
		t.Errorf("it plans %+v", plan)
	}
	report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All, NewTenantKey: true})
	if err != nil || codes(report) != "logins_refused tenant_key_differs" || w.doctor.Plan(report)[0].Code != doctor.TenantKeyDiffers {
		t.Fatalf("%v%s", err, describe(report))
	}
	w.fix(report)
	w.finds("")
	databases := append(sparesOf(w), held)
	for _, database := range databases {
		id, err := tenant.ParseDatabase(database)
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Connect(t, server.URL(id, 0).Reveal())
	}
}

// If a key cannot be recorded, no role gets a password from it.
func TestANewTenantKeyThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school().School.Database
	w.superuser("postgres", "alter role "+school+" password 'changed'")
	w.config.KeyCheck = tenant.KeyCheck(key)
	w.doctor = w.newDoctor(w.config)
	report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All, NewTenantKey: true})
	if err != nil || codes(report) != "login_refused tenant_key_differs" {
		t.Fatalf("%v%s", err, describe(report))
	}
	w.sql("alter table installation rename to away")
	if _, err := w.doctor.Fix(t.Context(), report, func(doctor.Finding, error) {}); err == nil {
		t.Error("it goes on")
	}
	w.sql("alter table away rename to installation")
	w.finds("login_refused")
}
