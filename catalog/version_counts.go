package catalog

import (
	"context"
	"fmt"
)

// VersionCount is how many tenants with a database are at one version, by the catalog.
type VersionCount struct {
	// Ours reports whether they have the migrations that were asked about.
	Ours bool
	// Version is the one that they have.
	Version uint
	// Quarantined and Held tell of tenants that wait for a person, and of those that runs over the fleet pass over.
	Quarantined, Held bool
	Tenants           int
}

// VersionCounts counts the tenants that have a database by their version of the migrations of a lineage; only narrows to these ids,
// slugs or databases.
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
