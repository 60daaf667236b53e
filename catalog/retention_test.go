package catalog_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

const month = 30 * 24 * time.Hour

// ended are sign-ups, named by their school. The old ones ended 40 days ago.
const ended = `
	insert into tenants (id, server, database, lineage, state, name, slug)
	values ('00000000-0000-0000-0000-000000000001', 'main', 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'lunch', 'reserved', 'Parked', 'parked');
	insert into users (id, email) values ('00000000-0000-0000-0000-000000000002', 'ada@lincoln.example');
	insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, check_at, finished_at, idempotency_key, result)
	select gen_random_uuid(), '', coalesce(user_id::uuid, gen_random_uuid()), tenant_id::uuid, 'ada@lincoln.example', name, status,
		now() + check_in::interval, now() - ago::interval, idempotency_key, result::jsonb
	from (values
		('old expired', 'expired', null, '40 days', null, null, null, null),
		('old failed', 'failed', null, '40 days', null, null, null, null),
		('a young one', 'expired', null, '20 days', null, null, null, null),
		('a last look is due', 'expired', '-39 days', '40 days', null, null, null, null),
		('needs an operator, with its tenant', 'needs_operator', null, '40 days', '00000000-0000-0000-0000-000000000001', null, null, null),
		('needs an operator, with its user', 'needs_operator', null, '40 days', null, '00000000-0000-0000-0000-000000000002', null, null),
		('ready, and its key is remembered', 'ready', null, '400 days', '00000000-0000-0000-0000-000000000001', null, 'key-of-sixteen-and-more', '{}'),
		('waits for a person', 'awaiting_approval', '1 day', null, null, null, null, null)
	) as row (name, status, check_in, ago, tenant_id, user_id, idempotency_key, result)`

// invitations are invitations, named by their address.
const invitations = `
	insert into invitations (id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at)
	select case email when 'answered' then '00000000-0000-0000-0000-000000000003' else gen_random_uuid() end,
		email, 'member', 'operator', now() - interval '50 days', now() + expires_in::interval, now() - accepted::interval, now() - revoked::interval
	from (values ('expired', '-40 days', null, null), ('accepted', '-1 day', '40 days', null), ('revoked', '9 days', null, '40 days'),
		('open', '9 days', null, null), ('ended lately', '-20 days', null, null), ('accepted lately', '-45 days', '5 days', null),
		('answered', '-40 days', null, null)
	) as row (email, expires_in, accepted, revoked);
	insert into signups (id, request_hash, user_id, email, school_name, check_at, invitation_id)
	values (gen_random_uuid(), '', gen_random_uuid(), 'ada@lincoln.example', 'S', now(), '00000000-0000-0000-0000-000000000003')`

// events are events, named by their types; one has a pending delivery.
const events = `
	insert into webhook_endpoints (id, url, created_by) values ('00000000-0000-0000-0000-000000000004', 'https://lincoln.example', 'operator');
	insert into outbox_events (type, created_at, relayed_at) values ('old', now() - interval '40 days', now() - interval '40 days'),
		('young', now() - interval '20 days', now()), ('not handed on', now() - interval '40 days', null),
		('being delivered', now() - interval '40 days', now() - interval '40 days');
	insert into webhook_deliveries (id, event_id, endpoint_id, state, next_attempt_at)
	select gen_random_uuid(), id, '00000000-0000-0000-0000-000000000004',
		case type when 'old' then 'delivered' else 'pending' end, case type when 'old' then null else now() end
	from outbox_events where type in ('old', 'being delivered')`

const mails = `
	insert into signups (id, request_hash, user_id, email, school_name, status, check_at)
	values ('00000000-0000-0000-0000-000000000005', '', gen_random_uuid(), 'ada@lincoln.example', 'S', 'awaiting_approval', now());
	insert into mails (event_id, kind, signup_id, recipient, state, created_at, finished_at)
	select gen_random_uuid(), kind, case kind when 'of a sign-up that waits' then '00000000-0000-0000-0000-000000000005'::uuid end, 'ada@lincoln.example',
		state, now() - ago::interval, case when state in ('sent', 'failed') then now() - ago::interval end
	from (values ('old and sent', 'sent', '40 days'), ('old and failed', 'failed', '40 days'), ('young', 'sent', '20 days'),
		('queued', 'queued', '40 days'), ('being sent', 'sending', '40 days'), ('of a sign-up that waits', 'sent', '40 days')) as row (kind, state, ago)`

// runs are runs, named by who started them.
const runs = `
	insert into migration_runs (id, state, to_version, total, started_by, schema_hash, only_tenants, started_at, finished_at)
	select gen_random_uuid(), state, 4, 1, started_by, schema_hash, only_tenants::text[], now() - ago::interval,
		case state when 'running' then null else now() - ago::interval end
	from (values ('old', 'done', 'a', '{}', '40 days'), ('stopped, and its like is not begun again', 'stopped', 'b', '{}', '40 days'),
		('stopped, and followed by another', 'stopped', 'c', '{}', '41 days'), ('follower', 'done', 'c', '{}', '20 days'),
		('of one tenant', 'aborted', 'd', '{lincoln-high}', '40 days'), ('open', 'running', 'e', '{}', '40 days')
	) as row (started_by, state, schema_hash, only_tenants, ago);
	insert into migration_outcomes (run_id, tenant_id, database, state, from_version, to_version, duration_ms)
	select id, gen_random_uuid(), started_by, 'done', 3, 4, 1 from migration_runs`

const audit = `
	insert into audit_events (actor, action, at)
	select 'operator', action, now() - ago::interval
	from (values ('first', '42 days'), ('second', '41 days'), ('young', '20 days')) as row (action, ago)`

const allowances = `
	insert into rate_limits (key, full_at)
	values ('back', now() - interval '1 s'), ('long back', now() - interval '1 hour'), ('not back', now() + interval '1 hour')`

func TestOldRowsGoAndWhatIsNeededStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		table        catalog.Table
		age          time.Duration
		insert, name string
		gone         int
		stay         []string
	}{
		{catalog.SignupsTable, month, ended, "school_name", 2, []string{
			"a last look is due", "a young one", "needs an operator, with its tenant", "needs an operator, with its user", "ready, and its key is remembered", "waits for a person",
		}},
		{catalog.InvitationsTable, month, invitations, "email", 3, []string{"accepted lately", "answered", "ended lately", "open"}},
		{catalog.OutboxTable, month, events, "type", 1, []string{"being delivered", "not handed on", "young"}},
		{catalog.MailsTable, month, mails, "kind", 2, []string{"being sent", "of a sign-up that waits", "queued", "young"}},
		{catalog.OutcomesTable, month, runs, "database", 3, []string{"follower", "open", "stopped, and its like is not begun again"}},
		// Those with outcomes stay until the outcomes are gone.
		{catalog.RunsTable, month, runs + "; delete from migration_outcomes where database <> 'of one tenant'", "started_by", 2, []string{
			"follower", "of one tenant", "open", "stopped, and its like is not begun again",
		}},
		{catalog.AuditTable, month, audit, "action", 2, []string{"young"}},
		{catalog.AllowancesTable, 0, allowances, "key", 2, []string{"not back"}},
	} {
		t.Run(string(c.table), func(t *testing.T) {
			t.Parallel()
			store := setup(t)
			exec(t, store, c.insert, pgx.QueryExecModeSimpleProtocol)
			gone := 0
			for {
				n, err := store.DeleteOld(t.Context(), c.table, c.age, 1)
				if err != nil || n > 1 {
					t.Fatalf("a batch of one deleted %d, %v", n, err)
				}
				if n == 0 {
					break
				}
				gone++
			}
			left := value[[]string](t, store, "select array_agg("+c.name+" order by "+c.name+") from "+string(c.table))
			if gone != c.gone || strings.Join(left, "|") != strings.Join(c.stay, "|") {
				t.Errorf("%d are gone and %q are left; want %d and %q", gone, left, c.gone, c.stay)
			}
		})
	}
}

// withLongTimeout returns a second store on the same catalog, whose statements may wait for a lock for as long as the
// test lasts.
func withLongTimeout(t *testing.T, store *catalog.Store) *catalog.Store {
	t.Helper()
	address, err := url.Parse(store.Pool().Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("lock_timeout", "20s")
	address.RawQuery = query.Encode()
	other, err := catalog.Open(t.Context(), catalog.Config{URL: address.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// An uncommitted batch is the worst case for a concurrent sign-up.
func TestDeletingOldRowsBlocksNoSignup(t *testing.T) {
	t.Parallel()
	store := setup(t)
	people := withLongTimeout(t, store)
	spare(t, store)
	for _, sql := range []string{ended, invitations, events, mails, runs, audit, allowances} {
		exec(t, store, sql, pgx.QueryExecModeSimpleProtocol)
	}
	exec(t, store, "update invitations set expires_at = now() + interval '1 day' where email = 'answered'")
	tx, err := store.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	for _, table := range []catalog.Table{
		catalog.SignupsTable, catalog.InvitationsTable, catalog.OutboxTable, catalog.MailsTable, catalog.OutcomesTable,
		catalog.RunsTable, catalog.AuditTable, catalog.AllowancesTable,
	} {
		if n, err := catalog.DeleteOldTx(t.Context(), tx, table, map[bool]time.Duration{false: month}[table == catalog.AllowancesTable], 1000); err != nil || n == 0 {
			t.Fatalf("deleted %d of %s, %v", n, table, err)
		}
	}
	run := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	grant, err := people.TakeAllowance(t.Context(), "not back", catalog.Allowance{Count: 5, Window: 5 * time.Hour})
	run("take from the allowance", err)
	if !grant.Allowed {
		t.Errorf("the allowance is %+v", grant)
	}
	r := reserveParams(1)
	r.Email = "grace@lincoln.example" // ada's e-mail belongs to a sign-up that needs an operator
	reservation, err := people.Reserve(t.Context(), r)
	run("reserve", err)
	run("renew", people.Renew(t.Context(), reservation.Signup, time.Minute))
	run("finish", people.Finish(t.Context(), reservation.Signup, catalog.Identity{ID: "auth0|1"}, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{}`)))
	unconfirmed := reserveParams(2)
	_, err = people.ReserveUnconfirmed(t.Context(), unconfirmed, true, true, time.Hour)
	run("reserve unconfirmed", err)
	due, err := people.Due(t.Context(), time.Minute, 10)
	run("look for due sign-ups", err)
	for _, row := range due {
		if row.Status == catalog.Expired {
			run("look again", people.RecheckDone(t.Context(), row))
		}
	}
	_, err = people.RelayEvents(t.Context(), 10, func(pgx.Tx, []catalog.OutboxEvent) error { return nil })
	run("relay events", err)
	run("record an event", people.Record(t.Context(), catalog.Event{Actor: "operator", Action: "test"}))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDeletingOldRowsWaitsForNobody(t *testing.T) {
	t.Parallel()
	store := setup(t)
	exec(t, store, audit)
	exec(t, store, ended, pgx.QueryExecModeSimpleProtocol)
	tx, err := store.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	for _, sql := range []string{
		"select from audit_events where action = 'first' for key share", "update signups set steps = '[1]' where school_name = 'old failed'",
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	other := withLongTimeout(t, store)
	for _, table := range []catalog.Table{catalog.AuditTable, catalog.SignupsTable} {
		if n, err := other.DeleteOld(t.Context(), table, month, 1000); err != nil || n != 1 {
			t.Errorf("beside somebody who holds one of two old rows it deleted %d of %s, %v", n, table, err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := other.DeleteOld(t.Context(), catalog.SignupsTable, month, 1000); err != nil || n != 1 {
		t.Errorf("afterwards it deleted %d, %v", n, err)
	}
}
