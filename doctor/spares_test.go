package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"homeroom/doctor"
	"homeroom/signup"
	"homeroom/tenant"
)

// TestASpareWithData writes into a spare that the next school would be given. The doctor takes it out of the stock, and leaves what
// is in it to a person.
func TestASpareWithData(t *testing.T) {
	t.Parallel()
	w := setup(t, 2)
	spare := spareOf(w)
	w.usable(spare)
	report := w.finds("spare_with_data")
	if f := report.Findings[0]; f.Severity != doctor.Error || f.Subject != spare || !strings.Contains(f.Detail, "the next school would be given") {
		t.Error(describe(report))
	}
	w.followAll(report)
	w.refillSpares()
	left(w, spare)
	for range 3 { // more schools than there were spares
		if school := w.school(); school.School.Database == spare {
			t.Fatal("a school was given the spare")
		}
	}
	w.usable(spare) // its data and its role are still there
	w.superuser("postgres", "drop database "+spare)
	w.service = w.newService(func(c *signup.Config) { c.Spares = 2 }) // which does not wait before it tries again to remove the spare
	w.refillSpares()
	w.finds("")
}

// TestASpareThatIsMarkedAsInUse has a spare's database say that a school has it, which a look from outside sees.
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

// left checks that a spare is told of as one that nobody is given, and that nothing more is repaired.
func left(w *world, spare string) {
	w.Helper()
	report := w.finds("spare_with_data")
	if f := report.Findings[0]; f.Severity != doctor.Warning || f.Subject != spare || len(w.doctor.Plan(report)) != 0 ||
		strings.Contains(f.Detail, "the next school") {
		w.Error(describe(report))
	}
	if n := value[int](w, "select count(*) from tenants where state = 'spare' and database <> $1", spare); n == 0 {
		w.Error("no other spare was made")
	}
}

// TestSparesWithRowsFromMigrations has migrations that write rows into every tenant: a spare is not somebody's for that.
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
		t.Error("it takes what the migrations wrote for somebody's")
	}
	w.superuser(spares[0], "delete from lunch_weeks")
	if !holds() {
		t.Error("it does not tell of rows that the other spare does not have")
	}
}

// stays is for the SET of an update that leaves a spare as claimable as it was.
const stays = "claimable_xid = pg_current_xact_id()::xid"

func sparesOf(w *world) []string {
	w.Helper()
	return value[[]string](w, "select array_agg(database) from tenants where state = 'spare'")
}
