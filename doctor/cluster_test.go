package doctor_test

import (
	"strings"
	"testing"

	"homeroom/doctor"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

// TestAServerThatIsAnotherCluster lets the catalog have another system identifier than the server, as after pg_upgrade.
func TestAServerThatIsAnotherCluster(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school := w.school().School.Database
	const former = 7
	// moved returns the doctor of a new process whose server was another cluster before.
	moved := func() doctor.Report {
		t.Helper()
		w.sql("update servers set system_identifier = $1", former)
		server, err := tenant.Open(tenant.Config{URL: secret.String(w.postgres.URL("postgres")), Key: key})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		server.ExpectCluster(former)
		w.config.Servers = tenant.Servers{"main": server}
		w.doctor = w.newDoctor(w.config)
		return w.finds("server_is_another_cluster")
	}
	comment := func(text string) { w.superuser("postgres", "comment on database "+school+" is "+text) }
	mark := "'homeroom tenant " + value[string](w, "select id::text from tenants where database = $1", school) + "'"

	comment("'homeroom tenant 0199c1b0-0000-7000-8000-000000000000'")
	report := moved()
	if len(w.doctor.Plan(report)) != 0 || !strings.Contains(report.Findings[0].Detail, "of 1 of 2 tenants exist there") {
		t.Error(describe(report))
	}
	w.followAll(report) // a person knows that the database is lost
	w.config.Servers["main"].ExpectCluster(value[uint64](w, "select system_identifier from servers"))
	w.finds("database_foreign")

	comment(mark)
	report = moved()
	w.fix(report)
	w.finds("")
	w.followAll(moved())
	if identifier, err := w.server.SystemIdentifier(t.Context()); err != nil || value[uint64](w, "select system_identifier from servers") != identifier {
		t.Errorf("another cluster than %d is recorded, %v", identifier, err)
	}

	report = moved()
	comment("'homeroom tenant 0199c1b0-0000-7000-8000-000000000000'")
	_, err := w.doctor.Fix(t.Context(), report, func(_ doctor.Finding, err error) {
		if err == nil {
			t.Error("it records a cluster that has changed since it was examined")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
