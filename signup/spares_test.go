package signup_test

import (
	"context"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/migrations"
	"homeroom/tenant"
)

// TestASpareThatCannotBeCompletedStopsNoOther: a database of somebody else has the name of an unfinished spare. Several
// processes fill the stock nevertheless, without exceeding it, and the row names the obstacle.
func TestASpareThatCannotBeCompletedStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	id := tenant.NewID()
	spare := catalog.NewSpare{ID: id.UUID(), Server: "main", Database: id.Database(), Lineage: migrations.Tenant().Lineage()}
	if err := b.catalog.InsertSpare(t.Context(), spare); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, pgtest.Server(t).URL("postgres"))
	if _, err := conn.Exec(t.Context(), "create database "+id.Database()); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "delete from tenants where state = 'spare'")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	const processes = 2
	for range processes {
		go func() { ended <- b.service.RunRefiller(ctx) }()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for b.number(t, `select count(*) filter (where state = 'spare')
		+ count(*) filter (where id = $1 and steps @> '[{"name": "discard", "status": "failed"}]') from tenants`, id.UUID()) < 3 {
		<-ticker.C
	}
	stop()
	for range processes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 2 {
		t.Errorf("%d spares, want 2", n)
	}
	if n := b.number(t, "select count(*) from tenants where id = $1 and steps::text like '%Homeroom did not create%'", id.UUID()); n != 1 {
		t.Error("its row does not name the obstacle")
	}
	if _, err := conn.Exec(t.Context(), "drop database "+id.Database()); err != nil {
		t.Error(err)
	}
}
