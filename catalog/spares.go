package catalog

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// SpareCounts counts the spares of a server that a sign-up could claim now, and those that are being built.
func (s *Store) SpareCounts(ctx context.Context, server string, version uint) (ready, building int, err error) {
	err = s.pool.QueryRow(ctx, `
		select count(*) filter (where state = 'spare' and schema_version >= $2),
			count(*) filter (where state = 'building')
		from tenants
		where server = $1 and state in ('spare', 'building') and name is null`, server, version).Scan(&ready, &building)
	if err != nil {
		return 0, 0, fmt.Errorf("count spares on server %s: %w", server, err)
	}
	return ready, building, nil
}

// UnfinishedSpares lists the spares of a server that are being built, by a worker that lives or by one that died.
func (s *Store) UnfinishedSpares(ctx context.Context, server string) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where server = $1 and state = 'building' and name is null
		order by created_at`, server)
	if err != nil {
		return nil, fmt.Errorf("list unfinished spares on server %s: %w", server, err)
	}
	return tenants, nil
}

// DropSpareRow removes the row of a spare that was never built.
func (s *Store) DropSpareRow(ctx context.Context, id uuid.UUID) error {
	return changeOne(ctx, s.pool, "drop row of spare", id, `
		delete from tenants
		where id = $1 and state = 'building' and name is null`, id)
}
