package fleet

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/tenant"
)

const (
	// inspectBatch is how many tenants are listed at a time to be looked at.
	inspectBatch = 200
	// inspectPerServer is how many of a server's are looked at at the same time: few, since nobody waits for it.
	inspectPerServer = 2
)

// TakeFingerprints looks at the schemas of the tenants that have been migrated since somebody looked, and records them in the
// catalog, with the versions that it finds: a run of chosen tenants may have been aborted between two files of one. It is not
// part of a run, because describing a schema takes as long as a small migration, and nobody waits for it. One process at a time does it; the others return at once. Progress may be nil.
func (f *Fleet) TakeFingerprints(ctx context.Context, progress func(looked int)) error {
	if _, _, err := f.prepare(ctx); err != nil { // which keeps what the newest schema should be
		return err
	}
	_, err := f.cfg.Catalog.Exclusive(ctx, "fingerprints", func(ctx context.Context) error {
		// The lock keeps workers away. While somebody works on a run, this is left to the next call.
		if _, err := f.cfg.Catalog.Exclusive(ctx, runLock, f.cfg.Catalog.RecheckInterrupted); err != nil {
			return err
		}
		looked := 0
		for {
			tenants, err := f.cfg.Catalog.WithoutFingerprint(ctx, f.cfg.Servers.Migrations().Lineage(), f.cfg.Servers.Names(), inspectBatch)
			if err != nil || len(tenants) == 0 {
				return err
			}
			l := f.newInspector(len(tenants), inspectPerServer)
			if progress != nil {
				before := looked
				l.onProgress = func(n, _ int) { progress(before + n) }
			}
			if err := l.inspectAll(ctx, tenants); err != nil {
				return err
			}
			looked += len(l.found)
			later := l.changed
			for problem, tenants := range l.failed {
				f.cfg.Logger.Warn("look at tenants' schemas", "tenants", len(tenants), "first", tenants[0].ID, "error", problem)
				later = append(later, tenants...)
			}
			if len(later) > 0 { // too much trouble to go on now
				return f.cfg.Catalog.DeferFingerprint(ctx, later)
			}
		}
	})
	return err
}

// inspector reads tenants' schemas, and keeps one description of each kind.
type inspector struct {
	*Fleet
	// concurrency is how many tenants of all servers are looked at at the same time.
	concurrency int
	// stored takes the catalog's word for a schema of a kind that has been seen.
	stored     bool
	onProgress func(looked, total int)
	total      int

	mu        sync.Mutex
	inspected int
	schemas   map[string]tenant.Schema // by fingerprint
	found     []catalog.Tenant         // with the fingerprint and the version that they have now
	changed   []catalog.Tenant         // those of found that were not recorded, because a run is changing them
	failed    map[string][]catalog.Tenant
}

func (f *Fleet) newInspector(total, perServer int) *inspector {
	return &inspector{
		Fleet: f, concurrency: perServer * len(f.cfg.Servers.Names()), total: total,
		schemas: map[string]tenant.Schema{}, failed: map[string][]catalog.Tenant{},
	}
}

// inspectAll inspects these tenants. What fails for one is kept with it.
func (l *inspector) inspectAll(ctx context.Context, tenants []catalog.Tenant) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(l.concurrency)
	for _, t := range tenants {
		group.Go(func() error {
			err := l.inspect(ctx, &t)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			l.recordResult(t, err)
			return nil
		})
	}
	return group.Wait()
}

// inspect finds a tenant's fingerprint, by its database or by what the catalog knows.
func (l *inspector) inspect(ctx context.Context, t *catalog.Tenant) error {
	if l.stored && t.Fingerprint != nil && l.hasSchema(*t.Fingerprint) {
		return nil
	}
	server, err := l.cfg.Servers.Get(t.Server)
	if err != nil {
		return err
	}
	schema, version, err := server.Snapshot(ctx, tenant.ID(t.ID))
	if err != nil {
		return err
	}
	fingerprint := schema.Fingerprint()
	err = l.cfg.Catalog.SetFingerprint(ctx, *t, catalog.Health{Version: version, Fingerprint: fingerprint})
	t.Fingerprint, t.SchemaVersion = &fingerprint, version
	l.mu.Lock()
	defer l.mu.Unlock()
	l.schemas[fingerprint] = schema
	if errors.Is(err, catalog.ErrStateChanged) {
		l.changed = append(l.changed, *t)
		return nil
	}
	return err
}

// hasSchema reports whether a schema with this fingerprint has been seen.
func (l *inspector) hasSchema(fingerprint string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.schemas[fingerprint] != nil
}

func (l *inspector) recordResult(t catalog.Tenant, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		problem := strings.ReplaceAll(problemText(err), t.Database, "…")
		l.failed[problem] = append(l.failed[problem], t)
	} else {
		l.found = append(l.found, t)
	}
	l.inspected++
	if l.onProgress != nil {
		l.onProgress(l.inspected, l.total)
	}
}
