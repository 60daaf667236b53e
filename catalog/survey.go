package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Survey is a snapshot of the whole catalog, to be compared with the servers and the identity provider.
type Survey struct {
	// At is the time of the catalog's clock.
	At      time.Time
	Tenants map[uuid.UUID]SurveyedTenant
	// Users are the users that are not deleted. Identities maps the ids of their identities, if known, to their ids.
	Users      map[uuid.UUID]SurveyedUser
	Identities map[string]uuid.UUID
	// Signups are those that have a tenant or a user, or are due for a worker. It excludes those that were undone.
	Signups     map[uuid.UUID]SurveyedSignup
	Undelivered Undelivered
	// Self describes the catalog's own database.
	Self Self
	// Migrating says that a fleet run is open, so that databases may be ahead of their rows.
	Migrating bool
}

// SurveyedTenant is what an auditor needs of a [Tenant].
type SurveyedTenant struct {
	ID               uuid.UUID
	Server, Database string
	State            State
	ResumeState      *State
	QuarantineKind   *QuarantineKind
	QuarantineCause  *string
	Name, Slug       string
	Lineage          string
	SchemaVersion    uint
	PasswordRotation int
	Fingerprint      *string
	HeldAt           *uint
	// OrganizationID is the school's organization at the identity provider; empty if it has none.
	OrganizationID string
	// Claimable says that it is a spare that certainly nobody uses, so the next school may get it.
	Claimable bool
	// Idle says that its row has not changed for a quarter of an hour; Unfinished, that it has been building for more
	// than three minutes.
	Idle, Unfinished bool
}

// SurveyedUser is what an auditor needs of a [User].
type SurveyedUser struct {
	ID, TenantID uuid.UUID
	Email        string
	IdentityID   string
	Role         string
	Active       bool
}

// SurveyedSignup is what an auditor needs of a [Signup].
type SurveyedSignup struct {
	ID, UserID uuid.UUID
	TenantID   *uuid.UUID
	Email      string
	Status     Status
	Kind       Kind
	// IdentityID is the existing identity that it linked; nil if it created one.
	IdentityID *string
	// Held says that a worker has it, or will within a minute; Unattended, that this was due more than a minute ago.
	Held, Unattended bool
	CheckAt          *time.Time
	// Steps and Problem are those of a sign-up that needs an operator.
	Steps, Problem json.RawMessage
}

// Undelivered counts the events, mails and deliveries that were not delivered.
type Undelivered struct {
	// Events have waited to be relayed for more than ten minutes.
	Events int
	// MailsFailed have certainly not been sent, MailsUnknown may have been; both within the last day.
	MailsFailed, MailsUnknown int
	// Deliveries became dead within the last day, and were for this number of Webhooks that are still enabled.
	Deliveries, Webhooks int
}

// surveyTenants omits the steps, which are most of a row.
const surveyTenants = `
	select id, server, database, state, resume_state, quarantine_kind, quarantine_cause, coalesce(name, '') as name,
		coalesce(slug, '') as slug, lineage, schema_version, password_rotation, fingerprint, held_at,
		coalesce(organization_id, '') as organization_id, coalesce(state = 'spare' and ` + claimable + `, false) as claimable,
		updated_at < now() - interval '15 minutes' as idle,
		state = 'building' and updated_at < now() - interval '3 minutes' as unfinished
	from tenants`

const surveyUsers = `
	select id, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') as tenant_id, email,
		coalesce(identity_id, '') as identity_id, role, state = 'active' as active
	from users
	where state <> 'deleted'`

const surveySignups = `
	select id, user_id, tenant_id, email, status, kind, identity_id,
		coalesce(check_at >= now() - interval '1 minute', false) as held,
		coalesce(check_at < now() - interval '1 minute', false) as unattended,
		check_at,
		case when status = 'needs_operator' then steps end as steps, problem
	from signups
	where tenant_id is not null or check_at is not null or status = 'needs_operator'`

const surveyUndelivered = `
	select
		(select count(*) from outbox_events where relayed_at is null and created_at < now() - interval '10 minutes') as events,
		mails.*, deliveries.*
	from (
		select count(*) filter (where state = 'failed') as mails_failed, count(*) filter (where state = 'unknown') as mails_unknown
		from mails
		where finished_at > now() - interval '1 day'
	) as mails, (
		select count(*) as deliveries, count(distinct endpoint_id) as webhooks
		from webhook_deliveries
		join webhook_endpoints on webhook_endpoints.id = endpoint_id
		where state = 'dead' and ended_at > now() - interval '1 day' and enabled
	) as deliveries`

// Survey reads a snapshot of the catalog, in a few queries whatever its size.
func (s *Store) Survey(ctx context.Context) (Survey, error) {
	var survey Survey
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		err = tx.QueryRow(ctx, `
			select now(), exists (select from migration_runs where state in ('running', 'paused'))`).Scan(&survey.At, &survey.Migrating)
		if err != nil {
			return err
		}
		if survey.Tenants, err = byID(ctx, tx, surveyTenants, func(t SurveyedTenant) uuid.UUID { return t.ID }); err != nil {
			return err
		}
		if survey.Users, err = byID(ctx, tx, surveyUsers, func(u SurveyedUser) uuid.UUID { return u.ID }); err != nil {
			return err
		}
		if survey.Signups, err = byID(ctx, tx, surveySignups, func(s SurveyedSignup) uuid.UUID { return s.ID }); err != nil {
			return err
		}
		if survey.Undelivered, err = one[Undelivered](ctx, tx, surveyUndelivered); err != nil {
			return err
		}
		survey.Self, err = surveySelf(ctx, tx)
		return err
	})
	if err != nil {
		return Survey{}, fmt.Errorf("survey the catalog: %w", err)
	}
	survey.Identities = make(map[string]uuid.UUID, len(survey.Users))
	for id, user := range survey.Users {
		if user.IdentityID != "" {
			survey.Identities[user.IdentityID] = id
		}
	}
	return survey, nil
}

// byID reads the rows of a query by their ids.
func byID[T any](ctx context.Context, tx pgx.Tx, sql string, id func(T) uuid.UUID) (map[uuid.UUID]T, error) {
	rows, err := many[T](ctx, tx, sql)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]T, len(rows))
	for _, row := range rows {
		found[id(row)] = row
	}
	return found, nil
}

// CountTenants counts the tenants in each state, including deleted ones.
func (s *Store) CountTenants(ctx context.Context) (map[State]int, error) {
	rows, err := many[struct {
		State State
		Count int
	}](ctx, s.pool, `select state, count(*) from tenants group by state`)
	if err != nil {
		return nil, fmt.Errorf("count tenants: %w", err)
	}
	counts := make(map[State]int, len(rows))
	for _, row := range rows {
		counts[row.State] = row.Count
	}
	return counts, nil
}
