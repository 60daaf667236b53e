package catalog

import (
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

// Reservation is what a sign-up asks for.
type Reservation struct {
	SignupID uuid.UUID
	UserID   uuid.UUID
	// TenantID and Database are used when no spare is left and a tenant must be built.
	TenantID uuid.UUID
	Database string
	// IdempotencyKey may be empty.
	IdempotencyKey              string
	RequestHash                 []byte
	Email, SchoolName           string
	GivenName, FamilyName, Name string
	// Slug is the wish; a taken one gets a number.
	Slug string
	// Lineage names the migrations that the tenant's schema must come from, SchemaVersion the least version of a spare.
	Lineage       string
	SchemaVersion uint
	// Servers are the servers this process can reach.
	Servers []string
	Steps   json.RawMessage
	Lease   time.Duration
}

// Held is what a sign-up got.
type Held struct {
	Signup Signup
	Tenant Tenant
}

// Reserve writes a sign-up, its user, and its tenant, all or nothing: a claimed spare where there is one, else the row of
// a tenant to be built. It is one statement, so one round trip and one commit.
//
// It fails with [ErrEmailTaken], [ErrKeyTaken] or [ErrNoRoom].
func (s *Store) Reserve(ctx context.Context, r Reservation) (Held, error) {
	return reserve(ctx, s.pool, r)
}

// ReserveTx is [Store.Reserve] in the caller's transaction. There a taken slug cannot be answered with the next one,
// because the first failure has ended the transaction; the caller rolls back and tries again.
func (s *Store) ReserveTx(ctx context.Context, tx pgx.Tx, r Reservation) (Held, error) {
	return reserve(ctx, tx, r)
}

func reserve(ctx context.Context, q querier, r Reservation) (Held, error) {
	wish := r.Slug
	for try := 1; ; try++ {
		reserved, err := reserveOnce(ctx, q, r)
		if !errors.Is(err, errSlugTaken) || try == 10 {
			return reserved, err
		}
		// A repetition of a request conflicts with itself in the slug too; its key says so at once.
		if err := keyTaken(ctx, q, r.IdempotencyKey); err != nil {
			return Held{}, err
		}
		if r.Slug, err = nextSlug(ctx, q, wish, try); err != nil {
			return Held{}, err
		}
	}
}

// reserveOnce claims a spare, or makes the row of a tenant to be built, under this very slug.
func reserveOnce(ctx context.Context, q querier, r Reservation) (Held, error) {
	reserved, err := scanReserved(ctx, q, claimSpare, r)
	if !errors.Is(err, ErrNotFound) {
		return reserved, err
	}
	reserved, err = scanReserved(ctx, q, placeTenant, r)
	if errors.Is(err, ErrNotFound) {
		return Held{}, ErrNoRoom
	}
	return reserved, err
}

// claimSpare takes the oldest spare that nobody else is taking at this moment.
const claimSpare = `
	with tenant as (
		update tenants
		set state = 'reserved', name = @school_name, slug = @slug, created_at = now(), updated_at = now()
		where id = (
			select id
			from tenants
			where state = 'spare' and lineage = @lineage and schema_version >= @schema_version
				and server in (select name from servers where name = any(@servers) and weight > 0)
			order by created_at
			for update skip locked
			limit 1)
		returning ` + tenantColumns + `
	)` + reserveRest

// placeTenant puts a new tenant on the server with the most room for its weight. It counts the tenants, which the path
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
	)` + reserveRest

const reserveRest = `, owner as (
		insert into users (id, tenant_id, email, given_name, family_name, name)
		select @user_id, tenant.id, @email, nullif(@given_name, ''), nullif(@family_name, ''), nullif(@name, '')
		from tenant
	), signup as (
		insert into signups (id, idempotency_key, request_hash, user_id, tenant_id, email, school_name, steps, check_at)
		select @signup_id, nullif(@idempotency_key, ''), @request_hash, @user_id, tenant.id, @email, @school_name, @steps,
			now() + @lease::interval
		from tenant
		returning check_at, created_at
	)
	select tenant.*, signup.check_at, signup.created_at as signed_up_at
	from tenant, signup`

func scanReserved(ctx context.Context, q querier, sql string, r Reservation) (Held, error) {
	row, err := one[struct {
		Tenant
		CheckAt    *time.Time
		SignedUpAt time.Time
	}](ctx, q, sql, pgx.NamedArgs{
		"signup_id": r.SignupID, "user_id": r.UserID, "tenant_id": r.TenantID, "database": r.Database,
		"idempotency_key": r.IdempotencyKey, "request_hash": r.RequestHash, "email": r.Email, "school_name": r.SchoolName,
		"given_name": r.GivenName, "family_name": r.FamilyName, "name": r.Name, "slug": r.Slug,
		"lineage": r.Lineage, "schema_version": r.SchemaVersion, "servers": r.Servers, "steps": r.Steps, "lease": r.Lease,
	})
	if err != nil {
		return Held{}, fmt.Errorf("reserve a tenant: %w", known(err))
	}
	return Held{
		Tenant: row.Tenant,
		Signup: Signup{
			ID: r.SignupID, RequestHash: r.RequestHash, UserID: r.UserID, TenantID: &row.ID, Email: r.Email,
			SchoolName: r.SchoolName, Status: Pending, Steps: r.Steps, LeaseEpoch: 1, CheckAt: row.CheckAt,
			CreatedAt: row.SignedUpAt,
		},
	}, nil
}

// keyTaken is [ErrKeyTaken] when a sign-up has this key.
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

// nextSlug is the wish with the lowest number that is higher than all in use; after a few tries, when many schools of one
// name sign up at the same moment, with a random word.
func nextSlug(ctx context.Context, q querier, wish string, try int) (string, error) {
	if try > 3 {
		var random [5]byte
		_, _ = rand.Read(random[:]) // never fails, see its documentation
		return wish + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:])), nil
	}
	var number int
	err := q.QueryRow(ctx, `
		select coalesce(max(substring(slug from char_length($1) + 2)::int), 1) + 1
		from tenants
		where slug like $1 || '-%' and substring(slug from char_length($1) + 2) ~ '^[0-9]{1,6}$'`, wish).Scan(&number)
	if err != nil {
		return "", fmt.Errorf("find a free slug: %w", err)
	}
	return fmt.Sprintf("%s-%d", wish, number), nil
}

// SlugFree tells whether no school has this slug.
func (s *Store) SlugFree(ctx context.Context, slug string) (bool, error) {
	var free bool
	err := s.pool.QueryRow(ctx, `select not exists (select from tenants where slug = $1)`, slug).Scan(&free)
	if err != nil {
		return false, fmt.Errorf("look up slug %s: %w", slug, err)
	}
	return free, nil
}
