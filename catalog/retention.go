package catalog

import (
	"context"
	"fmt"
	"time"
)

// Table is a table of the catalog whose old rows are deleted.
type Table string

// The tables whose old rows are deleted. Tenants, users, and sign-ups with a tenant stay.
const (
	// SignupsTable: sign-ups that ended without a school, counted from their end. One that is still rechecked, or that
	// has a user, stays.
	SignupsTable Table = "signups"
	// InvitationsTable: invitations that were accepted, revoked or have expired, counted from then. One of an
	// unfinished sign-up stays.
	InvitationsTable Table = "invitations"
	// OutboxTable: relayed events with their deliveries to webhooks, counted from their creation. An event with a
	// pending delivery stays.
	OutboxTable Table = "outbox_events"
	// MailsTable: sent, failed and unknown mails, counted from their creation. Those of an unfinished sign-up stay.
	MailsTable Table = "mails"
	// OutcomesTable and RunsTable: fleet runs, counted from their end, and their results for each tenant. A run is
	// deleted after its outcomes. A run that prevents the automatic start of another one stays.
	OutcomesTable Table = "migration_outcomes"
	RunsTable     Table = "migration_runs"
	// AuditTable: audit events, counted from their creation.
	AuditTable Table = "audit_events"
	// AllowancesTable: limits, counted from when they are full again.
	AllowancesTable Table = "rate_limits"
)

// overRuns are the runs that may be deleted. The newest run of some files that was stopped or aborted prevents the
// automatic start of the next one, see [Store.LatestRun].
const overRuns = `
	select id
	from migration_runs run
	where finished_at < now() - $1::interval and not (
		state in ('stopped', 'aborted') and only_tenants = '{}' and direction = 'up' and not exists (
			select from migration_runs newer
			where newer.schema_hash = run.schema_hash and newer.only_tenants = '{}' and newer.direction = 'up'
				and (newer.started_at, newer.id) > (run.started_at, run.id)))`

// oldRows finds the rows of a table that ended longer ago than $1, the oldest first. Each is read along an index.
var oldRows = map[Table]string{
	SignupsTable: `
		select ctid from signups
		where status in ('failed', 'expired') and check_at is null and tenant_id is null and finished_at < now() - $1::interval
			and not exists (select from users where users.id = user_id and users.state <> 'deleted')
		order by finished_at`,
	InvitationsTable: `
		select ctid from invitations
		where coalesce(accepted_at, revoked_at, expires_at) < now() - $1::interval
			and not exists (select from signups where invitation_id = invitations.id and check_at is not null)
		order by coalesce(accepted_at, revoked_at, expires_at)`,
	OutboxTable: `
		select ctid from outbox_events
		where created_at < now() - $1::interval and relayed_at is not null
			and not exists (select from webhook_deliveries where event_id = outbox_events.id and state = 'pending')
		order by created_at`,
	MailsTable: `
		select ctid from mails
		where created_at < now() - $1::interval and state not in ('queued', 'sending')
			and not exists (select from signups where signups.id = signup_id and check_at is not null)
		order by created_at`,
	OutcomesTable: `
		select ctid from migration_outcomes
		where run_id in (` + overRuns + `)`,
	RunsTable: `
		select ctid from migration_runs
		where id in (` + overRuns + `) and not exists (select from migration_outcomes where run_id = migration_runs.id)
		order by started_at`,
	// Their numbers are in the order of time, so that the first rows show whether there is anything to do: no other row
	// is read.
	AuditTable: `
		select ctid from audit_events
		where id <= (select max(id) from (select id from audit_events order by id limit $2) as first) and at < now() - $1::interval
		order by id`,
	AllowancesTable: `
		select ctid from rate_limits
		where full_at < now() - $1::interval`,
}

// DeleteOld deletes the oldest rows of a table that ended longer ago than age, at most limit, and returns how many. It
// waits for no lock: locked rows are left for the next time.
func (s *Store) DeleteOld(ctx context.Context, table Table, age time.Duration, limit int) (int64, error) {
	return deleteOld(ctx, s.pool, table, age, limit)
}

func deleteOld(ctx context.Context, q querier, table Table, age time.Duration, limit int) (int64, error) {
	// A locked row stays.
	tag, err := q.Exec(ctx, `
		delete from `+string(table)+`
		where ctid = any(array(`+oldRows[table]+`
			limit $2
			for update of `+string(table)+` skip locked))`, age, limit)
	if err != nil {
		return 0, fmt.Errorf("delete old rows of %s: %w", table, err)
	}
	return tag.RowsAffected(), nil
}
