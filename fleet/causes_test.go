package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	migrate "github.com/golang-migrate/migrate/v4/database"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/tenant"
)

// patient makes a fleet that retries a tenant for retryFor, and whose migrations wait for a lock for lockTimeout.
func (b *bundle) fleetWithTimeouts(t *testing.T, set *migrations.Set, retryFor, lockTimeout time.Duration) *fleet.Fleet {
	t.Helper()
	all, err := fleet.New(fleet.Config{
		Catalog: b.catalog, Servers: fleet.OnServers(tenant.Servers{"main": openWith(t, set, lockTimeout)}), RetryFor: retryFor,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// third is the schema with the first two files and this one.
func third(t *testing.T, file string) *migrations.Set {
	t.Helper()
	return schemaOf(t, append(slices.Clone(files[:2]), file))
}

// TestAnErrorThatAFileRaisesQuarantinesTheTenant: also with an error code that from a session would mean that the
// server is closed or unreachable.
func TestAnErrorThatAFileRaisesQuarantinesTheTenant(t *testing.T) {
	t.Parallel()
	const raise = "do $$ begin if exists (select from pupils) then raise exception 'no' using errcode = '"
	for name, file := range map[string]string{
		"a sequence that is asked too early": "create sequence s; update pupils set class = currval('s')",
		"a transaction that it closed": "do $$ begin if exists (select from pupils) then set transaction read only; " +
			"insert into pupils values ('a'); end if; end $$",
		"a lost connection": raise + "08006'; end if; end $$",
		"a full disk":       raise + "53100'; end if; end $$",
		"a shutdown":        raise + "57P01'; end if; end $$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 3)
			for _, id := range b.ids {
				exec(t, id, "insert into pupils values ('Ada')")
			}
			report, err := b.fleet(t, third(t, file)).Run(t.Context(), fleet.Options{By: "test"})
			if err != nil || report.Run.State != catalog.RunStopped || report.Run.Failed != 1 || report.Run.Done != 0 ||
				!report.Outcomes[0].Counts || report.Outcomes[0].Attempts != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			if row, err := b.catalog.TenantByID(t.Context(), report.Outcomes[0].TenantID); err != nil || row.State != catalog.Quarantined {
				t.Errorf("%+v, %v", row, err)
			}
			if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2}) {
				t.Errorf("versions %v", got)
			}
		})
	}
}

func TestAConflictWithAnotherSessionIsRetried(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"55P03", "40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			exec(t, b.ids[0], "insert into pupils values ('Ada')")
			all := b.fleetWithTimeouts(t, third(t, "do $$ begin if exists (select from pupils) then raise exception 'no' using errcode = '"+code+"'; end if; end $$"), 50*time.Millisecond, 0)
			report, err := all.Run(t.Context(), fleet.Options{By: "test"})
			if err != nil || report.Run.Failed != 1 || report.Outcomes[0].Counts || report.Outcomes[0].Attempts < 2 {
				t.Fatalf("%+v, %v", report, err)
			}
		})
	}
}

// TestATableWithoutReplicaIdentityIsQuarantinedOnce: an update of the table fails in every run, until somebody
// changes it.
func TestATableWithoutReplicaIdentityIsQuarantinedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	exec(t, b.ids[1], "create publication everything for all tables; insert into pupils values ('Ada')")
	all := b.fleet(t, third(t, "update pupils set class = 'x'"))
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.Done != 2 || report.Run.Failed != 1 || !strings.Contains(*report.Outcomes[0].Problem, "replica identity") ||
		report.Outcomes[0].Attempts != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if again, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true, SkipQuarantined: true}); err != nil || again.Run.ID != uuid.Nil {
		t.Errorf("a service tries it again: %+v, %v", again.Run, err)
	}
}

// TestACanaryThatIsLockedHoldsTheRun until the lock is released: then the next automatic run starts.
func TestACanaryThatIsLockedHoldsTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t, 4)
	canary := b.ids[1]
	b.mark(t, canary)
	release := b.hold(t, canary, "begin; lock table pupils in access share mode")
	all := b.fleetWithTimeouts(t, schema(t, 3), 100*time.Millisecond, 50*time.Millisecond)
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.State != catalog.RunStopped || report.Run.Done != 0 || report.Run.Failed != 1 || report.Outcomes[0].Counts {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, want := range []string{canary.Database(), "could not be migrated yet", "lock timeout", "hold locks on tables: " + canary.Database()} {
		if !strings.Contains(*report.Run.Problem, want) {
			t.Errorf("its problem does not say %q: %s", want, *report.Run.Problem)
		}
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
	release()
	report, err = all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true, SkipQuarantined: true})
	if err != nil || report.Run.State != catalog.RunDone || report.Run.Done != 4 {
		t.Errorf("after the lock was released: %+v, %v", report.Run, err)
	}
}

// hold runs a statement in a session of a tenant's own role, and keeps the session open.
func (b *bundle) hold(t *testing.T, id tenant.ID, sql string) (release func()) {
	t.Helper()
	conn := pgtest.Connect(t, open(t, schema(t, 2)).URL(id, 0).Reveal())
	release = func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
	t.Cleanup(release)
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return release
}

// migrationLock returns SQL with which a session takes the lock of a database's migrations. The tenant's role may not
// do that in new databases, but could in databases that were created by earlier versions.
func migrationLock(t *testing.T, id tenant.ID) string {
	t.Helper()
	exec(t, id, "grant execute on function pg_advisory_lock(bigint) to public")
	lock, err := migrate.GenerateAdvisoryLockId(id.Database(), "public", "schema_migrations")
	if err != nil {
		t.Fatal(err)
	}
	return "select pg_advisory_lock(" + lock + ")"
}

// TestATenantThatHoldsTheMigrationsLockFailsAlone: only that tenant fails, and its outcome names the role.
func TestATenantThatHoldsTheMigrationsLockFailsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	held := b.ids[1]
	b.hold(t, held, migrationLock(t, held))
	report, err := b.fleetWithTimeouts(t, schema(t, 3), 100*time.Millisecond, 50*time.Millisecond).Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.State != catalog.RunDone || report.Run.Done != 2 || report.Run.Failed != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	failed := report.Outcomes[0]
	if failed.TenantID != held.UUID() || failed.Counts || failed.Attempts < 2 ||
		!strings.Contains(*failed.Problem, "is held by a session of role "+held.Database()) {
		t.Errorf("%+v: %s", failed, *failed.Problem)
	}
	if row, err := b.catalog.TenantByID(t.Context(), held.UUID()); err != nil || row.State != catalog.Spare || row.SchemaVersion != 2 {
		t.Errorf("%+v, %v", row, err)
	}
}

// TestAPauseAndAnAbortEndMigrationsThatWait, however long they would wait.
func TestAPauseAndAnAbortEndMigrationsThatWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lock  func(t *testing.T, id tenant.ID) string
		state catalog.RunState
	}{
		"a table":              {func(*testing.T, tenant.ID) string { return "begin; lock table pupils in access share mode" }, catalog.RunAborted},
		"the migrations' lock": {migrationLock, catalog.RunPaused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 2)
			b.hold(t, b.ids[0], c.lock(t, b.ids[0]))
			all := b.fleetWithTimeouts(t, schema(t, 3), time.Hour, time.Hour)
			run, err := all.Start(t.Context(), fleet.Options{By: "test"})
			if err != nil {
				t.Fatal(err)
			}
			worked := make(chan error, 1)
			go func() {
				_, err := all.Work(t.Context())
				worked <- err
			}()
			b.migrating(t, b.ids[0])
			if err := b.catalog.ChangeRun(t.Context(), run.ID, c.state, "ada"); err != nil {
				t.Fatal(err)
			}
			if err := <-worked; err != nil {
				t.Errorf("it ends with %v", err)
			}
			now, err := b.catalog.RunByID(t.Context(), run.ID)
			if err != nil || now.State != c.state || now.Done+now.Failed != 0 {
				t.Errorf("%+v, %v", now, err)
			}
			if got := b.versions(t); !slices.Equal(got, []int{2, 2}) {
				t.Errorf("versions %v", got)
			}
		})
	}
}

// migrating waits until a tenant's migration has begun.
func (b *bundle) migrating(t *testing.T, id tenant.ID) {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Server(t).URL("postgres"))
	defer conn.Close(context.WithoutCancel(t.Context()))
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		var there bool
		err := conn.QueryRow(t.Context(), "select exists (select from pg_stat_activity where datname = $1 and application_name = 'homeroom' and query <> '')",
			id.Database()).Scan(&there)
		if err != nil {
			t.Fatal(err)
		}
		if there {
			return
		}
	}
}

// TestAQuarantinedCanaryKeepsItsPlace: no other tenant becomes the canary.
func TestAQuarantinedCanaryKeepsItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t, 4)
	canary := b.ids[2]
	b.mark(t, canary)
	if err := b.catalog.Quarantine(t.Context(), canary.UUID(), catalog.MigrationFailed, "it failed before"); err != nil {
		t.Fatal(err)
	}
	exec(t, canary, failingRow)
	all := b.fleet(t, schema(t, 3))
	var waits *fleet.CanaryError
	if _, err := all.Run(t.Context(), fleet.Options{By: "serve", Automatic: true, SkipQuarantined: true}); !errors.As(err, &waits) ||
		!strings.Contains(err.Error(), "the canary "+canary.Database()+" is quarantined") {
		t.Errorf("a service that leaves it out: %v", err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err != nil || report.Run.State != catalog.RunStopped || report.Run.Failed != 1 || report.Outcomes[0].TenantID != canary.UUID() {
		t.Fatalf("%+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
}

// TestACanaryOnAServerThatIsAwayHoldsTheRun.
func TestACanaryOnAServerThatIsAwayHoldsTheRun(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	b.mark(t, b.ids[2])
	if err := b.catalog.RegisterServers(t.Context(), []string{"away"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalog.Pool().Exec(t.Context(), "update tenants set server = 'away' where id = $1", b.ids[2].UUID()); err != nil {
		t.Fatal(err)
	}
	away, err := tenant.Open(tenant.Config{
		Name: "away", URL: "postgres://u:p@127.0.0.1:1/postgres", Key: make([]byte, 32), Migrations: schema(t, 3),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	all, err := fleet.New(fleet.Config{
		Catalog: b.catalog, Servers: fleet.OnServers(tenant.Servers{"main": open(t, schema(t, 3)), "away": away}), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := all.Run(t.Context(), fleet.Options{By: "test"})
	if err == nil || !strings.Contains(err.Error(), "the canary "+b.ids[2].Database()+" could not be reached") || report.Run.State != catalog.RunFailed ||
		len(report.Outcomes) != 0 {
		t.Errorf("%+v, %v", report.Run, err)
	}
	if got := b.versions(t); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("versions %v", got)
	}
}
