package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"homeroom/internal/pgtest"
)

var metricsAddress = regexp.MustCompile(`"serving metrics","addr":"([^"]+)"`)

// TestServeDeletesOldRows: a running service deletes the rows whose retention time is over, and no others, and
// reports the usage of the notification queue.
func TestServeDeletesOldRows(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	p := w.start(t, "HOMEROOM_KEEP_SIGNUPS=10d", "HOMEROOM_KEEP_EVENTS=forever", "HOMEROOM_METRICS_ADDR=127.0.0.1:0")
	_, err := w.pool.Exec(t.Context(), `
		insert into outbox_events (type, created_at, relayed_at) values ('old', now() - interval '200 days', now());
		insert into audit_events (actor, action, at) values ('operator', 'old', now() - interval '3 years'), ('operator', 'young', now() - interval '1 year');
		insert into signups (id, request_hash, user_id, email, school_name, status, finished_at)
		select gen_random_uuid(), '', gen_random_uuid(), 'ada@lincoln.example', school, 'expired', now() - ago::interval
		from (values ('old', '11 days'), ('young', '9 days')) as row (school, ago)`)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is over is deleted", func() (bool, error) {
		n, err := w.number(t.Context(), `
			select (select count(*) from signups where school_name = 'old') + (select count(*) from audit_events where action = 'old')`)
		return n == 0 && err == nil, err
	})
	n, err := w.number(t.Context(), `
		select (select count(*) from signups) + (select count(*) from audit_events where action = 'young') + (select count(*) from outbox_events)`)
	if n != 3 || err != nil {
		t.Errorf("%d of the 3 rows to keep are left, %v", n, err)
	}

	match := metricsAddress.FindStringSubmatch(p.logs.String())
	if match == nil {
		t.Fatalf("it does not say where its metrics are: %s", p.logs)
	}
	eventually(t, "the watch has run", func() (bool, error) {
		client := &http.Client{Timeout: 10 * time.Second}
		resp, err := client.Get("http://" + match[1] + "/metrics")
		if err != nil {
			return false, err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return strings.Contains(string(text), `homeroom_notification_queue_usage{server="main"} 0`), err
	})
}
