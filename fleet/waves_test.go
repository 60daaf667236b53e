package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

const failingRow = "insert into pupils (name) values (null)"

// mark makes a tenant a canary.
func (b *bundle) mark(t *testing.T, id tenant.ID) {
	t.Helper()
	if err := b.catalog.SetCanary(t.Context(), id.UUID(), true); err != nil {
		t.Fatal(err)
	}
}

// versions are the versions in the tenants' own databases.
func (b *bundle) versions(t *testing.T) []int {
	t.Helper()
	all := make([]int, len(b.ids))
	for i, id := range b.ids {
		all[i] = version(t, id)
	}
	return all
}

func TestACanaryThatFailsSavesTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, 4)
	canary := b.ids[2]
	b.mark(t, canary)
	exec(t, canary, failingRow)
	all := b.fleet(t, schema(t, 3))
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.State != catalog.RunStopped || report.Run.Done != 0 || report.Run.Failed != 1 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if !strings.Contains(*report.Run.Problem, canary.Database()) || !strings.Contains(*report.Run.Problem, "null values") {
		t.Errorf("its problem is %q", *report.Run.Problem)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2, 2}) {
		t.Errorf("versions %v", got)
	}

	var halted *fleet.HaltedError
	if _, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); !errors.As(err, &halted) || halted.Run.ID != report.Run.ID {
		t.Errorf("an automatic run: %v", err)
	}
	exec(t, canary, "delete from pupils")
	report, err = all.Run(t.Context(), fleet.Options{By: "ada"})
	if err != nil || report.Run.State != catalog.RunDone || report.Run.Done != 4 {
		t.Errorf("after the correction: %+v, %v", report.Run, err)
	}
}

func TestTheErrorBudgetStopsARun(t *testing.T) {
	t.Parallel()
	b := setup(t, 8)
	for _, id := range b.ids[1:5] {
		exec(t, id, failingRow)
	}
	report, err := b.fleet(t, schema(t, 3)).Run(t.Context(), fleet.Options{By: "test", MaxFailures: new(1), Concurrency: 1})
	if err != nil || report.Run.State != catalog.RunStopped || report.Run.Failed != 2 || report.Run.Done != 1 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{3, 2, 2, 2, 2, 2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
	if groups, err := b.catalog.FailureGroups(t.Context(), report.Run.ID); err != nil || len(groups) != 1 || groups[0].Tenants != 2 {
		t.Errorf("failures %+v, %v", groups, err)
	}
}

func TestWavesGrow(t *testing.T) {
	t.Parallel()
	b := setup(t, 14)
	var order []string
	report, err := b.fleet(t, schema(t, 3)).Run(t.Context(), fleet.Options{By: "test", Progress: func(p fleet.Progress) {
		order = append(order, fmt.Sprintf("%d/%d", p.Wave, p.Waves))
	}})
	if err != nil || report.Run.Done != 14 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	want := slices.Concat([]string{"1/3"}, slices.Repeat([]string{"2/3"}, 10), slices.Repeat([]string{"3/3"}, 3))
	if !slices.Equal(order, want) {
		t.Errorf("waves %v", order)
	}
}

// TestPauseResumeAbort: the run is paused as soon as the first tenant is done.
func TestPauseResumeAbort(t *testing.T) {
	t.Parallel()
	b := setup(t, 6)
	all := b.fleet(t, schema(t, 3))
	pauseAfterFirst := func(p fleet.Progress) {
		if p.Done != 1 {
			return
		}
		run, err := b.catalog.OpenRun(t.Context())
		if err == nil {
			err = b.catalog.ChangeRun(t.Context(), run.ID, catalog.RunPaused, "ada")
		}
		if err != nil {
			t.Error(err)
		}
	}
	release := b.holdAll(t, 1) // so that the second wave waits until the pause is seen
	report, err := all.Run(t.Context(), fleet.Options{By: "test", Progress: pauseAfterFirst})
	if err != nil || report.Run.State != catalog.RunPaused || report.Run.Done != 1 || report.Run.Failed != 0 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	release()
	var paused *fleet.PausedError
	if _, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); !errors.As(err, &paused) {
		t.Errorf("an automatic run: %v", err)
	}
	if _, err := all.Run(t.Context(), fleet.Options{By: "grace", Only: []string{b.ids[5].Database()}}); !errors.As(err, &paused) {
		t.Errorf("another run: %v", err)
	}
	if worked, err := all.Work(t.Context()); worked || err != nil {
		t.Errorf("somebody worked on it: %v, %v", worked, err)
	}
	again, err := all.Run(t.Context(), fleet.Options{By: "grace"})
	if err != nil || again.Run.ID != report.Run.ID || again.Run.State != catalog.RunDone || again.Run.Done != 6 || *again.Run.ChangedBy != "grace" {
		t.Errorf("resumed: %+v, %v", again.Run, err)
	}
}

// holdAll locks the table of the tenants from the given one on, so that their migrations wait, until release is
// called.
func (b *bundle) holdAll(t *testing.T, from int) (release func()) {
	t.Helper()
	var conns []*pgx.Conn
	for _, id := range b.ids[from:] {
		conn := pgtest.Connect(t, pgtest.Server(t).URL(id.Database()))
		if _, err := conn.Exec(t.Context(), "begin; lock table pupils in access share mode"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	release = sync.OnceFunc(func() {
		for _, conn := range conns {
			_ = conn.Close(context.WithoutCancel(t.Context()))
		}
	})
	t.Cleanup(release)
	return release
}

// until waits until the newest run is in this state.
func (b *bundle) until(t *testing.T, state catalog.RunState) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		runs, err := b.catalog.Runs(context.WithoutCancel(t.Context()), "", 1)
		if err != nil || len(runs.Rows) == 1 && runs.Rows[0].State == state {
			return
		}
	}
}

func TestAnAbortedRunLeavesTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t, 6)
	all := b.fleet(t, schema(t, 3))
	run, err := all.Start(t.Context(), fleet.Options{By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.catalog.ChangeRun(t.Context(), run.ID, catalog.RunPaused, "ada"); err != nil {
		t.Fatal(err)
	}
	if err := b.catalog.ChangeRun(t.Context(), run.ID, catalog.RunAborted, "ada"); err != nil {
		t.Fatal(err)
	}
	if worked, err := all.Work(t.Context()); worked || err != nil {
		t.Errorf("somebody worked on it: %v, %v", worked, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2, 2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
	var halted *fleet.HaltedError
	if _, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); !errors.As(err, &halted) {
		t.Errorf("an automatic run: %v", err)
	}
	if report, err := all.Run(t.Context(), fleet.Options{By: "grace"}); err != nil || report.Run.Done != 6 {
		t.Errorf("the next: %+v, %v", report.Run, err)
	}
}

func TestAnyProcessWorksOnARunThatSomebodyStarted(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	run, err := b.fleet(t, schema(t, 3)).Start(t.Context(), fleet.Options{By: "ada"})
	if err != nil || run.State != catalog.RunRunning || run.Total != 3 {
		t.Fatalf("%+v, %v", run, err)
	}
	if worked, err := b.fleet(t, schema(t, 2)).Work(t.Context()); worked || err != nil {
		t.Errorf("a program without the files worked on it: %v, %v", worked, err)
	}
	if worked, err := b.fleet(t, schema(t, 3)).Work(t.Context()); !worked || err != nil {
		t.Errorf("worked: %v, %v", worked, err)
	}
	if now, err := b.catalog.RunByID(t.Context(), run.ID); err != nil || now.State != catalog.RunDone || now.Done != 3 {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestChosenTenantsGoBack(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	all := b.fleet(t, schema(t, 3))
	if _, err := all.Run(t.Context(), fleet.Options{By: "test"}); err != nil {
		t.Fatal(err)
	}
	chosen := []string{b.ids[1].Database()}
	plan, err := all.Plan(t.Context(), fleet.Options{Only: chosen, To: new(uint(1))})
	if err != nil || !plan.Down || !slices.Equal(plan.Files[3], []string{"000003_step.down.sql", "000002_step.down.sql"}) {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "ada", Only: chosen, To: new(uint(1))})
	if err != nil || report.Run.Done != 1 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{3, 1, 3}) {
		t.Errorf("versions %v", got)
	}
	if report, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); err != nil || report.Run.ID != uuid.Nil {
		t.Errorf("a run over the fleet migrated it: %+v, %v", report.Run, err)
	}
	if _, err := all.Run(t.Context(), fleet.Options{By: "ada", Only: []string{b.ids[0].Database(), b.ids[1].Database()}, To: new(uint(2))}); !errors.Is(err, fleet.ErrMixed) {
		t.Errorf("up and down at once: %v", err)
	}
	report, err = all.Run(t.Context(), fleet.Options{By: "ada", Only: chosen})
	if err != nil || report.Run.Done != 1 {
		t.Errorf("forward again: %+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{3, 3, 3}) {
		t.Errorf("versions %v", got)
	}
	if row, err := b.catalog.TenantByID(t.Context(), b.ids[1].UUID()); err != nil || row.HeldAt != nil {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := all.Plan(t.Context(), fleet.Options{To: new(uint(9))}); err == nil {
		t.Error("a version that does not exist was planned")
	}
}

func TestATenantThatSomebodyWaitsForComesFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, 14)
	all := b.fleet(t, schema(t, 3))
	if err := b.catalog.RequestMigration(t.Context(), b.ids[12].UUID()); err != nil {
		t.Fatal(err)
	}
	first := true
	// While the first of the second wave waits for its lock, the last one of that wave is prioritized.
	release := b.holdAll(t, 0)
	go func() {
		defer release()
		b.until(t, catalog.RunRunning)
		if err := b.catalog.RequestMigration(t.Context(), b.ids[9].UUID()); err != nil {
			t.Error(err)
		}
	}()
	report, err := all.Run(t.Context(), fleet.Options{By: "test", Concurrency: 1, Progress: func(fleet.Progress) { first = false }})
	if err != nil || report.Run.Done != 14 || first {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if got := report.Outcomes[0].TenantID; got != b.ids[12].UUID() {
		t.Errorf("the first was %s, want %s", got, b.ids[12])
	}
	if at := slices.IndexFunc(report.Outcomes, func(o catalog.Outcome) bool { return o.TenantID == b.ids[9].UUID() }); at > 3 {
		t.Errorf("the one that somebody waited for was number %d", at+1)
	}
}
