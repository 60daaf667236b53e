package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/internal/logtest"
	"homeroom/internal/pgtest"
	"homeroom/webhook"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	key  = bytes.Repeat([]byte{8}, 32)
	here = netip.MustParsePrefix("127.0.0.1/32")
	me   = catalog.Actor{Name: "auth0|operator", RequestID: "request-1"}
)

// testEnv is a catalog, a service that may call this machine, and a relay.
type testEnv struct {
	t       *testing.T
	url     string
	catalog *catalog.Store
	service *webhook.Service
	relay   *jobs.Relay
	logs    *logtest.Buffer
}

func setup(t *testing.T, change ...func(*webhook.Config)) *testEnv {
	t.Helper()
	b := &testEnv{t: t, logs: &logtest.Buffer{}}
	b.url = pgtest.Clone(t, "catalog", func(ctx context.Context, url string) error {
		store, err := catalog.Open(ctx, catalog.Config{URL: url})
		if err != nil {
			return err
		}
		defer store.Close()
		return jobs.Migrate(ctx, store.Pool())
	})
	b.catalog = b.open()
	b.service = b.serviceOn(b.catalog, change...)
	var err error
	b.relay, err = jobs.NewRelay(jobs.RelayConfig{Catalog: b.catalog, FanOuts: []jobs.FanOut{b.service.FanOutTx}})
	check(t, err)
	return b
}

// open returns another process's connection to the catalog.
func (b *testEnv) open() *catalog.Store {
	b.t.Helper()
	store, err := catalog.Open(b.t.Context(), catalog.Config{URL: b.url})
	check(b.t, err)
	b.t.Cleanup(store.Close)
	return store
}

func (b *testEnv) serviceOn(store *catalog.Store, change ...func(*webhook.Config)) *webhook.Service {
	b.t.Helper()
	queue, err := jobs.NewQueue(store.Pool())
	check(b.t, err)
	cfg := webhook.Config{
		Catalog: store, Queue: queue, Key: key, Allow: []netip.Prefix{here},
		Logger: slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	service, err := webhook.New(cfg)
	check(b.t, err)
	return service
}

// add registers a receiver for these events.
func (b *testEnv) add(url string, events ...string) (catalog.WebhookEndpoint, string) {
	b.t.Helper()
	endpoint, key, err := b.service.Add(b.t.Context(), me, webhook.EndpointParams{URL: url, Description: "Billing", Events: events})
	check(b.t, err)
	return endpoint, key.Reveal()
}

// emit emits events and relays them.
func (b *testEnv) emit(types ...string) {
	b.t.Helper()
	school := uuid.New()
	for _, kind := range types {
		check(b.t, b.catalog.Emit(b.t.Context(), catalog.OutboxEvent{Type: kind, TenantID: &school, Data: json.RawMessage(`{"school":"Lincoln <High>"}`)}))
	}
	_, err := b.relay.Drain(b.t.Context())
	check(b.t, err)
}

// deliveries returns the deliveries to an endpoint, the oldest first.
func (b *testEnv) deliveries(endpoint uuid.UUID) []catalog.Delivery {
	b.t.Helper()
	all, err := b.catalog.Deliveries(b.t.Context(), endpoint, "", "", 1000)
	check(b.t, err)
	slices.Reverse(all.Rows)
	return all.Rows
}

// single returns the only delivery to an endpoint.
func (b *testEnv) single(endpoint uuid.UUID) catalog.Delivery {
	b.t.Helper()
	all := b.deliveries(endpoint)
	equal(b.t, 1, len(all), "deliveries")
	return all[0]
}

// deliver does what a job does.
func (b *testEnv) deliver(id uuid.UUID) (wait time.Duration) {
	b.t.Helper()
	wait, err := b.service.Deliver(b.t.Context(), id)
	check(b.t, err)
	return wait
}

// later makes a delivery due again.
func (b *testEnv) later(id uuid.UUID) {
	b.t.Helper()
	b.exec("update webhook_deliveries set next_attempt_at = now() where id = $1 and state = 'pending'", id)
}

func (b *testEnv) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.catalog.Pool().Exec(b.t.Context(), sql, args...)
	check(b.t, err)
}

func value[T any](b *testEnv, sql string, args ...any) T {
	b.t.Helper()
	var v T
	check(b.t, b.catalog.Pool().QueryRow(b.t.Context(), sql, args...).Scan(&v))
	return v
}

// call is a request to a receiver.
type call struct {
	Header http.Header
	Body   []byte
}

func (c call) id() string { return c.Header.Get("webhook-id") }

// kind returns the type of the event.
func (c call) kind(t *testing.T) string {
	t.Helper()
	var body struct{ Type string }
	check(t, json.Unmarshal(c.Body, &body))
	return body.Type
}

// receiver is an external program. It stores the requests, and answers 204 unless answer is set.
type receiver struct {
	URL string

	mu     sync.Mutex
	calls  []call
	answer http.HandlerFunc
}

func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL + "/hooks"
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.calls = append(r.calls, call{req.Header.Clone(), body})
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, req)
}

// now changes the answer.
func (r *receiver) now(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, want, got T, about string) {
	t.Helper()
	if want != got {
		t.Fatalf("%s: got %v, want %v", about, got, want)
	}
}
