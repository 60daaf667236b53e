package tenant_test

import (
	"context"
	"math"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

func TestARenamedDatabaseIsFoundByItsComment(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	server := openAt(t, postgres.URL("postgres"), nil)
	renamed, untouched, archive := ensure(t, server), ensure(t, server), ensure(t, server)
	if err := server.Archive(t.Context(), archive, tenant.ArchiveName(archive, value2026)); err != nil {
		t.Fatal(err)
	}
	exec(t, pgtest.Connect(t, postgres.URL("postgres")), "alter database "+renamed.Database()+` rename to "Lincoln High, old"`)
	found, err := server.Renamed(t.Context())
	if err != nil || len(found) != 1 || found[renamed] != "Lincoln High, old" {
		t.Errorf("found %v, %v; %s and %s are not renamed", found, err, untouched, archive)
	}
}

func TestTheNotificationQueueIsMeasured(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	server, err := tenant.Open(tenant.Config{URL: secret.String(postgres.URL("postgres")), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if usage, err := server.NotificationQueue(t.Context()); err != nil || usage != 0 {
		t.Errorf("an unused queue is at %v, %v", usage, err)
	}
	// A session that listens and stays in a transaction prevents the clean-up of the queue.
	listener, sender := pgtest.Connect(t, postgres.URL("postgres")), pgtest.Connect(t, postgres.URL("postgres"))
	exec(t, listener, "listen bell")
	exec(t, listener, "begin")
	exec(t, listener, "select 1")
	exec(t, sender, "select pg_notify('bell', n || repeat('x', 7900)) from generate_series(1, 1000) as n")
	if usage, err := server.NotificationQueue(t.Context()); err != nil || usage <= 0 {
		t.Errorf("the queue is at %v, %v", usage, err)
	}
	var usages []float64
	watch := server.NewWatch(tenant.WatchConfig{OnQueueUsage: func(usage float64) { usages = append(usages, usage) }})
	if _, err := watch.Check(t.Context()); err != nil || len(usages) != 1 || usages[0] <= 0 {
		t.Errorf("the watch reports %v, %v", usages, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := watch.Check(canceled); err == nil || len(usages) != 2 || !math.IsNaN(usages[1]) {
		t.Errorf("a watch that cannot connect reports %v, %v", usages, err)
	}
}
