package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/tenant"
)

// between is the catalog, and runs a function between two of its statements.
type between struct {
	*catalog.Store
	beforeBehind func(catalog.BehindFilter)
	afterOpenRun func(catalog.Run)
}

// Behind runs the function, and then lists tenants.
func (b between) Behind(ctx context.Context, filter catalog.BehindFilter) ([]catalog.Tenant, error) {
	if b.beforeBehind != nil {
		b.beforeBehind(filter)
	}
	return b.Store.Behind(ctx, filter)
}

// OpenRun finds the open run, and then runs the function.
func (b between) OpenRun(ctx context.Context) (catalog.Run, error) {
	run, err := b.Store.OpenRun(ctx)
	if err == nil && b.afterOpenRun != nil {
		b.afterOpenRun(run)
	}
	return run, err
}

func (b *bundle) fleetWith(t *testing.T, store fleet.Store) *fleet.Fleet {
	t.Helper()
	all, err := fleet.New(fleet.Config{
		Catalog: store, Servers: fleet.OnServers(tenant.Servers{"main": open(t, schema(t, 3))}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAFailureIsRememberedByTheNextProcess: the first one died after it had recorded the failure.
func TestAFailureIsRememberedByTheNextProcess(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]fleet.Options{
		"of a canary":           {By: "test"},
		"that spent the budget": {By: "test", Canaries: new(0), MaxFailures: new(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 3)
			all := b.fleet(t, schema(t, 3))
			run, err := all.Start(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.catalog.RecordOutcomes(t.Context(), run.ID, []catalog.Outcome{{
				TenantID: b.ids[0].UUID(), Database: b.ids[0].Database(), State: "failed", FromVersion: 2, ToVersion: 2,
				Problem: new("it does not fit"), Attempts: 1, Counts: true,
			}}); err != nil {
				t.Fatal(err)
			}
			if _, err := all.Work(t.Context()); err != nil {
				t.Fatal(err)
			}
			if now, err := b.catalog.RunByID(t.Context(), run.ID); err != nil || now.State != catalog.RunStopped || now.Problem == nil {
				t.Errorf("%+v, %v", now, err)
			}
			if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2}) {
				t.Errorf("versions %v", got)
			}
		})
	}
}

// TestNoAutomaticRunFollowsOneThatStoppedMeanwhile: two services start together, and one of them waits for the template.
func TestNoAutomaticRunFollowsOneThatStoppedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	set := schema(t, 3)
	other := catalog.NewRun{
		ID: uuid.Must(uuid.NewV7()), Lineage: set.Lineage(), SchemaHash: set.Hash(), ToVersion: 3, Direction: "up", Total: 2,
		StartedBy: "the other", Concurrency: 1,
	}
	all := b.fleetWith(t, between{Store: b.catalog, beforeBehind: func(catalog.BehindFilter) {
		err := b.catalog.StartRun(t.Context(), other)
		if err == nil {
			err = b.catalog.RecordOutcomes(t.Context(), other.ID, []catalog.Outcome{{
				TenantID: b.ids[0].UUID(), Database: b.ids[0].Database(), State: "failed", FromVersion: 2, ToVersion: 2,
				Problem: new("it does not fit"), Attempts: 1, Counts: true,
			}})
		}
		if err == nil {
			err = b.catalog.FinishRun(t.Context(), other.ID, catalog.RunStopped, "the canary failed")
		}
		if err != nil {
			t.Error(err)
		}
	}})
	var halted *fleet.HaltedError
	if _, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); !errors.As(err, &halted) || halted.Run.ID != other.ID {
		t.Errorf("it began: %v", err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("versions %v", got)
	}
}

func TestAStoppedRunIsIgnoredWhenNothingIsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	b.mark(t, b.ids[0])
	exec(t, b.ids[0], failingRow)
	all := b.fleet(t, schema(t, 3))
	if report, err := all.Run(t.Context(), fleet.Options{By: "test"}); err != nil || report.Run.State != catalog.RunStopped {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	exec(t, b.ids[0], "delete from pupils")
	named := []string{b.ids[0].Database(), b.ids[1].Database()}
	if report, err := all.Run(t.Context(), fleet.Options{By: "ada", Only: named}); err != nil || report.Run.Done != 2 {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if report, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true}); err != nil || report.Run.ID != uuid.Nil {
		t.Errorf("%+v, %v", report.Run, err)
	}
}

// TestAPauseBeforeAWaveStopsTheRun: no tenant of the wave is begun.
func TestAPauseBeforeAWaveStopsTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	all := b.fleetWith(t, between{Store: b.catalog, beforeBehind: func(filter catalog.BehindFilter) {
		if filter.NotIn == uuid.Nil {
			return
		}
		if err := b.catalog.ChangeRun(t.Context(), filter.NotIn, catalog.RunPaused, "ada"); err != nil {
			t.Error(err)
		}
	}})
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.State != catalog.RunPaused || len(report.Outcomes) != 0 {
		t.Errorf("%+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
}

// TestAnotherRunThatIsPausedMeanwhileIsReported instead of an error about an active run, for which the caller would
// wait.
func TestAnotherRunThatIsPausedMeanwhileIsReported(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	if _, err := b.fleet(t, schema(t, 3)).Start(t.Context(), fleet.Options{By: "test"}); err != nil {
		t.Fatal(err)
	}
	all := b.fleetWith(t, between{Store: b.catalog, afterOpenRun: func(run catalog.Run) {
		if err := b.catalog.ChangeRun(t.Context(), run.ID, catalog.RunPaused, "ada"); err != nil && !errors.Is(err, catalog.ErrStateChanged) {
			t.Error(err)
		}
	}})
	var paused *fleet.PausedError
	if _, err := all.Run(t.Context(), fleet.Options{By: "grace", Only: []string{b.ids[1].Database()}}); !errors.As(err, &paused) {
		t.Errorf("another run: %v", err)
	}
}

// TestAFailureRecordsTheVersionThatWasFound: a process has migrated the tenant, and died before it recorded the
// version.
func TestAFailureRecordsTheVersionThatWasFound(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	if _, err := open(t, schema(t, 3)).MigrateTo(t.Context(), b.ids[0], 3); err != nil {
		t.Fatal(err)
	}
	exec(t, b.ids[0], "insert into pupils (name) values ('Ada')")
	fourth := schemaOf(t, append(slices.Clone(files), "alter table pupils add check (name <> 'Ada');"))
	report, err := b.fleet(t, fourth).Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.Failed != 1 || report.Outcomes[0].ToVersion != 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	if row, err := b.catalog.TenantByID(t.Context(), b.ids[0].UUID()); err != nil || row.SchemaVersion != 3 || row.State != catalog.Quarantined {
		t.Errorf("%+v, %v", row, err)
	}
}
