package fleet

import (
	"context"
	"time"

	"homeroom/catalog"
)

// prioritizeTimeout bounds the write that puts a tenant first.
const prioritizeTimeout = 5 * time.Second

// Prioritize moves a tenant that is behind to the front of the run, in the background; the caller uses the current
// schema meanwhile. The row records the request, so that it is made once until a run has migrated the tenant.
func (f *Fleet) Prioritize(ctx context.Context, row catalog.Tenant) {
	set := f.cfg.Servers.Migrations()
	if row.WantedAt != nil || row.HeldAt != nil || row.SchemaVersion >= set.Latest() || row.Lineage != set.Lineage() {
		return
	}
	if _, inFlight := f.prioritized.LoadOrStore(row.ID, true); inFlight {
		return
	}
	go func() {
		defer f.prioritized.Delete(row.ID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), prioritizeTimeout)
		defer cancel()
		if err := f.cfg.Catalog.RequestMigration(ctx, row.ID); err != nil {
			f.cfg.Logger.Warn("move a tenant to the front of the run", "tenant", row.ID, "error", err)
		}
	}()
}
