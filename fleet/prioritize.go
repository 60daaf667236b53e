package fleet

import (
	"context"
	"time"

	"homeroom/catalog"
)

// prioritizeTimeout bounds the write that puts a tenant first.
const prioritizeTimeout = 5 * time.Second

// Prioritize moves a tenant that is behind to the front of the run, beside the caller, who is served meanwhile with the schema
// that there is. It is done once until a run has taken the tenant; the row tells.
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
