package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// SetHealth records the state of a tenant's database as it was found when its row was as given. It fails with
// [ErrStateChanged] if the tenant has another state or version since. Unlike [Store.MarkHealthy] it ends no quarantine.
func (s *Store) SetHealth(ctx context.Context, row SurveyedTenant, health Health) error {
	return changeOne(ctx, s.pool, "record health of tenant", row.ID, `
		update tenants
		set schema_version = $4, fingerprint = coalesce(nullif($5, ''), fingerprint), updated_at = now(), `+keepClaimable+`
		where id = $1 and state = $2 and schema_version = $3`, row.ID, row.State, row.SchemaVersion, health.Version, health.Fingerprint)
}

// RebuildSpare makes a spare unavailable: the spare pool refiller removes its parts, and builds another one. It fails
// with [ErrStateChanged] if it has been claimed.
func (s *Store) RebuildSpare(ctx context.Context, id uuid.UUID) error {
	return changeOne(ctx, s.pool, "rebuild spare", id, `
		update tenants
		set state = 'building', schema_version = 0, fingerprint = null, updated_at = now()
		where id = $1 and state = 'spare'`, id)
}

// MakeUnclaimable makes a spare unavailable without changing its database: it cannot be claimed any more. It fails with
// [ErrStateChanged] if it was not claimable, or has been claimed.
func (s *Store) MakeUnclaimable(ctx context.Context, id uuid.UUID) error {
	return changeOne(ctx, s.pool, "withdraw spare", id, `
		update tenants
		set claimable_xid = null, claimable_in = null, updated_at = now()
		where id = $1 and state = 'spare' and `+claimable, id)
}

// SetOrganization records which organization a school has at the identity provider now. It fails with [ErrStateChanged]
// if the expected old one, which may be none, is not recorded any more.
func (s *Store) SetOrganization(ctx context.Context, id uuid.UUID, seen, now string) error {
	return changeOne(ctx, s.pool, "record organization of tenant", id, `
		update tenants
		set organization_id = $3, updated_at = now()
		where id = $1 and coalesce(organization_id, '') = $2 and state not in ('deleting', 'deleted')`, id, seen, now)
}

// ProviderRestore is a school that is missing in the catalog, and whose identity and database exist.
type ProviderRestore struct {
	SignupID, UserID, TenantID uuid.UUID
	Server, Database, Lineage  string
	Health                     Health
	Email, SchoolName          string
	IdentityID                 string
	// Linked says that the identity existed before, and belongs to its owner.
	Linked         bool
	EmailVerified  bool
	OrganizationID string
	// Slug is the requested slug; a taken one gets a number.
	Slug string
	// CreatedAt is when the school signed up.
	CreatedAt time.Time
	// Result returns the answer to the school, once its slug is known.
	Result func(slug string) (json.RawMessage, error)
	// Actor is who restores it, for the audit log.
	Actor string
}

// RestoreFromProvider inserts the tenant, the user and the sign-up of a lost school, all or nothing, each in its final
// state. The tenant may have a row as a spare, from before the school had it; the row of another school is not changed.
//
// It fails with [ErrEmailTaken] if a live user has the e-mail, and with [ErrStateChanged] if one of the rows exists.
func (s *Store) RestoreFromProvider(ctx context.Context, a ProviderRestore) error {
	requested := a.Slug
	for try := 1; ; try++ {
		result, err := a.Result(a.Slug)
		if err == nil {
			err = s.InTx(ctx, func(tx pgx.Tx) error { return restoreFromProviderTx(ctx, tx, a, result) })
		}
		if !errors.Is(err, errSlugTaken) || try == 10 {
			return err
		}
		if a.Slug, err = nextSlug(ctx, s.pool, requested, try); err != nil {
			return err
		}
	}
}

func restoreFromProviderTx(ctx context.Context, tx pgx.Tx, a ProviderRestore, result json.RawMessage) error {
	return changeOne(ctx, tx, "adopt tenant", a.TenantID, `
		with tenant as (
			insert into tenants (id, server, database, lineage, state, name, slug, schema_version, fingerprint, organization_id,
				created_at, ready_at)
			values (@tenant_id, @server, @database, @lineage, 'ready', @school_name, @slug, @version, nullif(@fingerprint, ''),
				nullif(@organization_id, ''), @created_at, now())
			on conflict (id) do update
			set state = 'ready', name = excluded.name, slug = excluded.slug, schema_version = excluded.schema_version,
				fingerprint = excluded.fingerprint, organization_id = excluded.organization_id,
				created_at = excluded.created_at, ready_at = now(), updated_at = now()
			where tenants.state = 'spare' and tenants.server = excluded.server and tenants.database = excluded.database
			returning id
		), owner as (
			insert into users (id, tenant_id, email, identity_id, email_verified, state, created_at)
			select @user_id, tenant.id, @email, @identity_id, @email_verified, 'active', @created_at
			from tenant
		), signup as (
			insert into signups (id, request_hash, user_id, tenant_id, identity_id, email, school_name, status, result,
				created_at, finished_at)
			select @signup_id, '', @user_id, tenant.id, case when @took_on then @identity_id end, @email, @school_name, 'ready', @result,
				@created_at, now()
			from tenant
		)
		insert into audit_events (actor, action, tenant_id, signup_id)
		select @actor, 'tenant.adopt', tenant.id, @signup_id
		from tenant`, pgx.NamedArgs{
		"signup_id": a.SignupID, "user_id": a.UserID, "tenant_id": a.TenantID, "server": a.Server, "database": a.Database,
		"lineage": a.Lineage, "version": a.Health.Version, "fingerprint": a.Health.Fingerprint, "email": a.Email,
		"school_name": a.SchoolName, "slug": a.Slug, "identity_id": a.IdentityID, "took_on": a.Linked,
		"email_verified": a.EmailVerified, "organization_id": a.OrganizationID,
		"created_at": a.CreatedAt, "result": result, "actor": a.Actor,
	})
}
