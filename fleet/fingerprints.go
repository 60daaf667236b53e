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
	// inspectBatch is how many tenants are listed at a time.
	inspectBatch = 200
	// inspectPerServer is how many tenants of a server are read at the same time. It is small, since nobody waits for
	// the result.
	inspectPerServer = 2
)

// TakeFingerprints reads the schemas of the tenants that were migrated since their last fingerprint, and records
// fingerprint and version in the catalog: a run of chosen tenants may have been aborted between two files of one. It
// is not part of a run, because describing a schema takes as long as a small migration, and nobody waits for it. One
// process at a time does it; the others return at once. Progress may be nil.
func (f *Fleet) TakeFingerprints(ctx context.Context, progress func(looked int)) error {
	if _, _, err := f.prepare(ctx); err != nil { // it records the reference of the newest version
		return err
	}
	_, err := f.cfg.Catalog.Exclusive(ctx, "fingerprints", func(ctx context.Context) error {
		// The lock excludes run workers. While one works on a run, the next call reads the rest.
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
				f.cfg.Logger.Warn("read tenants' schemas", "tenants", len(tenants), "first", tenants[0].ID, "error", problem)
				later = append(later, tenants...)
			}
			if len(later) > 0 { // many tenants failed: the next call continues
				return f.cfg.Catalog.DeferFingerprint(ctx, later)
			}
		}
	})
	return err
}

// inspector reads tenants' schemas, and stores one description for each fingerprint.
type inspector struct {
	*Fleet
	// concurrency is how many tenants of all servers are read at the same time.
	concurrency int
	// stored uses the catalog's fingerprint where its schema is known already.
	stored     bool
	onProgress func(looked, total int)
	total      int

	mu        sync.Mutex
	inspected int
	schemas   map[string]tenant.Schema // by fingerprint
	found     []catalog.Tenant         // with their current fingerprint and version
	changed   []catalog.Tenant         // those of found that were not recorded, because a run is migrating them
	failed    map[string][]catalog.Tenant
}

func (f *Fleet) newInspector(total, perServer int) *inspector {
	return &inspector{
		Fleet: f, concurrency: perServer * len(f.cfg.Servers.Names()), total: total,
		schemas: map[string]tenant.Schema{}, failed: map[string][]catalog.Tenant{},
	}
}

// inspectAll inspects these tenants. The error of a tenant is stored with it.
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

// inspect finds a tenant's fingerprint, in its database or in the catalog.
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
