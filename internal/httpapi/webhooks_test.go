package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/webhook"
)

// newWebhooks may call receivers on this machine. Its jobs wait in the catalog: the test decides when the work is done.
func newWebhooks(t *testing.T, store *catalog.Store, logger *slog.Logger) *webhook.Service {
	t.Helper()
	check(t, jobs.Migrate(t.Context(), store.Pool()))
	queue, err := jobs.NewQueue(store.Pool())
	check(t, err)
	service, err := webhook.New(webhook.Config{
		Catalog: store, Queue: queue, Key: key, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Logger: logger,
	})
	check(t, err)
	return service
}

// outside is a program that is told of events. It answers with status.
type outside struct {
	url string

	mu     sync.Mutex
	status int
	last   *http.Request
	body   []byte
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{status: 204}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.last = r
		o.body, _ = io.ReadAll(r.Body)
		w.WriteHeader(o.status)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL + "/hooks"
	return o
}

// relay hands on what has happened, and delivers what is due.
func (w *world) relay() {
	w.t.Helper()
	relay, err := jobs.NewRelay(jobs.RelayConfig{Catalog: w.catalog, FanOuts: []jobs.FanOut{w.config.Webhooks.FanOutTx}})
	check(w.t, err)
	_, err = relay.Drain(w.t.Context())
	check(w.t, err)
	check(w.t, w.config.Webhooks.Sweep(w.t.Context(), 0))
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	token := w.bearer("manage:webhooks")
	o := newOutside(t)
	r := w.call("POST", "/webhooks", `{"url":"`+o.url+`","description":" Billing ","events":["tenant.ready"]}`, token)
	equal(t, 201, r.Status, r.Body)
	added := r.json(t)
	path := r.Header.Get("Location")
	secret, _ := added["secret"].(string)
	truth(t, strings.HasPrefix(secret, "whsec_"), secret)
	equal(t, "/webhooks/"+added["id"].(string), path)
	for name, want := range map[string]any{
		"url": o.url, "description": "Billing", "events": []any{"tenant.ready"}, "enabled": true, "disabledBecause": nil,
		"rotatedAt": nil, "previousSecretUntil": nil,
	} {
		equal(t, want, added[name], name)
	}
	get := func(path string) map[string]any {
		t.Helper()
		r := w.call("GET", path, "", token)
		equal(t, 200, r.Status, r.Body)
		lacks(t, r.Body, "whsec_", "secret\"")
		return r.json(t)
	}
	send := func(method, path, body string) reply {
		t.Helper()
		return w.call(method, path, body, token, "Content-Type: application/json")
	}
	delete(added, "secret")
	equal(t, added, get(path), "it is found as it was added, without its secret")

	t.Run("it is told, and what it was told is listed", func(t *testing.T) {
		for range 3 {
			check(t, w.catalog.Emit(t.Context(), catalog.OutboxEvent{Type: catalog.TenantReady, Data: json.RawMessage(`{"school":{"name":"Lincoln High"}}`)}))
		}
		w.relay()
		verifier, err := standardwebhooks.NewWebhook(secret)
		check(t, err)
		check(t, verifier.Verify(o.body, o.last.Header))
		var ids []string
		for query := "?limit=2&state=delivered"; query != ""; {
			page := get(path + "/deliveries" + query)
			for _, entry := range page["deliveries"].([]any) {
				d := entry.(map[string]any)
				equal(t, []any{"tenant.ready", "delivered", 1.0, 204.0, nil, nil},
					[]any{d["eventType"], d["state"], d["attempts"], d["lastStatus"], d["lastProblem"], d["nextAttemptAt"]})
				ids = append(ids, d["id"].(string))
			}
			query = ""
			if next, ok := page["nextCursor"].(string); ok {
				query = "?limit=2&state=delivered&cursor=" + next
			}
		}
		equal(t, 3, len(ids))
		truth(t, ids[0] > ids[1] && ids[1] > ids[2], "newest first: ", ids)
		equal(t, 0, len(get(path + "/deliveries?state=dead")["deliveries"].([]any)))

		replayed := send("POST", path+"/deliveries/"+ids[0]+"/replay", "")
		equal(t, 202, replayed.Status, replayed.Body)
		equal(t, []any{"pending", 1.0}, []any{replayed.json(t)["state"], replayed.json(t)["attempts"]})
		o.last = nil
		check(t, w.config.Webhooks.Sweep(t.Context(), 0))
		equal(t, ids[0], o.last.Header.Get("Webhook-Id"))
		equal(t, 404, send("POST", path+"/deliveries/"+uuid.NewString()+"/replay", "").Status)
		equal(t, 404, send("POST", path+"/deliveries/lincoln/replay", "").Status)
		equal(t, []string{"again unknown_field"}, fieldCodes(t, send("POST", path+"/deliveries/"+ids[0]+"/replay", `{"again":true}`)))
		for query, field := range map[string]string{
			"?state=gone": "state invalid_choice", "?limit=201": "limit out_of_range", "?cursor=" + canary: "cursor invalid_format",
		} {
			r := w.call("GET", path+"/deliveries"+query, "", token)
			equal(t, []string{field}, fieldCodes(t, r))
			lacks(t, r.Body, canary)
		}
	})
	t.Run("a ping tells how it went", func(t *testing.T) {
		ping := send("POST", path+"/ping", "{}").json(t)
		equal(t, []any{true, 204.0, nil}, []any{ping["delivered"], ping["status"], ping["problem"]})
		holds(t, string(o.body), `"type":"ping"`)
		o.status = 500
		r := send("POST", path+"/ping", "")
		equal(t, 200, r.Status, "the operation has worked: ", r.Body)
		equal(t, []any{false, 500.0, "it answered 500"}, []any{r.json(t)["delivered"], r.json(t)["status"], r.json(t)["problem"]})
	})
	t.Run("a new secret is told once", func(t *testing.T) {
		r := send("POST", path+"/rotate", "")
		equal(t, 200, r.Status, r.Body)
		fresh := r.json(t)
		truth(t, fresh["secret"] != secret && strings.HasPrefix(fresh["secret"].(string), "whsec_"), "the secret stays")
		truth(t, fresh["rotatedAt"] != nil && fresh["previousSecretUntil"] != nil, r.Body)
		delete(fresh, "secret")
		equal(t, fresh, get(path))
		check(t, w.catalog.Emit(t.Context(), catalog.OutboxEvent{Type: catalog.TenantReady}))
		w.relay()
		equal(t, 2, len(strings.Fields(o.last.Header.Get("Webhook-Signature"))))
	})
	t.Run("it is changed member by member", func(t *testing.T) {
		for _, change := range []struct {
			body string
			want map[string]any
		}{
			{`{"description":"Accounts"}`, map[string]any{"description": "Accounts", "url": o.url, "enabled": true}},
			{`{"events":[]}`, map[string]any{"events": []any{}, "enabled": true}},
			{`{"enabled":false}`, map[string]any{"enabled": false, "disabledBecause": "disabled by auth0|operator", "url": o.url}},
			{`{}`, map[string]any{"url": o.url}},
		} {
			r := send("PATCH", path, change.body)
			equal(t, 200, r.Status, r.Body)
			for name, value := range change.want {
				equal(t, value, r.json(t)[name], change.body+" "+name)
			}
			lacks(t, r.Body, "whsec_")
			equal(t, r.json(t), get(path))
		}
		pending := get(path + "/deliveries")["deliveries"].([]any)[0].(map[string]any)
		r := send("POST", path+"/deliveries/"+pending["id"].(string)+"/replay", "")
		equal(t, []string{"delivery wrong_state"}, fieldCodes(t, r), "it is disabled")
	})
	t.Run("webhooks are listed newest first, in pages", func(t *testing.T) {
		for i := range 2 {
			equal(t, 201, send("POST", "/webhooks", fmt.Sprintf(`{"url":"https://hooks.lincoln.example/%d"}`, i)).Status)
		}
		first := get("/webhooks?limit=2")
		second := get("/webhooks?limit=2&cursor=" + first["nextCursor"].(string))
		equal(t, []any{2, 1, nil}, []any{len(first["webhooks"].([]any)), len(second["webhooks"].([]any)), second["nextCursor"]})
		equal(t, path, "/webhooks/"+second["webhooks"].([]any)[0].(map[string]any)["id"].(string))
		equal(t, []string{"cursor invalid_format"}, fieldCodes(t, w.call("GET", "/webhooks?cursor="+canary, "", token)))
	})
	t.Run("it is removed", func(t *testing.T) {
		r := send("DELETE", path, "")
		equal(t, 204, r.Status, r.Body)
		equal(t, "", r.Body)
		for _, r := range []reply{
			w.call("GET", path, "", token), w.call("GET", path+"/deliveries", "", token), send("DELETE", path, ""), send("PATCH", path, "{}"),
			send("POST", path+"/rotate", ""), send("POST", path+"/ping", ""), w.call("GET", "/webhooks/lincoln", "", token),
		} {
			equal(t, 404, r.Status, r.Body)
			equal(t, "NOT_FOUND", r.code(t))
		}
	})
	lacks(t, w.log.String(), "whsec_", strings.TrimPrefix(secret, "whsec_"), o.url)
}

func TestMalformedWebhooks(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	token := w.bearer("manage:webhooks")
	r := w.call("POST", "/webhooks", `{"url":"https://hooks.lincoln.example"}`, token)
	path := r.Header.Get("Location")
	for _, c := range []struct {
		body   string
		status int
		fields []string
	}{
		{``, 400, nil},
		{`[]`, 400, nil},
		{`{"url":"` + canary + `","url":"` + canary + `"}`, 400, nil},
		{`{"url":"` + canary + `"`, 400, nil},
		{`{"description":"` + strings.Repeat("a", 17<<10) + `"}`, 413, nil},
		{`{"url":7,"events":"` + canary + `","description":[],"enabled":"yes","secret":"` + canary + `"}`, 422, nil},
		{`{"url":"https://ada:` + canary + `@lincoln.example"}`, 422, []string{"url invalid_format"}},
		{`{"url":"https://10.0.0.1","description":"` + strings.Repeat("a", 201) + `","events":["` + canary + `"]}`, 422, []string{"url address_refused", "description too_long", "events invalid_choice"}},
	} {
		for method, path := range map[string]string{"POST": "/webhooks", "PATCH": path} {
			r := w.call(method, path, c.body, token, "Content-Type: application/json")
			equal(t, c.status, r.Status, method, c.body, r.Body)
			lacks(t, r.Body, canary)
			if c.fields != nil {
				equal(t, c.fields, fieldCodes(t, r), method)
			}
		}
	}
	equal(t, []string{"secret unknown_field"}, fieldCodes(t, w.call("POST", "/webhooks", `{"url":"https://lincoln.example","secret":"x"}`, token)))
	equal(t, []string{"url required"}, fieldCodes(t, w.call("POST", "/webhooks", `{}`, token)))
	equal(t, 415, w.call("PATCH", path, `{}`, token, "Content-Type: text/plain").Status)
	for _, refused := range []string{w.bearer("read:tenants", "update:tenants"), ""} {
		equal(t, map[bool]int{true: 401, false: 403}[refused == ""], w.call("GET", "/webhooks", "", refused).Status)
	}
	lacks(t, w.log.String(), canary)
}
