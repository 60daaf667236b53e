package webhook_test

import (
	"context"
	"encoding/json"
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
	"homeroom/internal/jobs"
	"homeroom/webhook"
)

// every are all types of events.
var every = []string{
	catalog.UserCreated, catalog.OrganizationCreated, catalog.SessionCreated, catalog.TenantReady, catalog.TenantFailed,
	catalog.TenantSuspended, catalog.TenantDeleted, catalog.MigrationFinished, catalog.SignupAwaitingVerification,
	catalog.SignupAwaitingApproval, catalog.SignupRejected, catalog.SignupRepeated, catalog.InvitationCreated,
}

func TestOnlyPublicEventsAreDelivered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	all, _ := b.add(r.URL)
	some, _ := b.add(r.URL, catalog.TenantReady, catalog.UserCreated)
	b.emit(every...)
	types := func(endpoint uuid.UUID) []string {
		var types []string
		for _, d := range b.deliveries(endpoint) {
			types = append(types, d.EventType)
		}
		return types
	}
	if got := types(all.ID); !slices.Equal(got, every[:8]) {
		t.Errorf("told %v", got)
	}
	if got := types(some.ID); !slices.Equal(got, []string{catalog.UserCreated, catalog.TenantReady}) {
		t.Errorf("got %v of its event types", got)
	}
	if !slices.Equal(webhook.Events(), every[:8]) {
		t.Errorf("the events are %v", webhook.Events())
	}
	for _, kind := range every[8:] {
		var invalid *webhook.InvalidError
		_, _, err := b.service.Add(t.Context(), me, webhook.EndpointParams{URL: r.URL, Events: []string{kind}})
		equal(t, true, errors.As(err, &invalid), kind+" can be subscribed to")
	}
}

// TestEveryEventIsFannedOutOnce: relays of several processes run at the same time, and some of their transactions fail.
func TestEveryEventIsFannedOutOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoints := make([]catalog.WebhookEndpoint, 3)
	for i := range endpoints {
		endpoints[i], _ = b.add(r.URL)
	}
	const events, relays = 500, 4
	for i := range events {
		check(t, b.catalog.Emit(t.Context(), catalog.OutboxEvent{Type: catalog.UserCreated, Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}))
	}
	var group sync.WaitGroup
	for range relays {
		store := b.open()
		service := b.serviceOn(store)
		fails := true
		relay, err := jobs.NewRelay(jobs.RelayConfig{Catalog: store, FanOuts: []jobs.FanOut{
			service.FanOutTx,
			func(context.Context, pgx.Tx, []catalog.OutboxEvent) error { // the process dies before it has committed
				if fails {
					fails = false
					return errors.New("died")
				}
				return nil
			},
		}})
		check(t, err)
		group.Go(func() {
			for tries := 0; ; tries++ {
				n, err := relay.Drain(t.Context())
				if err != nil && !strings.Contains(err.Error(), "died") {
					t.Error(err)
				}
				if err == nil && n == 0 && tries > 0 {
					return
				}
			}
		})
	}
	group.Wait()
	_, err := b.relay.Drain(t.Context()) // the events that were skipped because another process had them
	check(t, err)
	for _, endpoint := range endpoints {
		equal(t, events, len(b.deliveries(endpoint.ID)), "deliveries to each")
	}
	equal(t, events*len(endpoints), value[int](b, `select count(distinct event_id::text || endpoint_id::text) from webhook_deliveries`), "pairs")
	equal(t, events*len(endpoints), value[int](b, `select count(*) from river.river_job where kind = 'deliver_webhook'`), "jobs")
	equal(t, events*len(endpoints), value[int](b, `
		select count(distinct args->>'delivery_id') from river.river_job where args = jsonb_build_object('delivery_id', args->'delivery_id')`),
		"jobs with nothing but the id")
}

// TestJobsDeliver runs everything as a service does: relay, queue and workers.
func TestJobsDeliver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := make(chan struct{}, 100)
	r := receive(t, nil)
	endpoint, _ := b.add(r.URL)
	relay, err := jobs.NewRelay(jobs.RelayConfig{Catalog: b.catalog, Interval: time.Hour, FanOuts: []jobs.FanOut{
		b.service.FanOutTx,
		func(context.Context, pgx.Tx, []catalog.OutboxEvent) error { told <- struct{}{}; return nil },
	}})
	check(t, err)
	runner, err := jobs.NewRunner(b.catalog.Pool(), jobs.Handlers{Webhooks: b.service}, nil)
	check(t, err)
	check(t, runner.Start(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { relay.Run(ctx) })

	school := uuid.New()
	for _, kind := range every {
		check(t, b.catalog.Emit(t.Context(), catalog.OutboxEvent{Type: kind, TenantID: &school}))
	}
	relay.Wake() // nothing else would wake it for an hour
	<-told
	eventually(t, "all are delivered", func() bool {
		return value[int](b, `select count(*) from webhook_deliveries where state = 'delivered'`) == 8
	})
	stop()
	group.Wait()
	check(t, runner.Stop(t.Context()))
	for i, c := range r.all() {
		equal(t, every[i], c.kind(t), "the order in which they came")
	}
	equal(t, 8, len(b.deliveries(endpoint.ID)), "deliveries")
	equal(t, 0, value[int](b, `select count(*) from river.river_job where state = 'discarded' or attempt > 1 and errors is not null`), "jobs that failed")
}

func TestOldEventsAreDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint, _ := b.add(receive(t, nil).URL)
	b.emit(catalog.UserCreated)
	old := b.single(endpoint.ID)
	b.exec(`update outbox_events set created_at = now() - interval '31 days'`)
	check(t, b.catalog.Emit(t.Context(), catalog.OutboxEvent{Type: catalog.TenantReady}))
	b.exec(`update outbox_events set created_at = now() - interval '31 days' where relayed_at is null`) // nobody was subscribed
	b.emit()
	b.exec(`update outbox_events set relayed_at = null where type = 'tenant.ready'`)
	b.exec(`update webhook_deliveries set state = 'dead', next_attempt_at = null where id = $1`, old.ID) // otherwise it would stay
	_, err := b.catalog.DeleteOld(t.Context(), catalog.OutboxTable, 30*24*time.Hour, 10)
	check(t, err)
	equal(t, "tenant.ready", value[string](b, `select string_agg(type, ' ') from outbox_events`), "remaining events")
	for _, d := range b.deliveries(endpoint.ID) {
		equal(t, false, d.ID == old.ID, "the delivery still exists")
	}
	equal(t, 0, b.deliver(old.ID), "its job finds nothing to do")
}

// eventually polls until a query has this result.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen: %s", what)
		}
	}
}
