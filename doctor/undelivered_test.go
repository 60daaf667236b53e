package doctor_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestUndelivered(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	webhook, event := uuid.New(), uuid.New()
	w.sql("insert into webhook_endpoints (id, url, created_by) values ($1, 'https://hooks.lincoln.example', 'test')", webhook)
	w.sql("insert into outbox_events (id, type, relayed_at) values ($1, 'user.created', now())", event)
	mail := `insert into mails (event_id, kind, recipient, state, finished_at)
		values (gen_random_uuid(), 'activation', 'ada@lincoln.example', $1, now())`
	run(t, w, []testCase{
		{
			name: "events", finds: "events_waiting", leaves: "events_waiting",
			make: func(w *world) {
				w.sql(`insert into outbox_events (type, created_at) values ('user.created', now() - interval '9 minutes'),
					('user.created', now() - interval '11 minutes')`)
			},
			repair: func(w *world) { w.sql("update outbox_events set relayed_at = now()") },
		},
		{
			name: "a mail that was refused", finds: "mails_unsent", leaves: "mails_unsent",
			make:   func(w *world) { w.sql(mail, "failed"); w.sql(mail, "sent") },
			repair: func(w *world) { w.sql("update mails set state = 'queued', finished_at = null where state = 'failed'") },
		},
		{
			name: "a mail with an unknown result", finds: "mails_unsent", leaves: "mails_unsent",
			make: func(w *world) { w.sql(mail, "unknown") },
			repair: func(w *world) {
				w.sql("update mails set finished_at = now() - interval '25 hours' where state = 'unknown'")
			},
		},
		{
			name: "a webhook's delivery", unfollowed: true, finds: "deliveries_dead", leaves: "deliveries_dead",
			make: func(w *world) {
				w.sql(`insert into webhook_deliveries (id, event_id, endpoint_id, state, next_attempt_at, ended_at)
					values (gen_random_uuid(), $1, $2, 'dead', null, now())`, event, webhook)
				if detail := w.examine().Findings[0].Detail; !strings.Contains(detail, "1 event could not be delivered to 1 webhook") {
					w.Errorf("it says %q", detail)
				}
			},
			repair: func(w *world) { w.sql("update webhook_endpoints set enabled = false, disabled_because = 'test'") },
		},
	})
}
