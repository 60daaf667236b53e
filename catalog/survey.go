package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Survey is the whole registry at one moment, for whoever compares it with the world outside.
type Survey struct {
	// At is the registry's own time.
	At      time.Time
	Tenants map[uuid.UUID]SurveyedTenant
	// Users are those that are not deleted.
	Users map[uuid.UUID]SurveyedUser
	// Signups are those that hold a tenant, or that somebody must still look at. What was undone is not among them.
	Signups map[uuid.UUID]SurveyedSignup
	// Migrating: a run over the fleet is open, so that databases may be ahead of their rows.
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
	// Idle: nothing has changed in its row for a quarter of an hour.
	Idle bool
}

// SurveyedUser is what an auditor needs of a [User].
type SurveyedUser struct {
	ID, TenantID uuid.UUID
	Email        string
	IdentityID   string
	Active       bool
}

// SurveyedSignup is what an auditor needs of a [Signup].
type SurveyedSignup struct {
	ID, UserID uuid.UUID
	TenantID   *uuid.UUID
	Email      string
	Status     Status
	// Held: somebody has to do with it, or will within a minute. Unattended: that was due more than a minute ago.
	Held, Unattended bool
	CheckAt          *time.Time
	// Steps and Problem are those of a sign-up that failed and kept its tenant.
	Steps, Problem json.RawMessage
}

// surveyTenants leaves out the steps, which are the bulk of a row.
const surveyTenants = `
	select id, server, database, state, resume_state, quarantine_kind, quarantine_cause, coalesce(name, '') as name,
		coalesce(slug, '') as slug, lineage, schema_version, password_rotation, fingerprint, held_at,
		updated_at < now() - interval '15 minutes' as idle
	from tenants`

const surveyUsers = `
	select id, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') as tenant_id, email, coalesce(identity_id, '') as identity_id, state = 'active' as active
	from users
	where state <> 'deleted'`

const surveySignups = `
	select id, user_id, tenant_id, email, status,
		coalesce(check_at >= now() - interval '1 minute', false) as held,
		coalesce(check_at < now() - interval '1 minute', false) as unattended,
		check_at,
		case when status = 'failed' then steps end as steps, problem
	from signups
	where tenant_id is not null or check_at is not null`

// Survey reads the registry as it is at one moment, in five queries whatever its size.
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
		survey.Signups, err = byID(ctx, tx, surveySignups, func(s SurveyedSignup) uuid.UUID { return s.ID })
		return err
	})
	if err != nil {
		return Survey{}, fmt.Errorf("survey the catalog: %w", err)
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

// CountTenants counts the tenants in each state, deleted ones too.
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
