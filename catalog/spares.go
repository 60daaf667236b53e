package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A spare is assigned to a school only while it is certain that no school has ever had it. The process that creates its
// database writes into its row the transaction of that write and the instance of the catalog (the Postgres process and
// the database), and every later change that keeps it unassigned writes them again. A row that was restored from a
// backup, copied, or edited by hand was written by another transaction, and a catalog that was restored, failed over or
// restarted is another instance: then none of the earlier spares can be claimed, and the spare pool refiller replaces
// them.
const (
	// claimable is the condition on a row of the table tenants.
	claimable = `tenants.xmin = claimable_xid and claimable_in = (select catalog_instance())`
	// keepClaimable is for the SET of an update that leaves the tenant as claimable as it was.
	keepClaimable = `claimable_xid = case when tenants.xmin = claimable_xid then pg_current_xact_id()::xid end`
)

// Stock are the numbers of a server's spares of one lineage, and how many people are signing up.
type Stock struct {
	// Ready are the spares that a sign-up could claim now, at the requested version or a newer one.
	Ready int
	// Discardable are those that cannot be claimed: see [Store.DiscardableSpares]. It includes those that are being
	// built.
	Discardable int
	// Begun are the spares that are being built, or were when their builder failed or died, for 10 minutes at most. It
	// excludes those that the refiller has found to be in use.
	Begun int
	// Waiting is how many schools have begun to wait for a database on the server within the last 30 s.
	Waiting int
	// SinceLastSignup is how long ago the last school signed up, on any server; a day at most.
	SinceLastSignup time.Duration
}

// Stock reads the numbers of a server's spares: one statement, which changes nothing.
func (s *Store) Stock(ctx context.Context, server, lineage string, version uint) (Stock, error) {
	stock, err := one[Stock](ctx, s.pool, `
		with spare as (
			select state, created_at, schema_version, steps, coalesce(`+claimable+`, false) as claimable
			from tenants
			where server = $1 and lineage = $2 and name is null and state in ('spare', 'building')
		)
		select
			count(*) filter (where state = 'spare' and claimable and schema_version >= $3) as ready,
			count(*) filter (where state = 'building' or not claimable) as discardable,
			count(*) filter (where state = 'building' and created_at > now() - interval '10 min'
				and not steps @> '[{"name": "discard"}]') as begun,
			(select count(*) from tenants
				where server = $1 and state = 'building' and name is not null and created_at > now() - interval '30 s') as waiting,
			coalesce(least(now() - (select max(created_at) from tenants where name is not null), '1 day'), '1 day') as since_last_signup
		from spare`, server, lineage, version)
	if err != nil {
		return Stock{}, fmt.Errorf("count spares on server %s: %w", server, err)
	}
	return stock, nil
}

// DiscardableSpares lists the spares of a server that no school will get: those whose builder died, and those that may
// be in use. The caller must be the only one that builds spares there.
func (s *Store) DiscardableSpares(ctx context.Context, server, lineage string) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where server = $1 and lineage = $2 and name is null
			and (state = 'building' or state = 'spare' and (`+claimable+`) is not true)
		order by created_at`, server, lineage)
	if err != nil {
		return nil, fmt.Errorf("list discardable spares on server %s: %w", server, err)
	}
	return tenants, nil
}

// DeleteSpare deletes the row of a spare that cannot be claimed and whose database is gone. It fails with
// [ErrStateChanged] if its state has changed meanwhile.
func (s *Store) DeleteSpare(ctx context.Context, id uuid.UUID) error {
	return changeOne(ctx, s.pool, "delete spare", id, `
		delete from tenants
		where id = $1 and name is null and (state = 'building' or state = 'spare' and (`+claimable+`) is not true)`, id)
}

// ReplaceTenant assigns another tenant to a sign-up, as [Store.Reserve] does, because it cannot use the claimed spare.
// That one becomes a spare that cannot be claimed. Of the parameters it uses those of the tenant.
//
// It fails with [ErrNoCapacity], and with [ErrStateChanged] if the sign-up has changed or ended.
func (s *Store) ReplaceTenant(ctx context.Context, signup Signup, r ReserveParams) (tenant Tenant, err error) {
	requested := r.Slug
	for try := 1; ; try++ {
		err = s.InTx(ctx, func(tx pgx.Tx) error {
			tenant, err = replaceTenantTx(ctx, tx, signup, r)
			return err
		})
		if !errors.Is(err, errSlugTaken) || try == 10 {
			break
		}
		if r.Slug, err = nextSlug(ctx, s.pool, requested, try); err != nil {
			break
		}
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("replace the tenant of sign-up %s: %w", signup.ID, err)
	}
	return tenant, nil
}

func replaceTenantTx(ctx context.Context, tx pgx.Tx, signup Signup, r ReserveParams) (Tenant, error) {
	err := changeOne(ctx, tx, "release tenant of sign-up", signup.ID, `
		with held as (
			select tenant_id
			from signups
			where id = $1 and lease_epoch = $2 and status in ('pending', 'provisioning') and tenant_id = $3
			for update
		)
		update tenants
		set state = 'spare', name = null, slug = null, claimable_xid = null, claimable_in = null, updated_at = now()
		from held
		where tenants.id = held.tenant_id and tenants.state = 'reserved'`, signup.ID, signup.LeaseEpoch, signup.TenantID)
	if err != nil {
		return Tenant{}, err
	}
	tenant, err := takeTenant(ctx, tx, r)
	if err != nil {
		return Tenant{}, err
	}
	return tenant, changeOne(ctx, tx, "assign another tenant to sign-up", signup.ID, `
		with signup as (
			update signups set tenant_id = $2, updated_at = now() where id = $1 returning user_id
		)
		update users set tenant_id = $2, updated_at = now() from signup where users.id = signup.user_id`, signup.ID, tenant.ID)
}

// UnmarkedTenant is a tenant whose database is not marked as in use on its server yet.
type UnmarkedTenant struct {
	ID uuid.UUID
	// SignupID is the sign-up that created it.
	SignupID uuid.UUID
}

// UnmarkedTenants lists tenants of a server that a school has and whose databases are not marked, at most limit.
func (s *Store) UnmarkedTenants(ctx context.Context, server string, limit int) ([]UnmarkedTenant, error) {
	tenants, err := many[UnmarkedTenant](ctx, s.pool, `
		select tenants.id, signups.id as signup_id
		from tenants
		join signups on signups.tenant_id = tenants.id and signups.kind = 'school' and signups.status = 'ready'
		where server = $1 and marked_at is null and tenants.name is not null
			and tenants.state not in ('reserved', 'building', 'deleting', 'deleted')
		limit $2`, server, limit)
	if err != nil {
		return nil, fmt.Errorf("list unmarked tenants of server %s: %w", server, err)
	}
	return tenants, nil
}

// TenantsMarked records that the databases of these tenants are marked as in use.
func (s *Store) TenantsMarked(ctx context.Context, ids []uuid.UUID) error {
	_, err := s.pool.Exec(ctx, `update tenants set marked_at = now() where id = any($1)`, ids)
	if err != nil {
		return fmt.Errorf("record that %d databases are marked: %w", len(ids), err)
	}
	return nil
}
