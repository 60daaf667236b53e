package catalog

import (
	"context"
	"fmt"
)

// Spares counts the spares of a server that a sign-up could claim now: of this lineage, at this version or a newer one.
func (s *Store) Spares(ctx context.Context, server, lineage string, version uint) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `
		select count(*)
		from tenants
		where server = $1 and state = 'spare' and lineage = $2 and schema_version >= $3`, server, lineage, version).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count spares on server %s: %w", server, err)
	}
	return n, nil
}

// UnfinishedSpares lists the spares of a server that are being built, by a worker that lives or by one that died.
func (s *Store) UnfinishedSpares(ctx context.Context, server, lineage string) ([]Tenant, error) {
	tenants, err := many[Tenant](ctx, s.pool, `
		select `+tenantColumns+`
		from tenants
		where server = $1 and lineage = $2 and state = 'building' and name is null
		order by created_at`, server, lineage)
	if err != nil {
		return nil, fmt.Errorf("list unfinished spares on server %s: %w", server, err)
	}
	return tenants, nil
}
