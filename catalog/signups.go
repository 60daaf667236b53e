package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Status is the status of a sign-up.
type Status string

// The statuses of a sign-up. Services work on the first four; NeedsOperator waits for `homeroom signup resolve`; the
// last three are final.
const (
	// Pending: reserved, and its identity is not known to exist.
	Pending Status = "pending"
	// AwaitingVerification: the e-mail must be confirmed first. It has no tenant. It has no identity either, unless a
	// confirmation was interrupted or the person signs up with an existing identity.
	AwaitingVerification Status = "awaiting_verification"
	// AwaitingApproval: the identity exists, an operator must approve first. It has no tenant yet.
	AwaitingApproval Status = "awaiting_approval"
	// Provisioning: the identity exists; its membership is being assigned, or the database is being built.
	Provisioning Status = "provisioning"
	// NeedsOperator: only a person can decide. It keeps its user, its tenant and its identity, as far as it has them,
	// and no worker resumes it before an operator has decided.
	NeedsOperator Status = "needs_operator"
	// SignupReady: the school is ready.
	SignupReady Status = "ready"
	// Failed: definitely refused. Its user is removed, and its tenant is free again.
	Failed Status = "failed"
	// Expired: its worker died before the identity existed, it exceeded its wait timeout, or an operator rejected or
	// undid it. Its user is removed. While CheckAt is set, its tenant is not free, and an identity that exists or
	// appears late is removed.
	Expired Status = "expired"
)

// Statuses are all statuses of a sign-up, in order.
var Statuses = []Status{
	Pending, AwaitingVerification, AwaitingApproval, Provisioning, NeedsOperator, SignupReady, Failed, Expired,
}

// Kind is what a sign-up creates.
type Kind string

// The kinds of sign-ups.
const (
	// School: a school, and its owner.
	School Kind = "school"
	// Member: a further person at an existing school.
	Member Kind = "member"
)

// Signup is one person's request to get an account.
type Signup struct {
	ID             uuid.UUID
	IdempotencyKey *string
	RequestHash    []byte
	UserID         uuid.UUID
	TenantID       *uuid.UUID
	Email          string
	SchoolName     string
	Kind           Kind
	// IdentityID is the existing identity that it links; nil if it creates one.
	IdentityID *string
	// InvitationID is the accepted invitation, if any.
	InvitationID *uuid.UUID
	Status       Status
	// Steps, Result and Problem are the saga's own JSON.
	Steps   json.RawMessage
	Result  json.RawMessage
	Problem json.RawMessage
	// LeaseEpoch identifies the present holder, whose writes must name it.
	LeaseEpoch int
	// CheckAt is when the holder's lease ends; nil if nothing is left to do.
	CheckAt    *time.Time
	CreatedAt  time.Time
	FinishedAt *time.Time
}

const signupColumns = `id, idempotency_key, request_hash, user_id, tenant_id, email, school_name, kind, identity_id,
	invitation_id, status, steps, result, problem, lease_epoch, check_at, created_at, finished_at`

// Signup finds a sign-up by id.
func (s *Store) Signup(ctx context.Context, id uuid.UUID) (Signup, error) {
	signup, err := one[Signup](ctx, s.pool, `select `+signupColumns+` from signups where id = $1`, id)
	if err != nil {
		return Signup{}, fmt.Errorf("find sign-up %s: %w", id, known(err))
	}
	return signup, nil
}

// SignupByKey finds a sign-up by its idempotency key.
func (s *Store) SignupByKey(ctx context.Context, key string) (Signup, error) {
	signup, err := one[Signup](ctx, s.pool, `select `+signupColumns+` from signups where idempotency_key = $1`, key)
	if err != nil {
		return Signup{}, fmt.Errorf("find sign-up by its key: %w", known(err))
	}
	return signup, nil
}

// SignupByUser finds the sign-up that created a user.
func (s *Store) SignupByUser(ctx context.Context, user uuid.UUID) (Signup, error) {
	signup, err := one[Signup](ctx, s.pool, `select `+signupColumns+` from signups where user_id = $1`, user)
	if err != nil {
		return Signup{}, fmt.Errorf("find sign-up of user %s: %w", user, known(err))
	}
	return signup, nil
}

// TakeOver leases an unfinished sign-up to a new holder, if the last lease has ended. It fails with [ErrStateChanged]
// while another holder has it, or if it is finished.
func (s *Store) TakeOver(ctx context.Context, id uuid.UUID, lease time.Duration) (Signup, error) {
	signup, err := one[Signup](ctx, s.pool, `
		update signups
		set lease_epoch = lease_epoch + 1, check_at = now() + $2::interval, updated_at = now()
		where id = $1 and status in ('pending', 'provisioning') and check_at <= now()
		returning `+signupColumns, id, lease)
	if err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			err = ErrStateChanged
		}
		return Signup{}, fmt.Errorf("take over sign-up %s: %w", id, err)
	}
	return signup, nil
}

// Due takes over up to limit sign-ups whose lease has ended: unfinished ones, and expired ones that are due for a
// recheck. Concurrent processes get different ones.
func (s *Store) Due(ctx context.Context, lease time.Duration, limit int) ([]Signup, error) {
	signups, err := many[Signup](ctx, s.pool, `
		update signups
		set lease_epoch = lease_epoch + 1, check_at = now() + $1::interval, updated_at = now()
		where id in (
			select id
			from signups
			where check_at <= now()
			order by check_at
			for update skip locked
			limit $2)
		returning `+signupColumns, lease, limit)
	if err != nil {
		return nil, fmt.Errorf("take over due sign-ups: %w", err)
	}
	return signups, nil
}

// Renew extends the holder's lease. It fails with [ErrStateChanged] if another worker has taken over the sign-up.
func (s *Store) Renew(ctx context.Context, signup Signup, lease time.Duration) error {
	return changeOne(ctx, s.pool, "renew lease of sign-up", signup.ID, `
		update signups
		set check_at = now() + $3::interval
		where id = $1 and lease_epoch = $2 and check_at is not null`, signup.ID, signup.LeaseEpoch, lease)
}

// Identity is the result of the identity step.
type Identity struct {
	ID            string
	EmailVerified bool
	// OrganizationID is the id of the school's organization there, if it has one.
	OrganizationID string
}

// RecordIdentity records that the identity exists and that the database is being built, and begins a new lease.
func (s *Store) RecordIdentity(ctx context.Context, signup Signup, identity Identity, steps json.RawMessage, lease time.Duration) error {
	return changeOne(ctx, s.pool, "record identity of sign-up", signup.ID, recordIdentity,
		signup.ID, signup.LeaseEpoch, steps, identity.ID, identity.EmailVerified, lease)
}

// recordIdentity is one statement, so that it has one round trip and one commit.
const recordIdentity = `
		with changed as (
			update signups
			set status = 'provisioning', steps = $3, check_at = now() + $6::interval, updated_at = now()
			where id = $1 and lease_epoch = $2 and status in ('pending', 'provisioning')
			returning user_id
		)
		update users
		set identity_id = $4, email_verified = email_verified or $5, updated_at = now()
		from changed
		where users.id = changed.user_id`

// Wait records that the identity exists, and that the sign-up waits for a person in one of the waiting statuses, until
// the timeout has passed. It also emits the event of the mail. An unconfirmed person whose e-mail is verified becomes
// its user; it fails with [ErrEmailTaken] if somebody else is.
func (s *Store) Wait(ctx context.Context, signup Signup, identity Identity, status Status, steps json.RawMessage, timeout time.Duration) error {
	return changeOne(ctx, s.pool, "let wait sign-up", signup.ID, `
		with waits as (
			update signups
			set status = $5, steps = $6, lease_epoch = lease_epoch + 1, check_at = now() + $7::interval, updated_at = now()
			where id = $1 and lease_epoch = $2 and status in ('pending', 'awaiting_verification')
			returning id, user_id, school_name, check_at
		), told as (
			insert into outbox_events (type, signup_id, data)
			select 'signup.' || $5, waits.id, `+signupNotification+`
			from waits, users
			where users.id = waits.user_id
		)
		update users
		set identity_id = $3, email_verified = email_verified or $4,
			state = case when state = 'unconfirmed' and $4 then 'pending' else state end, updated_at = now()
		from waits
		where users.id = waits.user_id`,
		signup.ID, signup.LeaseEpoch, identity.ID, identity.EmailVerified, string(status), steps, timeout)
}

// Finish marks a sign-up as ready: the user is active, the tenant ready, the result stored. A tenant that was
// quarantined during the sign-up stays quarantined, and becomes ready when the cause is repaired.
func (s *Store) Finish(ctx context.Context, signup Signup, identity Identity, health Health, steps, result json.RawMessage) error {
	return changeOne(ctx, s.pool, "finish sign-up", signup.ID, finishSignup,
		signup.ID, signup.LeaseEpoch, identity.ID, identity.EmailVerified, steps, result, health.Version, health.Fingerprint,
		identity.OrganizationID)
}

// finishSignup is one statement, so that a sign-up has one round trip and one commit for it.
const finishSignup = `
		with done as (
			update signups
			set status = 'ready', result = $6, steps = $5, check_at = null, finished_at = now(), updated_at = now()
			where id = $1 and lease_epoch = $2 and status in ('pending', 'provisioning')
			returning id, user_id, tenant_id, kind, invitation_id
		), owner as (
			update users
			set state = 'active', identity_id = $3, email_verified = email_verified or $4, updated_at = now()
			from done
			where users.id = done.user_id
		), audit as (
			insert into audit_events (actor, action, tenant_id, signup_id)
			select 'homeroom', case kind when 'school' then 'tenant.ready' else 'user.joined' end, tenant_id, id
			from done
		), invited as (
			update invitations set accepted_at = now()
			from done
			where invitations.id = done.invitation_id and accepted_at is null and revoked_at is null
		), told as (
			insert into outbox_events (type, tenant_id, signup_id, data)
			select type, tenant_id, id, $6::jsonb
			from done, unnest(case kind
				when 'school' then array['user.created', 'organization.created', 'tenant.ready']
				else array['user.created'] end) as type
		)
		update tenants
		set state = case when kind = 'member' or tenants.state = 'quarantined' then tenants.state else 'ready' end,
			resume_state = case when kind = 'school' and tenants.state = 'quarantined' then 'ready' else resume_state end,
			schema_version = greatest(schema_version, $7),
			fingerprint = coalesce(nullif($8, ''), fingerprint),
			organization_id = coalesce(nullif($9, ''), organization_id),
			ready_at = coalesce(ready_at, now()),
			updated_at = now()
		from done
		where tenants.id = done.tenant_id and (kind = 'member' or tenants.state in ('reserved', 'building', 'quarantined'))`

// Undo ends a sign-up that was definitely refused, and leaves nothing of it: the e-mail and the key are free again, a
// claimed spare is returned to the stock, and a tenant row whose database was not begun is deleted.
func (s *Store) Undo(ctx context.Context, signup Signup, steps, problem json.RawMessage) error {
	return changeOne(ctx, s.pool, "undo sign-up", signup.ID, `
		with held as (
			select id, user_id, tenant_id
			from signups
			where id = $1 and lease_epoch = $2 and status = 'pending'
			for update
		), gone_user as (
			delete from users using held where users.id = held.user_id
		), `+freeTenant+`
		update signups
		set status = 'failed', steps = $3, problem = $4, check_at = null, idempotency_key = null, tenant_id = null,
			finished_at = now(), updated_at = now()
		from held
		where signups.id = held.id`,
		signup.ID, signup.LeaseEpoch, steps, problem)
}

// freeTenant releases the tenant of a sign-up whose database was not begun.
const freeTenant = `
		freed_spare as (
			update tenants
			set state = case when tenants.state = 'quarantined' then tenants.state else 'spare' end,
				resume_state = case when tenants.state = 'quarantined' then 'spare' end,
				name = null, slug = null, updated_at = now(), ` + keepClaimable + `
			from held
			where tenants.id = held.tenant_id and 'reserved' in (tenants.state, tenants.resume_state)
		), gone_tenant as (
			delete from tenants using held where tenants.id = held.tenant_id and tenants.state = 'building'
		)`

// Expire ends a sign-up whose identity does not exist, though it may still appear, which exceeded its wait timeout, or
// which an operator undoes. The e-mail, the key and the slug are free again. The tenant is not free until
// [Store.RecheckDone], so that a late identity never names a tenant that belongs to another school by then. The sign-up
// is due again after the delay.
//
// The tenant of a sign-up that needed an operator is never assigned again: somebody's identity may name it, or somebody
// may use it.
func (s *Store) Expire(ctx context.Context, signup Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return expire(ctx, s.pool, signup, steps, problem, delay)
}

// ExpireTx is [Store.Expire] in the caller's transaction.
func (s *Store) ExpireTx(ctx context.Context, tx pgx.Tx, signup Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return expire(ctx, tx, signup, steps, problem, delay)
}

func expire(ctx context.Context, q querier, signup Signup, steps, problem json.RawMessage, delay time.Duration) error {
	return changeOne(ctx, q, "expire sign-up", signup.ID, `
		with held as (
			select id, user_id, tenant_id, kind, status
			from signups
			where id = $1 and lease_epoch = $2
				and status in ('pending', 'awaiting_verification', 'awaiting_approval', 'needs_operator')
			for update
		), gone_user as (
			delete from users using held where users.id = held.user_id
		), kept_tenant as (
			update tenants
			set slug = 'expired-' || held.id, updated_at = now(),
				claimable_xid = case
					when held.status <> 'needs_operator' and tenants.xmin = claimable_xid then pg_current_xact_id()::xid end
			from held
			where tenants.id = held.tenant_id and held.kind = 'school'
		)
		update signups
		set status = 'expired', steps = $3, problem = $4, check_at = now() + $5::interval, idempotency_key = null,
			finished_at = now(), updated_at = now()
		from held
		where signups.id = held.id`,
		signup.ID, signup.LeaseEpoch, steps, problem, delay)
}

// RecheckDone records the last recheck of an expired sign-up, and releases its tenant. The spare pool refiller discards
// a database that may have been begun, if nobody uses it.
func (s *Store) RecheckDone(ctx context.Context, signup Signup) error {
	return changeOne(ctx, s.pool, "close sign-up", signup.ID, `
		with held as (
			select id, tenant_id
			from signups
			where id = $1 and lease_epoch = $2 and status = 'expired'
			for update
		), freed_tenant as (
			update tenants
			set state = case when tenants.state = 'reserved' then 'spare' else tenants.state end,
				resume_state = case when tenants.state = 'quarantined' then 'spare' end,
				name = null, slug = null, updated_at = now(), `+keepClaimable+`
			from held
			where tenants.id = held.tenant_id
				and (tenants.state = 'building' or 'reserved' in (tenants.state, tenants.resume_state))
		)
		update signups
		set check_at = null, tenant_id = null, updated_at = now()
		from held
		where signups.id = held.id`, signup.ID, signup.LeaseEpoch)
}

// NeedsOperator leaves a sign-up that only a person can decide to an operator, with its user and its tenant.
func (s *Store) NeedsOperator(ctx context.Context, signup Signup, steps, problem json.RawMessage) error {
	return changeOne(ctx, s.pool, "leave to an operator sign-up", signup.ID, `
		update signups
		set status = 'needs_operator', steps = $3, problem = $4, check_at = null, updated_at = now()
		where id = $1 and lease_epoch = $2 and check_at is not null`, signup.ID, signup.LeaseEpoch, steps, problem)
}

// ResumeTx leases a sign-up that needs an operator to a new holder, in the caller's transaction: its steps check how
// far it is. It fails with [ErrStateChanged] if it has changed since signup was read, or its user is gone, and with
// [ErrIdentityTaken] if an unfinished sign-up has its identity by now.
func (s *Store) ResumeTx(ctx context.Context, tx pgx.Tx, signup Signup, lease time.Duration) (Signup, error) {
	resumed, err := one[Signup](ctx, tx, `
		update signups
		set status = case
				when identity_id is null and tenant_id is not null
					and exists (select from users where users.id = user_id and users.identity_id is not null) then 'provisioning'
				else 'pending' end,
			problem = null, lease_epoch = lease_epoch + 1, check_at = now() + $3::interval, updated_at = now()
		where id = $1 and lease_epoch = $2 and status = 'needs_operator' and exists (select from users where users.id = user_id)
		returning `+signupColumns, signup.ID, signup.LeaseEpoch, lease)
	if err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			err = ErrStateChanged
		}
		return Signup{}, fmt.Errorf("resume sign-up %s: %w", signup.ID, known(err))
	}
	return resumed, nil
}

// RetryLater releases a sign-up with its steps, to be taken over again after the delay.
func (s *Store) RetryLater(ctx context.Context, signup Signup, steps json.RawMessage, delay time.Duration) error {
	return changeOne(ctx, s.pool, "give back sign-up", signup.ID, `
		update signups
		set steps = $3, check_at = now() + $4::interval, updated_at = now()
		where id = $1 and lease_epoch = $2 and check_at is not null`, signup.ID, signup.LeaseEpoch, steps, delay)
}
