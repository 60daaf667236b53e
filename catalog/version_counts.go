package catalog

import (
	"context"
	"fmt"
)

// VersionCount is how many tenants with a database are at one version, by the catalog.
type VersionCount struct {
	// Ours reports whether they have the requested migrations.
	Ours bool
	// Version is their version.
	Version uint
	// Quarantined and Held are how many of them are quarantined, and how many fleet runs leave out.
	Quarantined, Held bool
	Tenants           int
}

// VersionCounts counts the tenants with a database by their version of the migrations of a lineage. If only is not
// empty, it selects these ids, slugs or databases.
func (s *Store) VersionCounts(ctx context.Context, lineage string, only []string) ([]VersionCount, error) {
	standings, err := many[VersionCount](ctx, s.pool, `
		select lineage = $1 as ours, schema_version as version, state = 'quarantined' as quarantined, held_at is not null as held,
			count(*) as tenants
		from tenants
		where state in ('spare', 'reserved', 'ready', 'suspended', 'quarantined')
			and (cardinality($2::text[]) = 0 or slug = any($2) or database = any($2) or id::text = any($2))
		group by 1, 2, 3, 4
		order by 1 desc, 2, 3, 4`, lineage, emptyNotNil(only))
	if err != nil {
		return nil, fmt.Errorf("count tenants by their schema version: %w", err)
	}
	return standings, nil
}
