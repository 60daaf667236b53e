package webhook_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/webhook"
)

func TestChangesAreAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	endpoint, _ := b.add("https://hooks.lincoln.example/?token=zq-Token-77", catalog.TenantReady)
	equal(t, "auth0|operator", endpoint.CreatedBy, "who added it")

	changed, err := b.service.Change(ctx, me, endpoint.ID, webhook.Change{Events: &[]string{}})
	check(t, err)
	equal(t, 0, len(changed.Events), "events")
	equal(t, endpoint.URL, changed.URL, "omitted fields stay")
	equal(t, "Billing", changed.Description, "omitted fields stay")

	disabled, err := b.service.Change(ctx, me, endpoint.ID, webhook.Change{Enabled: new(false)})
	check(t, err)
	equal(t, "disabled by auth0|operator", *disabled.DisabledBecause, "why")
	_, err = b.service.Change(ctx, catalog.Actor{Name: "another"}, endpoint.ID, webhook.Change{Enabled: new(false)})
	check(t, err)
	found, err := b.catalog.Webhook(ctx, endpoint.ID)
	check(t, err)
	equal(t, "disabled by auth0|operator", *found.DisabledBecause, "the first cause stays")
	enabled, err := b.service.Change(ctx, me, endpoint.ID, webhook.Change{Enabled: new(true)})
	check(t, err)
	equal(t, true, enabled.Enabled && enabled.DisabledBecause == nil, "enabled, and without a cause")

	_, _, err = b.service.Rotate(ctx, me, endpoint.ID)
	check(t, err)
	b.emit(catalog.UserCreated)
	_, err = b.service.Replay(ctx, me, endpoint.ID, b.single(endpoint.ID).ID)
	check(t, err)
	check(t, b.service.Remove(ctx, me, endpoint.ID))
	equal(t, 0, value[int](b, `select count(*) from webhook_deliveries`), "deliveries after it was removed")

	equal(t, "add change disable disable enable rotate replay remove", value[string](b, `
		select string_agg(replace(action, 'webhook.', ''), ' ' order by id) from audit_events where details->>'webhook' = $1`, endpoint.ID.String()),
		"audit")
	equal(t, 7, value[int](b, `select count(*) from audit_events where actor = 'auth0|operator' and request_id = 'request-1'`), "audit with actor and request")
	equal(t, 0, value[int](b, `select count(*) from audit_events a where a::text like '%Token%'`), "the receiver's token in the audit")

	for name, f := range map[string]func() error{
		"change": func() error { _, err := b.service.Change(ctx, me, endpoint.ID, webhook.Change{}); return err },
		"rotate": func() error { _, _, err := b.service.Rotate(ctx, me, endpoint.ID); return err },
		"remove": func() error { return b.service.Remove(ctx, me, endpoint.ID) },
		"replay": func() error { _, err := b.service.Replay(ctx, me, endpoint.ID, uuid.New()); return err },
		"ping":   func() error { _, err := b.service.Ping(ctx, me, endpoint.ID); return err },
	} {
		equal(t, true, errors.Is(f(), catalog.ErrNotFound), name+" of a missing webhook")
	}
}

// TestADeliveryIsReplayedByItsOwnWebhookOnly: the id of another webhook's delivery is unknown here.
func TestADeliveryIsReplayedByItsOwnWebhookOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, _ := b.add("https://hooks.lincoln.example", catalog.UserCreated)
	other, _ := b.add("https://hooks.einstein.example", catalog.TenantReady)
	b.emit(catalog.UserCreated)
	_, err := b.service.Replay(t.Context(), me, other.ID, b.single(mine.ID).ID)
	equal(t, true, errors.Is(err, catalog.ErrNotFound), "replayed")
}

// TestSecretsAreNotStored searches for them in every row of the catalog, including the jobs, and in the log.
func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, bad := receive(t, nil), receive(t, status(410))
	first, secret := b.add(good.URL)
	second, otherSecret := b.add(bad.URL + "?token=zq-Token-77")
	_, rotated, err := b.service.Rotate(t.Context(), me, first.ID)
	check(t, err)
	b.emit(catalog.UserCreated, catalog.TenantReady)
	for _, d := range append(b.deliveries(first.ID), b.deliveries(second.ID)...) {
		b.deliver(d.ID)
	}
	_, err = b.service.Ping(t.Context(), me, second.ID)
	check(t, err)

	everything := b.logs.String() + b.dump()
	for _, text := range []string{"webhook.rotate", first.ID.String(), "disabled a webhook that answered 410", "deliver_webhook"} {
		equal(t, true, strings.Contains(everything, text), text+" is not found, so the following checks would prove nothing")
	}
	for i, text := range []string{secret, otherSecret, rotated.Reveal(), base64.StdEncoding.EncodeToString(key), string(key)} {
		text = strings.TrimPrefix(text, "whsec_")
		raw, _ := base64.StdEncoding.DecodeString(text)
		for _, form := range []string{text, fmt.Sprintf("%x", raw), strings.TrimRight(base64.URLEncoding.EncodeToString(raw), "=")} {
			equal(t, false, form != "" && strings.Contains(everything, form), fmt.Sprintf("secret %d is stored", i))
		}
	}
	equal(t, false, strings.Contains(b.logs.String(), "zq-Token-77"), "a receiver's token is in the log")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		equal(t, false, strings.Contains(fmt.Sprintf(verb, rotated), rotated.Reveal()), verb+" shows the secret")
	}
}

// dump returns every row of every table of the catalog.
func (b *testEnv) dump() string {
	b.t.Helper()
	rows, err := b.catalog.Pool().Query(b.t.Context(), `
		select format('%I.%I', table_schema, table_name)
		from information_schema.tables
		where table_schema in ('public', 'river') and table_type = 'BASE TABLE'`)
	check(b.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	check(b.t, err)
	var text strings.Builder
	for _, table := range tables {
		text.WriteString(value[string](b, `select coalesce(string_agg(r::text, E'\n'), '') from `+table+` r`))
	}
	return text.String()
}
