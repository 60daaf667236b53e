package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/internal/pgtest"
	"homeroom/webhook"
)

// listener is an external program that receives events, and stores them.
type listener struct {
	url string

	mu sync.Mutex
	// status is the status of its answers.
	status int
	told   []receivedEvent
}

// receivedEvent is an event that a listener has received.
type receivedEvent struct {
	ID, Type string
	Header   http.Header
	Body     []byte
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{status: http.StatusNoContent}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL + "/hooks"
	return l
}

// ServeHTTP implements http.Handler.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	event := receivedEvent{ID: r.Header.Get("Webhook-Id"), Header: r.Header.Clone(), Body: body}
	var payload struct{ Type string }
	_ = json.Unmarshal(body, &payload)
	event.Type = payload.Type
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, event)
	w.WriteHeader(l.status)
}

func (l *listener) all() []receivedEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// first returns the events without repetitions.
func (l *listener) first() []receivedEvent {
	seen := map[string]bool{}
	return slices.DeleteFunc(l.all(), func(event receivedEvent) bool {
		again := seen[event.ID]
		seen[event.ID] = true
		return again
	})
}

// repeated returns how many of the received events were repetitions.
func (l *listener) repeated() int { return len(l.all()) - len(l.first()) }

// addWebhook adds a webhook for all events to a listener.
func (w *world) addWebhook(t *testing.T, l *listener) (secret string) {
	t.Helper()
	w.env = append(w.env, "HOMEROOM_WEBHOOK_ALLOW=127.0.0.0/8")
	code, out, errs := command(t, append(w.env, "HOMEROOM_CATALOG_URL="+w.catalogURL, "HOMEROOM_SERVER_MAIN_URL="+w.serverURL,
		"HOMEROOM_TENANT_KEY="+base64.StdEncoding.EncodeToString(testKey)), "webhook", "add", l.url, "-o", "json")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var added struct{ Secret string }
	if err := json.Unmarshal([]byte(out), &added); err != nil || added.Secret == "" {
		t.Fatalf("no secret: %v, %s", err, out)
	}
	return added.Secret
}

// deliveryPoints are the kill points between an event and its receiver.
var deliveryPoints = []string{
	"relay.fanned_out", "relay.handed_on", "webhook.attempt_begun", "webhook.sent", "webhook.recorded",
	"webhook.attempt_begun:2", "webhook.sent:3",
}

// repetitions is how often, at least and at most, an event is repeated after a death at a point: an event that was
// sent and not recorded. After the commit that enqueues deliveries, a worker may already be sending one.
var repetitions = map[string][2]int{"relay.handed_on": {0, 1}, "webhook.sent": {1, 1}, "webhook.sent:3": {1, 1}}

// TestKilledAtEveryStepOfDelivery signs schools up, kills the process between an event and its receiver, and starts another.
// A receiver that ignores repetitions gets each event once, in the order in which they happened.
func TestKilledAtEveryStepOfDelivery(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	l := newListener(t)
	secret := w.addWebhook(t, l)
	for i, point := range append([]string{""}, deliveryPoints...) {
		t.Run("dead at "+cmp.Or(point, "no point"), func(t *testing.T) {
			before, repeatedBefore := len(l.first()), l.repeated()
			p := w.start(t, "HOMEROOM_KILL_AT="+point)
			s := newSchool(i)
			if point != "" {
				_, _, _ = s.post(t.Context(), p.url)
				p.waitDead(t)
				w.exec(t, "update webhook_deliveries set next_attempt_at = now() where state = $1", "pending") // its lease has ended
				p = w.start(t)
			}
			s.mustSucceed(t, p.url)
			eventually(t, "every event is delivered", func() (bool, error) {
				left, err := w.number(t.Context(), `
					select (select count(*) from outbox_events where relayed_at is null)
						+ (select count(*) from webhook_deliveries where state <> 'delivered')
						+ abs(3 - (select count(*) from outbox_events where signup_id =
							(select id from signups order by created_at desc limit 1)))`)
				return err == nil && left == 0, err
			})
			w.waitIdle(t)
			w.audit(t)
			p.kill()
			l.checkSchoolEvents(t, l.first()[before:], secret)
			want := repetitions[point]
			if n := l.repeated() - repeatedBefore; n < want[0] || n > want[1] {
				t.Errorf("%d events were repeated, want %d to %d", n, want[0], want[1])
			}
		})
	}
}

// checkSchoolEvents checks the events of one sign-up.
func (l *listener) checkSchoolEvents(t *testing.T, events []receivedEvent, secret string) {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, event := range events {
		types = append(types, event.Type)
		if err := verifier.Verify(event.Body, event.Header); err != nil {
			t.Error(err)
		}
		for _, text := range []string{`"name":"Lincoln High"`, `"slug":"lincoln-high`, `"email":"ada`} {
			if !strings.Contains(string(event.Body), text) {
				t.Errorf("%s is not in %s", text, event.Body)
			}
		}
		if strings.Contains(string(event.Body), "Correct-Horse") {
			t.Errorf("an event contains the password")
		}
	}
	if want := []string{catalog.UserCreated, catalog.OrganizationCreated, catalog.TenantReady}; !slices.Equal(types, want) {
		t.Errorf("told %v, want %v", types, want)
	}
}

// console runs commands on a catalog of its own.
type console struct {
	t       *testing.T
	environ []string
}

// run runs a command that must end with this code.
func (c console) run(want int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	code, out, errs := command(c.t, c.environ, append([]string{"webhook"}, args...)...)
	if code != want {
		c.t.Fatalf("homeroom webhook %s: exit code %d, want %d: %s%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out, errs
}

// has runs a command and looks for texts in what it prints.
func (c console) has(args []string, texts ...string) {
	c.t.Helper()
	out, _ := c.run(exitOK, args...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			c.t.Errorf("homeroom webhook %s: %q is not in\n%s", strings.Join(args, " "), text, out)
		}
	}
}

func TestWebhookCommands(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	c := console{t, []string{
		"HOMEROOM_CATALOG_URL=" + url, "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey), "HOMEROOM_WEBHOOK_ALLOW=127.0.0.1/32",
	}}
	l := newListener(t)
	makeCatalog(t, url)
	c.has([]string{"list"}, "No webhooks.")
	c.has([]string{"list", "-o", "json"}, "[]")
	_, errs := c.run(exitCannot, "add", "http://10.0.0.1/hooks", "--event", "tenant.*")
	if !strings.Contains(errs, "url: Use https://") || !strings.Contains(errs, "events: Choose among user.created") {
		t.Errorf("a bad webhook: %s", errs)
	}
	out, _ := c.run(exitOK, "add", l.url, "--event", "tenant.ready", "--event", "user.created", "--description", "Billing", "-o", "json")
	var added struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(out), &added); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.has([]string{"list"}, "ID ", "URL ", "EVENTS ", added.ID, l.url, "tenant.ready user.created", "enabled", "Billing")
	c.has([]string{"list", "-o", "csv"}, "ID,URL,EVENTS,STATE,DESCRIPTION\n"+added.ID+","+l.url+",tenant.ready user.created,enabled,Billing\n")
	c.has([]string{"show", added.ID}, "url ", l.url, "state ", "created ")
	if out, _ := c.run(exitOK, "show", added.ID); strings.Contains(out, "whsec_") || strings.Contains(out, "secret") {
		t.Errorf("the secret is printed: %s", out)
	}
	c.has([]string{"show", added.ID, "--secret"}, added.Secret)
	c.has([]string{"rotate", added.ID}, "whsec_", "old secret signs until")
	if out, _ := c.run(exitOK, "show", added.ID, "--secret"); strings.Contains(out, added.Secret) {
		t.Errorf("the secret stays: %s", out)
	}

	c.has([]string{"ping", added.ID}, "DELIVERED  STATUS", "true", "204")
	c.has([]string{"deliveries", added.ID}, "No deliveries.")
	l.status = http.StatusInternalServerError
	out, _ = c.run(exitFailures, "ping", added.ID, "-o", "json")
	if !strings.Contains(out, `"problem": "it answered 500"`) {
		t.Errorf("a ping that fails: %s", out)
	}
	failed := c.deliver(url, catalog.TenantReady)
	c.has([]string{"deliveries", added.ID}, "DELIVERY ", failed, "tenant.ready", "pending", "it answered 500")
	c.has([]string{"deliveries", added.ID, "--state", "dead", "-o", "json"}, "[]")
	c.has([]string{"replay", added.ID, failed}, "A service sends it again")
	_, _ = c.run(exitCannot, "replay", added.ID, added.ID)

	c.has([]string{"disable", added.ID}, "The webhook "+l.url+" receives no more events.")
	c.has([]string{"show", added.ID}, "disabled because        disabled by ")
	c.has([]string{"deliveries", added.ID, "--state", "dead"}, "the webhook was disabled")
	_, errs = c.run(exitCannot, "replay", added.ID, failed)
	if !strings.Contains(errs, "the webhook is disabled") {
		t.Errorf("replaying to a disabled webhook: %s", errs)
	}
	c.has([]string{"enable", added.ID}, "receives events from now on")
	c.has([]string{"remove", added.ID}, "was removed")
	for _, verb := range []string{"show", "rotate", "enable", "disable", "remove", "deliveries", "ping"} {
		for _, id := range []string{added.ID, "lincoln"} {
			_, errs := c.run(exitCannot, verb, id)
			if !strings.Contains(errs, "there is no webhook \""+id+"\"") {
				t.Errorf("%s of an unknown webhook: %s", verb, errs)
			}
		}
	}
}

// deliver does what a service does with an event of this type, and returns the id of its delivery.
func (c console) deliver(url, kind string) (delivery string) {
	c.t.Helper()
	ctx := c.t.Context()
	store, err := catalog.Open(ctx, catalog.Config{URL: url})
	if err != nil {
		c.t.Fatal(err)
	}
	defer store.Close()
	queue, err := jobs.NewQueue(store.Pool())
	if err != nil {
		c.t.Fatal(err)
	}
	cfg, err := readConfig(c.environ)
	if err != nil {
		c.t.Fatal(err)
	}
	service, err := webhook.New(webhook.Config{Catalog: store, Queue: queue, Key: testKey, Allow: cfg.WebhookAllow})
	if err != nil {
		c.t.Fatal(err)
	}
	relay, err := jobs.NewRelay(jobs.RelayConfig{Catalog: store, FanOuts: []jobs.FanOut{service.FanOutTx}})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := store.Emit(ctx, catalog.OutboxEvent{Type: kind}); err != nil {
		c.t.Fatal(err)
	}
	if _, err := relay.Drain(ctx); err != nil {
		c.t.Fatal(err)
	}
	if err := service.Sweep(ctx, 0); err != nil {
		c.t.Fatal(err)
	}
	if err := store.Pool().QueryRow(ctx, "select id::text from webhook_deliveries").Scan(&delivery); err != nil {
		c.t.Fatal(err)
	}
	return delivery
}
