package signup_test

import (
	"errors"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/signup"
	"homeroom/tenant"
)

func TestAsyncAnswersBeforeTheDatabaseIsBuilt(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	req := request()
	req.Async = true
	outcome, err := b.service.Begin(t.Context(), req)
	if err != nil || outcome.Status != catalog.Provisioning || outcome.Result != nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		again, err := b.service.Begin(t.Context(), req)
		if err != nil || again.SignupID != outcome.SignupID {
			t.Fatalf("the same key: %+v, %v", again, err)
		}
		if again.Result != nil {
			b.usable(t, again.Result.School.Database)
			return
		}
		<-ticker.C
	}
}

// The row of a sign-up holds all that is needed after a crash: no job is created for it.
func TestTheReconcilerFinishesABuildWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	req := request()
	req.Async = true
	b.auth0.ClearFaults()
	// If a server cannot be reached, the build fails, and the sign-up stays.
	broken, err := tenant.Open(tenant.Config{URL: "postgres://nobody:x@127.0.0.1:1/postgres", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broken.Close)
	victim := b.newService(t, func(c *signup.Config) {
		c.Servers = signup.TenantServers(tenant.Servers{"main": broken})
		c.ResponseTimeout = time.Millisecond
	})
	outcome, err := victim.Begin(t.Context(), req)
	if err != nil || outcome.Status != catalog.Provisioning {
		t.Fatalf("%+v, %v", outcome, err)
	}
	b.exec(t, "update signups set check_at = now(), lease_epoch = lease_epoch + 1")
	if n := b.number(t, "select count(*) from river.river_job"); n != 0 {
		t.Errorf("%d jobs, want none", n)
	}
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	view, err := b.service.View(t.Context(), outcome.SignupID)
	if err != nil || view.Status != catalog.SignupReady {
		t.Fatalf("%+v, %v", view, err)
	}
	b.usable(t, view.School.Database)
}

// What a dead process has begun belongs to nobody only as far as the catalog knows: it is replaced, not completed.
func TestRefillSparesReplacesWhatADeadProcessBegan(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	id := tenant.NewID()
	if err := b.catalog.InsertSpare(t.Context(), catalog.NewSpare{ID: id.UUID(), Server: "main", Database: id.Database(), Lineage: migrations.Tenant().Lineage()}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.server.Ensure(t.Context(), id, 0, nil); err != nil { // and then the process died
		t.Fatal(err)
	}
	if err := b.service.RefillSpares(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 2 {
		t.Errorf("%d spares, want 2", n)
	}
	if row, err := b.catalog.TenantByID(t.Context(), id.UUID()); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the one that was begun: %+v, %v", row, err)
	}
	if facts, err := b.server.Stats(t.Context(), id); err != nil || facts.Exists {
		t.Errorf("its database: %+v, %v", facts, err)
	}
}

func TestReprovision(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	result := b.begin(t, request())
	drop := func(t *testing.T) {
		pgtest.Exec(t, pgtest.Server(t).URL("postgres"), "drop database "+result.School.Database+" with (force)")
	}

	t.Run("creates what is missing, by a job", func(t *testing.T) {
		drop(t)
		row, archive, err := b.service.Reprovision(t.Context(), signup.ReprovisionRequest{Tenant: result.School.Slug, By: catalog.Actor{Name: "auth0|operator"}})
		if err != nil || archive != "" || row.ID != result.School.ID {
			t.Fatalf("%+v, %q, %v", row, archive, err)
		}
		if n := b.number(t, "select count(*) from river.river_job where kind = 'reprovision_tenant'"); n != 1 {
			t.Errorf("%d jobs, want 1", n)
		}
		for range 2 { // a job may run twice
			if err := b.service.RunReprovision(t.Context(), row.ID, archive); err != nil {
				t.Fatal(err)
			}
		}
		b.usable(t, result.School.Database)
		events, err := b.catalog.Events(t.Context(), row.ID, 1)
		if err != nil || len(events) != 1 || events[0].Action != "tenant.reprovision" || events[0].Actor != "auth0|operator" {
			t.Errorf("audit %+v, %v", events, err)
		}
	})
	t.Run("archives the old database only when confirmed", func(t *testing.T) {
		reservation := signup.ReprovisionRequest{Tenant: result.School.ID.String(), Fresh: true, By: catalog.Actor{Name: "auth0|operator"}}
		for _, confirm := range []string{"", "another", result.School.Name} {
			reservation.Confirm = confirm
			if _, _, err := b.service.Reprovision(t.Context(), reservation); !errors.Is(err, signup.ErrWrongConfirmation) {
				t.Errorf("confirmed with %q: %v", confirm, err)
			}
		}
		reservation.Confirm = result.School.Slug
		_, archive, err := b.service.ReprovisionNow(t.Context(), reservation, nil)
		if err != nil || archive == "" {
			t.Fatalf("%q, %v", archive, err)
		}
		b.usable(t, result.School.Database)
	})
	t.Run("quarantines a tenant that needs an operator until it is repaired", func(t *testing.T) {
		conn := pgtest.Connect(t, pgtest.Server(t).URL(result.School.Database))
		if _, err := conn.Exec(t.Context(), "update schema_migrations set dirty = true"); err != nil {
			t.Fatal(err)
		}
		if err := b.service.RunReprovision(t.Context(), result.School.ID, ""); err == nil {
			t.Error("a dirty database passed")
		}
		if row, err := b.catalog.TenantByID(t.Context(), result.School.ID); err != nil || row.State != catalog.Quarantined {
			t.Errorf("%+v, %v", row, err)
		}
		if _, err := conn.Exec(t.Context(), "update schema_migrations set dirty = false"); err != nil {
			t.Fatal(err)
		}
		if err := b.service.RunReprovision(t.Context(), result.School.ID, ""); err != nil {
			t.Error(err)
		}
		if row, err := b.catalog.TenantByID(t.Context(), result.School.ID); err != nil || row.State != catalog.Ready {
			t.Errorf("%+v, %v", row, err)
		}
	})
	t.Run("finds no tenant of another name", func(t *testing.T) {
		if _, _, err := b.service.Reprovision(t.Context(), signup.ReprovisionRequest{Tenant: "nobody"}); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
