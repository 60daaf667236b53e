package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"homeroom/doctor"
	"homeroom/signup"
	"homeroom/tenant"
)

// TestASpareWithData writes into a spare that the next school would get. The doctor quarantines it, and leaves its data
// to a person.
func TestASpareWithData(t *testing.T) {
	t.Parallel()
	w := setup(t, 2)
	spare := spareOf(w)
	w.usable(spare)
	report := w.finds("spare_with_data")
	if f := report.Findings[0]; f.Severity != doctor.Error || f.Subject != spare || !strings.Contains(f.Detail, "the next school would get") {
		t.Error(describe(report))
	}
	w.followAll(report)
	w.refillSpares()
	left(w, spare)
	for range 3 { // more schools than there were spares
		if school := w.school(); school.School.Database == spare {
			t.Fatal("a school got the spare")
		}
	}
	w.usable(spare) // its data and its role still exist
	w.superuser("postgres", "drop database "+spare)
	w.service = w.newService(func(c *signup.Config) { c.Spares = 2 }) // which tries at once to remove the spare again
	w.refillSpares()
	w.finds("")
}

// TestASpareThatIsMarkedAsInUse marks a spare's database as in use by a school, which is visible from outside.
func TestASpareThatIsMarkedAsInUse(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	spare := spareOf(w)
	id, err := tenant.ParseDatabase(spare)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.server.MarkInUse(t.Context(), map[tenant.ID]string{id: "Lincoln High"}); err != nil {
		t.Fatal(err)
	}
	report, err := w.doctor.Examine(t.Context(), doctor.Options{})
	if err != nil || codes(report) != "spare_with_data" || !strings.Contains(report.Findings[0].Detail, "Lincoln High") {
		t.Fatalf("%v%s", err, describe(report))
	}
	w.fix(w.finds("spare_with_data"))
	w.refillSpares()
	left(w, spare)
}

// left checks that a spare is reported as one that cannot be claimed, and that nothing more is repaired.
func left(w *world, spare string) {
	w.Helper()
	report := w.finds("spare_with_data")
	if f := report.Findings[0]; f.Severity != doctor.Warning || f.Subject != spare || len(w.doctor.Plan(report)) != 0 ||
		strings.Contains(f.Detail, "the next school") {
		w.Error(describe(report))
	}
	if n := value[int](w, "select count(*) from tenants where state = 'spare' and database <> $1", spare); n == 0 {
		w.Error("no other spare was built")
	}
}

// TestSparesWithRowsFromMigrations has migrations that write rows into every tenant: these do not mean that a spare is
// in use.
func TestSparesWithRowsFromMigrations(t *testing.T) {
	t.Parallel()
	w := setup(t, 2)
	w.sql("update tenants set lineage = 'of a school''s own', " + stays)
	spares := sparesOf(w)
	for _, spare := range spares {
		w.usable(spare)
	}
	holds := func() bool {
		return slices.Contains(strings.Fields(codes(w.examine())), "spare_with_data")
	}
	if holds() {
		t.Error("it takes rows of the migrations for a person's")
	}
	w.superuser(spares[0], "delete from lunch_weeks")
	if !holds() {
		t.Error("it does not report rows that the other spare does not have")
	}
}

// stays is the SET of an update that leaves a spare as claimable as before.
const stays = "claimable_xid = pg_current_xact_id()::xid"

func sparesOf(w *world) []string {
	w.Helper()
	return value[[]string](w, "select array_agg(database) from tenants where state = 'spare'")
}
