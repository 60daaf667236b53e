package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestNobodyTakesAllEventStreams: a client's network has five, a sign-up has five, and operators have their own.
func TestNobodyTakesAllEventStreams(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: behindProxies})
	waiting := func(n int) string {
		r := w.call("POST", "/users", form(uuid.NewString()+"@lincoln.example", "Lincoln High"), fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", n))
		equal(t, 201, r.Status, r.Body)
		return r.Header.Get("Location") + "/events"
	}
	paths := make([]string, 7)
	for i := range paths {
		paths[i] = waiting(i)
	}
	_, err := w.catalog.Pool().Exec(t.Context(), `update signups set status = 'provisioning', check_at = now() + interval '1 hour'`)
	check(t, err)
	open := func(path, from string, more ...string) (status int, leave func()) {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
		check(t, err)
		req.Header.Set("X-Forwarded-For", from)
		for _, token := range more {
			req.Header.Set("Authorization", token)
		}
		res, err := client.Do(req)
		check(t, err)
		t.Cleanup(func() { leave(); res.Body.Close() })
		return res.StatusCode, leave
	}
	var leave func()
	for i := range 5 {
		var status int
		status, leave = open(paths[i], "198.51.100.1")
		equal(t, 200, status, "a client's ", i+1, "th")
	}
	status, _ := open(paths[5], "198.51.100.1")
	equal(t, 503, status, "a client's sixth")
	for i := range 5 {
		status, _ := open(paths[6], fmt.Sprintf("198.51.100.%d", 10+i))
		equal(t, 200, status, "another client's")
	}
	status, _ = open(paths[6], "198.51.100.99")
	equal(t, 503, status, "a sign-up's sixth")

	var run string
	check(t, w.catalog.Pool().QueryRow(t.Context(), `
		insert into migration_runs (id, to_version, total, started_by) values (gen_random_uuid(), 4, 3, 'test') returning id::text`).Scan(&run))
	token := strings.TrimPrefix(w.bearer("migrate:tenants"), "Authorization: ")
	for range 8 {
		status, _ := open("/migrations/"+run+"/events", "198.51.100.1", token)
		equal(t, 200, status, "an operator's")
	}
	leave()
	eventually(t, func() bool {
		status, left := open(paths[5], "198.51.100.1")
		if status != 200 {
			left()
		}
		return status == 200
	}, "who leaves makes no room")
}
