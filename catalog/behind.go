package catalog

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// BehindFilter selects the tenants of a run.
type BehindFilter struct {
	// Lineage names the migrations, Version the version to reach. Tenants with other migrations are never behind.
	Lineage string
	Version uint
	// Down selects the tenants above the version instead of those below.
	Down bool
	// Servers are the servers this process can reach.
	Servers []string
	// Only selects tenants with one of these ids, slugs or database names; empty means all that are not held at a
	// version.
	Only []string
	// SkipQuarantined omits the quarantined tenants.
	SkipQuarantined bool
	// NotIn omits tenants that have an outcome in this run; the zero UUID omits none.
	NotIn uuid.UUID
	// Limit is how many are listed; 0 means all.
	Limit int
	// OnlyRequested selects only tenants whose migration was requested.
	OnlyRequested bool
}

// Behind lists the tenants whose database is older than the version, in the order of a run: canaries, then those that
// somebody waits for, then schools before spares, oldest version first, and quarantined ones last, except canaries: a
// run ends their quarantine. The tenants that are up to date cost nothing.
func (s *Store) Behind(ctx context.Context, filter BehindFilter) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where case when $7 then schema_version > $1 else schema_version < $1 end and lineage = $5
			and (state in ('spare', 'reserved', 'ready', 'suspended')
				or state = 'quarantined' and not $6 and quarantine_kind is distinct from 'replaced')
			and server = any($2)
			and (cardinality($3::text[]) = 0 and held_at is null or slug = any($3) or database = any($3) or id::text = any($3))
			and (not $9 or wanted_at is not null)
			and not exists (select from migration_outcomes where run_id = $4 and tenant_id = tenants.id)
		order by canary desc, state = 'quarantined', wanted_at, (name is null), schema_version, created_at, id
		limit nullif($8, 0)`,
		filter.Version, filter.Servers, emptyNotNil(filter.Only), filter.NotIn, filter.Lineage, filter.SkipQuarantined, filter.Down,
		filter.Limit, filter.OnlyRequested)
	if err != nil {
		return nil, fmt.Errorf("list tenants behind version %d: %w", filter.Version, err)
	}
	return tenants, nil
}

// emptyNotNil prevents pgx from sending null for a nil list.
func emptyNotNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// WithoutFingerprint lists up to limit tenants of a schema whose fingerprint is unknown: they were migrated since they
// were last inspected. It leaves a tenant that a migration has quarantined to the next run, unless it is held at a
// version, because no other run takes that one.
func (s *Store) WithoutFingerprint(ctx context.Context, lineage string, servers []string, limit int) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where lineage = $1 and server = any($2) and fingerprint is null
			and (state in ('spare', 'reserved', 'ready', 'suspended')
				or state = 'quarantined' and quarantine_kind = 'migration' and held_at is not null)
		order by updated_at, id
		limit $3`, lineage, servers, limit)
	if err != nil {
		return nil, fmt.Errorf("list tenants without a fingerprint: %w", err)
	}
	return tenants, nil
}

// RecheckInterrupted makes [Store.WithoutFingerprint] list the tenants that a run of chosen tenants has left without
// recording what it did to them, once for each run that is over: it may have ended between two files, or been aborted.
// No worker may be active meanwhile, since a worker may change a tenant for a moment after its run was aborted.
func (s *Store) RecheckInterrupted(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `
		with over as (
			update migration_runs
			set rechecked_at = now()
			where finished_at is not null and rechecked_at is null
			returning id, only_tenants
		)
		update tenants
		set fingerprint = null, `+keepClaimable+`
		from over
		where (slug = any(only_tenants) or database = any(only_tenants) or tenants.id::text = any(only_tenants))
			and not exists (
				select from migration_outcomes outcome
				where run_id = over.id and tenant_id = tenants.id and (outcome.state = 'done' or counts))`)
	if err != nil {
		return fmt.Errorf("recheck the tenants of interrupted runs: %w", err)
	}
	return nil
}

// DeferFingerprint moves tenants to the end of [Store.WithoutFingerprint].
func (s *Store) DeferFingerprint(ctx context.Context, tenants []Tenant) error {
	ids := make([]uuid.UUID, len(tenants))
	for i, t := range tenants {
		ids[i] = t.ID
	}
	if _, err := s.pool.Exec(ctx, `update tenants set updated_at = now() where id = any($1)`, ids); err != nil {
		return fmt.Errorf("defer tenants: %w", err)
	}
	return nil
}

// WithDatabase lists the tenants of a schema that have a database, oldest first. If only is not empty, it selects these
// ids, slugs or databases.
func (s *Store) WithDatabase(ctx context.Context, lineage string, only []string) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where lineage = $1 and state in ('spare', 'reserved', 'ready', 'suspended', 'quarantined')
			and (cardinality($2::text[]) = 0 or slug = any($2) or database = any($2) or id::text = any($2))
		order by created_at, id`, lineage, emptyNotNil(only))
	if err != nil {
		return nil, fmt.Errorf("list tenants with a database: %w", err)
	}
	return tenants, nil
}
