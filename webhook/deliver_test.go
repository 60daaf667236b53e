package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/webhook"
)

// schedule is the documented schedule.
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour,
	24 * time.Hour,
}

func TestADeliveryIsRetriedForThreeDays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, status(500))
	endpoint, _ := b.add(r.URL)
	b.emit(catalog.UserCreated)
	id := b.single(endpoint.ID).ID
	for i, pause := range schedule {
		equal(t, 0, b.deliver(id), "another job is inserted for the next attempt")
		d := b.single(endpoint.ID)
		equal(t, catalog.DeliveryPending, d.State, "state")
		equal(t, i+1, d.Attempts, "attempts")
		equal(t, 500, *d.LastStatus, "status")
		equal(t, "it answered 500", *d.LastProblem, "problem")
		waits := d.NextAttemptAt.Sub(*d.EndedAt)
		equal(t, true, waits >= pause && waits <= pause+pause/10, "pause "+waits.String()+" for "+pause.String())
		equal(t, true, value[time.Time](b, `select max(scheduled_at) from river.river_job where args->>'delivery_id' = $1`, id.String()).
			Sub(*d.NextAttemptAt).Abs() < 5*time.Second, "the job is scheduled for the same time")
		wait := b.deliver(id)
		equal(t, true, wait > pause/2 && wait <= pause+pause/10, "a job that runs too early waits: "+wait.String())
		equal(t, i+1, len(r.all()), "requests")
		b.later(id)
	}
	equal(t, 0, b.deliver(id), "wait")
	d := b.single(endpoint.ID)
	equal(t, catalog.DeliveryDead, d.State, "state after the last attempt")
	equal(t, 10, d.Attempts, "attempts")
	equal(t, true, d.NextAttemptAt == nil, "a dead delivery has no next attempt")
	equal(t, true, strings.Contains(b.logs.String(), "delivery failed, no attempts are left"), b.logs.String())
	equal(t, 0, b.deliver(id), "a late job")
	equal(t, 10, len(r.all()), "requests")

	t.Run("replaying begins anew, with the same webhook-id", func(t *testing.T) {
		replayed, err := b.service.Replay(t.Context(), me, endpoint.ID, id)
		check(t, err)
		equal(t, catalog.DeliveryPending, replayed.State, "state")
		b.deliver(id)
		d := b.single(endpoint.ID)
		equal(t, true, d.NextAttemptAt.Sub(*d.EndedAt) < 6*time.Second, "it begins with the shortest delay")
		r.now(nil)
		b.later(id)
		b.deliver(id)
		d = b.single(endpoint.ID)
		equal(t, catalog.DeliveryDelivered, d.State, "state")
		equal(t, 12, d.Attempts, "attempts")
		equal(t, 204, *d.LastStatus, "status")
		equal(t, true, d.LastProblem == nil, "problem")
		for _, c := range r.all() {
			equal(t, id.String(), c.id(), "webhook-id")
			equal(t, string(r.all()[0].Body), string(c.Body), "body")
		}
	})
	t.Run("a delivered one is not sent by a late job, but by replaying", func(t *testing.T) {
		equal(t, 0, b.deliver(id), "wait")
		equal(t, 12, len(r.all()), "requests")
		_, err := b.service.Replay(t.Context(), me, endpoint.ID, id)
		check(t, err)
		b.deliver(id)
		equal(t, 13, len(r.all()), "requests")
		equal(t, catalog.DeliveryDelivered, b.single(endpoint.ID).State, "state")
	})
}

func TestResponses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	moved := receive(t, nil)
	wait := func(seconds string, code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", seconds)
			w.WriteHeader(code)
		}
	}
	inAnHour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		state   catalog.DeliveryState
		status  int
		problem string
		least   time.Duration
	}{
		"200 with a body": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100_000)) }, "delivered", 200, "", 0},
		"202":             {status(202), "delivered", 202, "", 0},
		"299":             {status(299), "delivered", 299, "", 0},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, moved.URL, http.StatusTemporaryRedirect)
		}, "pending", 307, "it answered 307, and redirects are not followed", 5 * time.Second},
		"304":                              {status(304), "pending", 304, "it answered 304, and redirects are not followed", 5 * time.Second},
		"400":                              {status(400), "pending", 400, "it answered 400", 5 * time.Second},
		"404":                              {status(404), "pending", 404, "it answered 404", 5 * time.Second},
		"asks for a later attempt":         {wait("600", 429), "pending", 429, "it answered 429", 10 * time.Minute},
		"asks for an attempt after a date": {wait(inAnHour, 503), "pending", 503, "it answered 503", 59 * time.Minute},
		"asks for more than a day":         {wait("999999999", 503), "pending", 503, "it answered 503", 24 * time.Hour},
		"asks for less than there is":      {wait("0", 503), "pending", 503, "it answered 503", 5 * time.Second},
		"asks in words":                    {wait("soon -5", 503), "pending", 503, "it answered 503", 5 * time.Second},
		"hangs up":                         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "pending", 0, "the connection was lost before it answered", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := b.add(receive(t, c.answer).URL)
			b.emit(catalog.UserCreated)
			b.deliver(b.single(endpoint.ID).ID)
			d := b.single(endpoint.ID)
			equal(t, c.state, d.State, "state")
			if c.status == 0 {
				equal(t, true, d.LastStatus == nil, "there is no status")
			} else {
				equal(t, c.status, *d.LastStatus, "status")
			}
			if c.problem == "" {
				equal(t, true, d.LastProblem == nil, "there is no problem")
				return
			}
			equal(t, c.problem, *d.LastProblem, "problem")
			waits := d.NextAttemptAt.Sub(*d.EndedAt)
			equal(t, true, waits >= c.least && waits <= c.least+c.least/10+2*time.Minute, "pause "+waits.String())
			b.exec("delete from webhook_endpoints")
		})
	}
	equal(t, 0, len(moved.all()), "requests to where a redirect leads")
}

func TestAReceiverThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *webhook.Config) { c.Timeout = 200 * time.Millisecond })
	for name, answer := range map[string]http.HandlerFunc{
		"it did not answer within 200ms": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"": func(w http.ResponseWriter, r *http.Request) { // the status was sent, and the body never ends
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		endpoint, _ := b.add(receive(t, answer).URL)
		b.emit(catalog.UserCreated)
		b.deliver(b.single(endpoint.ID).ID)
		problem := ""
		if d := b.single(endpoint.ID); d.LastProblem != nil {
			problem = *d.LastProblem
		}
		equal(t, name, problem, "problem")
		b.exec("delete from webhook_endpoints")
	}
}

func TestA410DisablesTheWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, status(410))
	endpoint, _ := b.add(r.URL)
	b.emit(catalog.UserCreated, catalog.OrganizationCreated, catalog.TenantReady)
	b.deliver(b.deliveries(endpoint.ID)[0].ID)
	for i, d := range b.deliveries(endpoint.ID) {
		equal(t, catalog.DeliveryDead, d.State, "state")
		equal(t, []string{"it answered 410", "the webhook was disabled", "the webhook was disabled"}[i], *d.LastProblem, "problem")
		equal(t, 0, b.deliver(d.ID), "wait")
	}
	equal(t, 1, len(r.all()), "requests")
	found, err := b.catalog.Webhook(t.Context(), endpoint.ID)
	check(t, err)
	equal(t, false, found.Enabled, "enabled")
	equal(t, "it answered 410, which means that it is gone for good", *found.DisabledBecause, "why")
	b.emit(catalog.UserCreated)
	equal(t, 3, len(b.deliveries(endpoint.ID)), "deliveries after it was disabled")
	_, err = b.service.Replay(t.Context(), me, endpoint.ID, b.deliveries(endpoint.ID)[0].ID)
	equal(t, webhook.ErrNotReplayable, err, "replaying to a disabled webhook")

	on := true
	r.now(nil)
	_, err = b.service.Change(t.Context(), me, endpoint.ID, webhook.Change{Enabled: &on})
	check(t, err)
	_, err = b.service.Replay(t.Context(), me, endpoint.ID, b.deliveries(endpoint.ID)[0].ID)
	check(t, err)
	b.deliver(b.deliveries(endpoint.ID)[0].ID)
	equal(t, catalog.DeliveryDelivered, b.deliveries(endpoint.ID)[0].State, "state after it was enabled and replayed")
}

// TestTheProcessDiesBetweenSendingAndRecording: the receiver has the event, the outcome is unknown, and it is sent once
// more.
func TestTheProcessDiesBetweenSendingAndRecording(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doomed := b.open()
	r := receive(t, func(http.ResponseWriter, *http.Request) { doomed.Close() })
	endpoint, secret := b.add(r.URL)
	b.emit(catalog.UserCreated)
	id := b.single(endpoint.ID).ID
	if _, err := b.serviceOn(doomed).Deliver(t.Context(), id); err == nil {
		t.Fatal("the outcome was recorded")
	}
	d := b.single(endpoint.ID)
	equal(t, catalog.DeliveryPending, d.State, "state")
	equal(t, 1, d.Attempts, "the attempt was counted before it was sent")
	equal(t, true, b.deliver(id) > 20*time.Second, "nobody else sends it while its lease lasts")
	equal(t, 1, len(r.all()), "requests")
	_, err := b.service.Replay(t.Context(), me, endpoint.ID, id)
	equal(t, webhook.ErrNotReplayable, err, "replaying a delivery that is being sent")

	r.now(nil)
	check(t, b.service.Sweep(t.Context(), 0))
	equal(t, 1, len(r.all()), "requests of a sweep before its time")
	b.later(id)
	check(t, b.service.Sweep(t.Context(), 0))
	d = b.single(endpoint.ID)
	equal(t, catalog.DeliveryDelivered, d.State, "state after the sweep")
	equal(t, 2, d.Attempts, "attempts")
	calls := r.all()
	equal(t, 2, len(calls), "requests")
	equal(t, calls[0].id(), calls[1].id(), "webhook-id")
	equal(t, "verified", goVerifies(t, secret, calls[1]), "the second")
}

// TestALateResponseOfAnExpiredAttempt counts if it is a success.
func TestALateResponseOfAnExpiredAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, _ := b.add(r.URL)
	b.emit(catalog.UserCreated)
	id := b.single(endpoint.ID).ID
	lost, _, err := b.catalog.BeginAttempt(t.Context(), id, time.Hour)
	check(t, err)
	b.later(id)
	r.now(status(500))
	b.deliver(id)
	equal(t, 2, b.single(endpoint.ID).Attempts, "attempts")
	check(t, b.catalog.Delivered(t.Context(), *lost, 200))
	equal(t, catalog.DeliveryDelivered, b.single(endpoint.ID).State, "state")
	b.later(id)
	b.deliver(id)
	equal(t, 1, len(r.all()), "requests after it has arrived")
}

func TestEventsOfASchoolArriveInTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, _ := b.add(r.URL)
	const schools = 8
	for range schools {
		b.emit(catalog.UserCreated, catalog.OrganizationCreated, catalog.TenantReady)
	}
	all := b.deliveries(endpoint.ID)
	equal(t, 3*schools, len(all), "deliveries")
	var group sync.WaitGroup
	for _, d := range all { // all at the same time
		group.Go(func() {
			if _, err := b.service.Deliver(t.Context(), d.ID); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	place := map[string]int{}
	for i, c := range r.all() {
		place[c.id()] = i
	}
	equal(t, 3*schools, len(place), "requests")
	equal(t, 3*schools, len(r.all()), "requests with their repetitions")
	for i := range schools {
		school := all[3*i : 3*i+3]
		if place[school[0].ID.String()] > place[school[1].ID.String()] || place[school[1].ID.String()] > place[school[2].ID.String()] {
			t.Errorf("the events of school %d arrived at %d, %d and %d", i, place[school[0].ID.String()], place[school[1].ID.String()], place[school[2].ID.String()])
		}
	}

	t.Run("a failure delays the next delivery only once", func(t *testing.T) {
		r.now(status(500))
		b.emit(catalog.UserCreated, catalog.TenantReady)
		all := b.deliveries(endpoint.ID)
		first, second := all[len(all)-2], all[len(all)-1]
		equal(t, true, b.deliver(second.ID) > 0, "the second waits for the first")
		equal(t, 0, b.deliver(first.ID), "wait")
		r.now(nil)
		b.later(second.ID)
		b.deliver(second.ID)
		equal(t, catalog.DeliveryPending, b.delivery(first).State, "state of the first")
		equal(t, catalog.DeliveryDelivered, b.delivery(second).State, "state of the second")
	})
}

// TestTheProcessDiesWithTheFirstEventOfASchool: the others wait for its lease, and for one minute at most.
func TestTheProcessDiesWithTheFirstEventOfASchool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, _ := b.add(r.URL)
	b.emit(catalog.UserCreated, catalog.TenantReady)
	all := b.deliveries(endpoint.ID)
	_, _, err := b.catalog.BeginAttempt(t.Context(), all[0].ID, time.Hour)
	check(t, err)
	equal(t, time.Second, b.deliver(all[1].ID), "the delay until the next check")
	equal(t, 0, len(r.all()), "requests")
	b.exec("update webhook_deliveries set created_at = now() - interval '1 minute'")
	equal(t, 0, b.deliver(all[1].ID), "wait")
	equal(t, catalog.DeliveryDelivered, b.delivery(all[1]).State, "state of the second")
	equal(t, 1, len(r.all()), "requests")
}

// TestTheServiceIsStoppedInTheMiddleOfAnAttempt: the outcome is unknown, so the attempt is repeated.
func TestTheServiceIsStoppedInTheMiddleOfAnAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	r := receive(t, func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	endpoint, _ := b.add(r.URL)
	b.emit(catalog.UserCreated)
	id := b.single(endpoint.ID).ID
	_, err := b.service.Deliver(ctx, id)
	equal(t, true, errors.Is(err, context.Canceled), "the error is the context's")
	d := b.single(endpoint.ID)
	equal(t, catalog.DeliveryPending, d.State, "state")
	equal(t, true, d.EndedAt == nil && d.LastProblem == nil, "no outcome is recorded")
	r.now(nil)
	b.later(id)
	b.deliver(id)
	equal(t, catalog.DeliveryDelivered, b.single(endpoint.ID).State, "state")
}

// delivery returns the current row of a delivery.
func (b *testEnv) delivery(d catalog.Delivery) catalog.Delivery {
	b.t.Helper()
	found, err := b.catalog.Delivery(b.t.Context(), d.EndpointID, d.ID)
	check(b.t, err)
	return found
}

func TestPing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := receive(t, nil)
	endpoint, secret := b.add(r.URL, catalog.TenantReady)
	off := false
	_, err := b.service.Change(t.Context(), me, endpoint.ID, webhook.Change{Enabled: &off})
	check(t, err)
	for _, code := range []int{204, 418} {
		r.now(status(code))
		outcome, err := b.service.Ping(t.Context(), me, endpoint.ID)
		check(t, err)
		equal(t, code, outcome.Status, "status")
		equal(t, code == 204, outcome.OK(), "taken")
	}
	calls := r.all()
	equal(t, "ping", calls[0].kind(t), "type")
	equal(t, "verified", goVerifies(t, secret, calls[0]), "the ping")
	equal(t, false, calls[0].id() == calls[1].id(), "two pings have the same id")
	equal(t, 0, len(b.deliveries(endpoint.ID)), "deliveries")
	_, err = b.service.Ping(t.Context(), me, uuid.New())
	equal(t, true, err != nil, "pinging a missing webhook")
	equal(t, "2 "+strconv.Itoa(418), value[string](b, `select count(*) || ' ' || max((details->>'status')::int) from audit_events where action = 'webhook.ping'`), "audit")
}
