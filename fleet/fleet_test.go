package fleet_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

func TestRunMigratesWhatIsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	all := b.fleet(t, schema(t, 3))
	plan, err := all.Plan(t.Context(), fleet.Options{})
	if err != nil || len(plan.Tenants) != 5 || !slices.Equal(plan.Waves, []int{1, 4}) || plan.MaxFailures != 3 ||
		!slices.Equal(plan.Files[2], []string{"000003_step.up.sql"}) {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	var seen []fleet.Progress
	report, err := all.Run(t.Context(), fleet.Options{By: "test", Progress: func(p fleet.Progress) { seen = append(seen, p) }})
	if err != nil {
		t.Fatal(err)
	}
	if report.Run.Done != 5 || report.Run.Failed != 0 || report.Run.State != "done" || len(report.Outcomes) != 5 {
		t.Errorf("run %+v with %d outcomes", report.Run, len(report.Outcomes))
	}
	if len(seen) != 5 || seen[4].Done != 5 || seen[4].Total != 5 {
		t.Errorf("progress %+v", seen)
	}
	for _, id := range b.ids {
		if v := version(t, id); v != 3 {
			t.Errorf("tenant %s is at version %d", id, v)
		}
	}
	again, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || again.Run.ID != uuid.Nil {
		t.Errorf("a second run: %+v, %v", again, err)
	}
}

func TestAFailingTenantIsQuarantinedAndTheRestIsMigrated(t *testing.T) {
	t.Parallel()
	b := setup(t, 6)
	failing := b.ids[2]
	exec(t, failing, "insert into pupils (name) values (null)")
	all := b.fleet(t, schema(t, 3))
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if report.Run.Done != 5 || report.Run.Failed != 1 {
		t.Errorf("run %+v", report.Run)
	}
	failed := report.Outcomes[0]
	if failed.TenantID != failing.UUID() || failed.Problem == nil || !strings.Contains(*failed.Problem, "contains null values") ||
		failed.ToVersion != 2 {
		t.Errorf("the first outcome is %+v", failed)
	}
	row, err := b.catalog.TenantByID(t.Context(), failing.UUID())
	if err != nil || row.State != catalog.Quarantined || row.SchemaVersion != 2 || *row.QuarantineCause != *failed.Problem {
		t.Errorf("tenant %+v, %v", row, err)
	}
	if v := version(t, failing); v != 2 {
		t.Errorf("the poisoned tenant is at version %d", v)
	}

	exec(t, failing, "delete from pupils")
	report, err = all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.Done != 1 || report.Run.Failed != 0 || report.Run.Total != 1 {
		t.Errorf("after the correction: %+v, %v", report.Run, err)
	}
	if row, err := b.catalog.TenantByID(t.Context(), failing.UUID()); err != nil || row.State != catalog.Spare {
		t.Errorf("after the correction: %+v, %v", row, err)
	}
}

func TestAMigrationThatCannotRunReachesNoTenant(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	broken := append(append([]string{}, files[:2]...), "create table broken (")
	_, err := b.fleet(t, schemaOf(t, broken)).Run(t.Context(), fleet.Options{By: "test"})
	if err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("got %v", err)
	}
	for _, id := range b.ids {
		if v := version(t, id); v != 2 {
			t.Errorf("tenant %s is at version %d", id, v)
		}
	}
	if _, err := b.catalog.OpenRun(t.Context()); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a run is open: %v", err)
	}
}

func TestManyThatStartTogetherMakeOneRun(t *testing.T) {
	t.Parallel()
	b := setup(t, 8)
	exec(t, b.ids[1], "insert into pupils (name) values (null)")
	var mu sync.Mutex
	runs := map[uuid.UUID]int{}
	var group sync.WaitGroup
	for range 4 {
		all := b.fleet(t, schema(t, 3))
		group.Go(func() {
			report, err := all.Run(t.Context(), fleet.Options{By: "test"})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			runs[report.Run.ID]++
			if report.Run.Done != 7 || report.Run.Failed != 1 {
				t.Errorf("run %+v, joined %v", report.Run, report.Joined)
			}
		})
	}
	group.Wait()
	if len(runs) != 1 {
		t.Errorf("%d runs, want one: %v", len(runs), runs)
	}
}

func TestARunWhoseProcessDiedIsContinued(t *testing.T) {
	t.Parallel()
	b := setup(t, 6)
	all := b.fleet(t, schema(t, 3))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := all.Run(ctx, fleet.Options{By: "first", Progress: func(p fleet.Progress) {
		if p.Done == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	left, err := b.catalog.OpenRun(t.Context())
	if err != nil || left.Done == 0 || left.Done == 6 {
		t.Fatalf("the interrupted run is %+v, %v", left, err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "second"})
	if err != nil || report.Run.ID != left.ID || report.Run.Done != 6 || report.Run.State != "done" {
		t.Errorf("the run is %+v, %v", report.Run, err)
	}
}

func TestOnlyChosenTenants(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	report, err := b.fleet(t, schema(t, 3)).Run(t.Context(), fleet.Options{By: "test", Only: []string{b.ids[1].Database()}})
	if err != nil || report.Run.Done != 1 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	for i, want := range []int{2, 3, 2} {
		if v := version(t, b.ids[i]); v != want {
			t.Errorf("tenant %d is at version %d, want %d", i, v, want)
		}
	}
}

func TestATenantThatIsAheadIsServedAndLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	if _, err := b.fleet(t, schema(t, 3)).Run(t.Context(), fleet.Options{By: "new"}); err != nil {
		t.Fatal(err)
	}
	report, err := b.fleet(t, schema(t, 2)).Run(t.Context(), fleet.Options{By: "old"})
	if err != nil || report.Run.ID != uuid.Nil {
		t.Errorf("the older program ran %+v, %v", report.Run, err)
	}
	// Also where the catalog does not know it, as after a restore.
	if _, err := b.catalog.Pool().Exec(t.Context(), "update tenants set schema_version = 1"); err != nil {
		t.Fatal(err)
	}
	report, err = b.fleet(t, schema(t, 2)).Run(t.Context(), fleet.Options{By: "old"})
	if err != nil || report.Run.Done != 2 {
		t.Errorf("the older program ran %+v, %v", report.Run, err)
	}
	for _, id := range b.ids {
		row, err := b.catalog.TenantByID(t.Context(), id.UUID())
		if v := version(t, id); v != 3 || err != nil || row.SchemaVersion != 3 {
			t.Errorf("tenant %s is at version %d, in the catalog at %d, %v", id, v, row.SchemaVersion, err)
		}
	}
}

// TestALockThatSomebodyHoldsFailsATenantWithoutAQuarantine: the cause is outside the tenant, and temporary.
func TestALockThatSomebodyHoldsFailsATenantWithoutAQuarantine(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	held := b.ids[0]
	conn := pgtest.Connect(t, pgtest.Server(t).URL(held.Database()))
	if _, err := conn.Exec(t.Context(), "begin; lock table pupils"); err != nil {
		t.Fatal(err)
	}
	all, err := fleet.New(fleet.Config{
		Catalog: b.catalog, Servers: fleet.OnServers(tenant.Servers{"main": openWithoutLockWait(t, schema(t, 3))}), RetryFor: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "test", Canaries: new(0)})
	if err != nil || report.Run.Done != 1 || report.Run.Failed != 1 || report.Outcomes[0].Attempts < 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	if row, err := b.catalog.TenantByID(t.Context(), held.UUID()); err != nil || row.State != catalog.Spare {
		t.Errorf("tenant %+v, %v", row, err)
	}
}

func TestAServerThatIsAwayKeepsOnlyItsOwnTenantsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	if err := b.catalog.RegisterServers(t.Context(), []string{"away"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalog.Pool().Exec(t.Context(), "update tenants set server = 'away' where id = $1", b.ids[0].UUID()); err != nil {
		t.Fatal(err)
	}
	away, err := tenant.Open(tenant.Config{
		Name: "away", URL: "postgres://u:p@127.0.0.1:1/postgres", Key: make([]byte, 32), Migrations: schema(t, 3),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	all, err := fleet.New(fleet.Config{Catalog: b.catalog, Servers: fleet.OnServers(tenant.Servers{"main": open(t, schema(t, 3)), "away": away})})
	if err != nil {
		t.Fatal(err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err == nil || !strings.Contains(err.Error(), "away") || report.Run.Done != 1 || report.Run.Failed != 0 {
		t.Errorf("%+v, %v", report.Run, err)
	}
	if v := version(t, b.ids[1]); v != 3 {
		t.Errorf("the other server's tenant is at version %d", v)
	}
}

func TestOtherMigrationsTenantsAreNeverTouched(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	other := schemaOf(t, []string{"create table something_else (id int);", "select 1;", "select 2;", "select 3;"})
	report, err := b.fleet(t, other).Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.Total != 0 {
		t.Errorf("%+v, %v", report.Run, err)
	}
	if v := version(t, b.ids[0]); v != 2 {
		t.Errorf("version %d", v)
	}
}
