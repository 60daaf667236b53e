package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ReserveParams are the parameters of a reservation.
type ReserveParams struct {
	SignupID uuid.UUID
	UserID   uuid.UUID
	// TenantID and Database are used if no spare is left and a tenant must be built.
	TenantID uuid.UUID
	Database string
	// IdempotencyKey may be empty.
	IdempotencyKey    string
	RequestHash       []byte
	Email, SchoolName string
	Person
	// Locale is the person's language; may be empty.
	Locale string
	// Kind is the kind of the sign-up; empty means a school. Role is the person's role there; empty means the owner.
	Kind Kind
	Role string
	// JoinTenant is the school that a member joins.
	JoinTenant uuid.UUID
	// Waits leaves a school without a tenant until [Store.Admit] assigns one.
	Waits bool
	// IdentityID is the existing identity that the sign-up links; empty if it creates one.
	IdentityID string
	// InvitationID is the accepted invitation, if any.
	InvitationID *uuid.UUID
	// Slug is the requested slug; a taken one gets a number.
	Slug string
	// Lineage names the migrations of the tenant's schema, SchemaVersion the minimum version of a spare.
	Lineage       string
	SchemaVersion uint
	// Servers are the servers this process can reach.
	Servers []string
	Steps   json.RawMessage
	Lease   time.Duration
}

// Reservation is the result of a reservation. Tenant is zero as long as the sign-up waits.
type Reservation struct {
	Signup Signup
	Tenant Tenant
}

// Reserve inserts a sign-up, its user, and its tenant, all or nothing: a claimed spare if there is one, else the row of
// a tenant to be built. It is one statement, so one round trip and one commit.
//
// It fails with [ErrEmailTaken], [ErrIdentityTaken], [ErrKeyTaken] or [ErrNoCapacity], and with [ErrNotFound] if the
// school to join does not exist.
func (s *Store) Reserve(ctx context.Context, r ReserveParams) (Reservation, error) {
	requested := r.Slug
	for try := 1; ; try++ {
		reserved, err := reserveOnce(ctx, s.pool, r)
		if !errors.Is(err, errSlugTaken) || try == 10 {
			return reserved, err
		}
		// A repetition of a request conflicts with itself in the slug too; its key shows that at once.
		if err := keyTaken(ctx, s.pool, r.IdempotencyKey); err != nil {
			return Reservation{}, err
		}
		if r.Slug, err = nextSlug(ctx, s.pool, requested, try); err != nil {
			return Reservation{}, err
		}
	}
}

// reserveOnce claims a spare, or inserts the row of a tenant to be built, with exactly this slug.
func reserveOnce(ctx context.Context, q querier, r ReserveParams) (Reservation, error) {
	switch {
	case r.Waits:
		return reserveWaiting(ctx, q, r)
	case r.Kind == Member:
		return scanReserved(ctx, q, joinTenant+reserveRest, r)
	}
	reserved, err := scanReserved(ctx, q, claimSpare+reserveRest, r)
	if !errors.Is(err, ErrNotFound) {
		return reserved, err
	}
	reserved, err = scanReserved(ctx, q, placeTenant+reserveRest, r)
	if errors.Is(err, ErrNotFound) {
		return Reservation{}, ErrNoCapacity
	}
	return reserved, err
}

// claimSpare claims the oldest claimable spare that no other statement is claiming. CASE hides the conditions from the
// planner, which would consider them to be rare, and read and sort all spares instead of reading in order until the
// first one.
const claimSpare = `
	with tenant as (
		update tenants
		set state = 'reserved', name = @school_name, slug = @slug, created_at = now(), updated_at = now(), ` + keepClaimable + `
		where id = (
			select id
			from tenants
			where state = 'spare'
				and case when ` + claimable + ` and lineage = @lineage and schema_version >= @schema_version then true end
				and server in (select name from servers where name = any(@servers) and weight > 0)
			order by created_at
			for update skip locked
			limit 1)
		returning ` + tenantColumns + `
	)`

// placeTenant selects the server with the most free capacity for its weight. It counts the tenants, which a sign-up
// with a spare never does.
const placeTenant = `
	with place as (
		select servers.name
		from servers
		left join tenants on tenants.server = servers.name and tenants.state <> 'deleted'
		where servers.name = any(@servers) and servers.weight > 0 and servers.closed_because is null
		group by servers.name
		having servers.capacity is null or count(tenants.id) < servers.capacity
		order by count(tenants.id)::float8 / servers.weight, servers.name
		limit 1
	), tenant as (
		insert into tenants (id, server, database, lineage, state, name, slug)
		select @tenant_id, place.name, @database, @lineage, 'building', @school_name, @slug
		from place
		returning ` + tenantColumns + `
	)`

// joinTenant finds the school that a member joins.
const joinTenant = `
	with tenant as (
		select ` + tenantColumns + `
		from tenants
		where id = @join_tenant and 'ready' in (state, resume_state)
		for share
	)`

// personColumns are what a sign-up writes of its person, and personValues what it writes there.
const (
	personColumns = `email, given_name, family_name, name, profile, locale, role`
	personValues  = `@email, nullif(@given_name, ''), nullif(@family_name, ''), nullif(@name, ''), @profile, nullif(@locale, ''), @role`
)

// reserveRows inserts the rows of the person and of the sign-up.
const reserveRows = `, person as (
		insert into users (id, tenant_id, identity_id, ` + personColumns + `)
		select @user_id, tenant.id, nullif(@identity_id, ''), ` + personValues + `
		from tenant
	), signup as (
		insert into signups (id, idempotency_key, request_hash, user_id, tenant_id, email, school_name, steps, kind,
			identity_id, invitation_id, check_at)
		select @signup_id, nullif(@idempotency_key, ''), @request_hash, @user_id, tenant.id, @email, @school_name, @steps, @kind,
			nullif(@identity_id, ''), @invitation_id, now() + @lease::interval
		from tenant
		returning check_at, created_at
	)`

const reserveRest = reserveRows + `
	select tenant.*, signup.check_at, signup.created_at as signed_up_at
	from tenant, signup`

func (r ReserveParams) args() pgx.NamedArgs {
	profile := r.Profile
	if profile == nil {
		profile = map[string]string{}
	}
	return pgx.NamedArgs{
		"signup_id": r.SignupID, "user_id": r.UserID, "tenant_id": r.TenantID, "database": r.Database,
		"idempotency_key": r.IdempotencyKey, "request_hash": r.RequestHash, "email": r.Email, "school_name": r.SchoolName,
		"given_name": r.GivenName, "family_name": r.FamilyName, "name": r.Name, "slug": r.Slug,
		"profile": profile, "locale": r.Locale, "kind": cmp.Or(r.Kind, School), "role": cmp.Or(r.Role, "owner"),
		"join_tenant": r.JoinTenant, "identity_id": r.IdentityID, "invitation_id": r.InvitationID,
		"lineage": r.Lineage, "schema_version": r.SchemaVersion, "servers": r.Servers, "steps": r.Steps, "lease": r.Lease,
	}
}

// reservation is the new sign-up.
func (r ReserveParams) reservation(checkAt *time.Time, createdAt time.Time) Reservation {
	h := Reservation{Signup: Signup{
		ID: r.SignupID, RequestHash: r.RequestHash, UserID: r.UserID, Email: r.Email,
		SchoolName: r.SchoolName, Status: Pending, Steps: r.Steps, LeaseEpoch: 1, CheckAt: checkAt, CreatedAt: createdAt,
		Kind: cmp.Or(r.Kind, School), InvitationID: r.InvitationID,
	}}
	if r.IdentityID != "" {
		h.Signup.IdentityID = &r.IdentityID
	}
	return h
}

func scanReserved(ctx context.Context, q querier, sql string, r ReserveParams) (Reservation, error) {
	row, err := one[struct {
		Tenant
		CheckAt    *time.Time
		SignedUpAt time.Time
	}](ctx, q, sql, r.args())
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve a tenant: %w", known(err))
	}
	reservation := r.reservation(row.CheckAt, row.SignedUpAt)
	reservation.Tenant, reservation.Signup.TenantID = row.Tenant, &row.ID
	return reservation, nil
}

// reserveWaiting inserts a sign-up without a tenant.
func reserveWaiting(ctx context.Context, q querier, r ReserveParams) (Reservation, error) {
	row, err := one[struct {
		CheckAt    *time.Time
		SignedUpAt time.Time
	}](ctx, q, `with tenant as (select null::uuid as id)`+reserveRows+`
		select check_at, created_at as signed_up_at from signup`, r.args())
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve: %w", known(err))
	}
	return r.reservation(row.CheckAt, row.SignedUpAt), nil
}

// Admit assigns a tenant to a sign-up without one, as [Store.Reserve] does, and changes its status to provisioning
// under a new lease. Of the parameters it uses those of the tenant and the lease.
//
// An unconfirmed person becomes the user of their e-mail. It fails with [ErrEmailTaken] if somebody else is, with
// [ErrNoCapacity], and with [ErrStateChanged] if the sign-up has changed or ended.
func (s *Store) Admit(ctx context.Context, signup Signup, r ReserveParams) (Reservation, error) {
	requested := r.Slug
	for try := 1; ; try++ {
		reservation, err := s.admitOnce(ctx, signup, r)
		if !errors.Is(err, errSlugTaken) || try == 10 {
			return reservation, err
		}
		if r.Slug, err = nextSlug(ctx, s.pool, requested, try); err != nil {
			return Reservation{}, err
		}
	}
}

func (s *Store) admitOnce(ctx context.Context, signup Signup, r ReserveParams) (reservation Reservation, err error) {
	err = s.InTx(ctx, func(tx pgx.Tx) error {
		var waits bool
		err := tx.QueryRow(ctx, `
			select true
			from signups
			where id = $1 and lease_epoch = $2 and status in ('pending', 'awaiting_verification', 'awaiting_approval')
				and tenant_id is null
			for update`, signup.ID, signup.LeaseEpoch).Scan(&waits)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrStateChanged
		}
		if err != nil {
			return err
		}
		if reservation.Tenant, err = takeTenant(ctx, tx, r); err != nil {
			return err
		}
		reservation.Signup, err = one[Signup](ctx, tx, `
			with signup as (
				update signups
				set status = 'provisioning', tenant_id = $2, lease_epoch = lease_epoch + 1, check_at = now() + $3::interval,
					updated_at = now()
				where id = $1
				returning `+signupColumns+`
			), person as (
				update users
				set tenant_id = $2, email_verified = email_verified or $4,
					state = case when state = 'unconfirmed' then 'pending' else state end, updated_at = now()
				from signup
				where users.id = signup.user_id
			)
			select * from signup`, signup.ID, reservation.Tenant.ID, r.Lease, signup.Status == AwaitingVerification)
		return known(err)
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("admit sign-up %s: %w", signup.ID, err)
	}
	return reservation, nil
}

// takeTenant claims a spare for a school, or inserts the row of a tenant to be built.
func takeTenant(ctx context.Context, tx pgx.Tx, r ReserveParams) (tenant Tenant, err error) {
	for _, claim := range []string{claimSpare, placeTenant} {
		tenant, err = one[Tenant](ctx, tx, claim+` select * from tenant`, r.args())
		if !errors.Is(err, pgx.ErrNoRows) {
			return tenant, known(err)
		}
	}
	return Tenant{}, ErrNoCapacity
}

// keyTaken returns [ErrKeyTaken] if a sign-up has this key.
func keyTaken(ctx context.Context, q querier, key string) error {
	if key == "" {
		return nil
	}
	var taken bool
	if err := q.QueryRow(ctx, `select exists (select from signups where idempotency_key = $1)`, key).Scan(&taken); err != nil {
		return fmt.Errorf("look for the idempotency key: %w", err)
	}
	if taken {
		return ErrKeyTaken
	}
	return nil
}

// nextSlug returns the requested slug with the lowest number above all used ones; after a few attempts, when many
// schools with the same name sign up at the same moment, with a random suffix.
func nextSlug(ctx context.Context, q querier, requested string, try int) (string, error) {
	if try > 3 {
		var random [5]byte
		_, _ = rand.Read(random[:]) // never fails, see its documentation
		return requested + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:])), nil
	}
	var number int
	err := q.QueryRow(ctx, `
		select coalesce(max(substring(slug from char_length($1) + 2)::int), 1) + 1
		from tenants
		where slug like $1 || '-%' and substring(slug from char_length($1) + 2) ~ '^[0-9]{1,6}$'`, requested).Scan(&number)
	if err != nil {
		return "", fmt.Errorf("find a free slug: %w", err)
	}
	return fmt.Sprintf("%s-%d", requested, number), nil
}

// SlugFree reports whether no school has this slug.
func (s *Store) SlugFree(ctx context.Context, slug string) (bool, error) {
	var free bool
	err := s.pool.QueryRow(ctx, `select not exists (select from tenants where slug = $1)`, slug).Scan(&free)
	if err != nil {
		return false, fmt.Errorf("look up slug %s: %w", slug, err)
	}
	return free, nil
}
