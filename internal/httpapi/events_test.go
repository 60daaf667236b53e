package httpapi_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"homeroom/internal/flaky"
	"homeroom/internal/httpapi"
)

func jsonReader(text string) io.Reader { return strings.NewReader(text) }

// follow opens a stream and hands over the data of its events, until it ends.
func (w *world) follow(path string, headers ...string) <-chan map[string]any {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	check(w.t, err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	check(w.t, err)
	equal(w.t, 200, res.StatusCode)
	equal(w.t, "text/event-stream", res.Header.Get("Content-Type"))
	events := make(chan map[string]any, 100)
	go func() {
		defer close(events)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var event map[string]any
				if json.Unmarshal([]byte(data), &event) == nil {
					events <- event
				}
			}
		}
	}()
	return events
}

// TestEvents follows a sign-up for longer than the server lets a request be read or written.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, server: func(h http.Handler) *http.Server {
		s := httpapi.NewServer("", h)
		s.ReadTimeout, s.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
		return s
	}})
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.Slow, Delay: 700 * time.Millisecond})
	go func() { _, _ = w.try("POST", "/users", jsonReader(form("ada@lincoln.example", "Lincoln High"))) }() // its answer comes too late
	var path string
	eventually(t, func() bool {
		rows, err := w.catalog.Pool().Query(t.Context(), `select id::text from signups`)
		check(t, err)
		defer rows.Close()
		for rows.Next() {
			check(t, rows.Scan(&path))
		}
		return path != ""
	})
	path = "/signups/" + path + "/events"
	began := time.Now()
	var statuses []string
	var last map[string]any
	for event := range w.follow(path) {
		status := event["status"].(string)
		if len(statuses) == 0 || statuses[len(statuses)-1] != status {
			statuses = append(statuses, status)
		}
		last = event
	}
	equal(t, []string{"pending", "provisioning", "ready"}, statuses)
	truth(t, time.Since(began) > 300*time.Millisecond, "the stream was to outlive the deadlines")
	equal(t, "lincoln-high", last["school"].(map[string]any)["slug"])

	t.Run("of a finished sign-up are one event", func(t *testing.T) {
		var events int
		for range w.follow(path) {
			events++
		}
		equal(t, 1, events)
	})
	t.Run("do not begin again after the last", func(t *testing.T) {
		r := w.call("GET", path, "", "Last-Event-ID: final")
		equal(t, 204, r.Status)
		equal(t, "", r.Body)
	})
}

// TestShutdownEndsStreams lets the server go while somebody listens.
func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	var server *http.Server
	w := setup(t, options{noSpare: true, server: func(h http.Handler) *http.Server {
		server = httpapi.NewServer("", h)
		return server
	}})
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.StatusBefore, Status: 500, Times: -1})
	w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"))
	var id string
	check(t, w.catalog.Pool().QueryRow(t.Context(), `update signups set status = 'pending', check_at = now() + interval '1 hour' returning id::text`).Scan(&id))
	events := w.follow("/signups/" + id + "/events")
	equal(t, "pending", (<-events)["status"])
	began := time.Now()
	check(t, server.Shutdown(t.Context()))
	truth(t, time.Since(began) < 5*time.Second, time.Since(began))
	_, open := <-events
	truth(t, !open, "the stream is still open")
}
