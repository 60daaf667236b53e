package fleet

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// VersionStatus counts all tenants by their version. Each is counted once.
type VersionStatus struct {
	// To is the version of the program, or of the options.
	To uint
	// At is how many are at the version.
	At int
	// Behind, Ahead and Held count those below it, above it, and held at another version, by their versions.
	Behind, Ahead, Held map[uint]int
	// Quarantined is how many of all these are quarantined.
	Quarantined int
	// Others is how many have another set of migrations. No run of this program migrates them.
	Others int
	// Mismatches are the tenants whose databases differ from what the catalog has, and why; they are also in one of
	// the counts. Only [Fleet.VersionStatus] finds them.
	Mismatches []Mismatch
}

// Mismatch is a tenant whose database is not, or not completely, at the version in the catalog.
type Mismatch struct {
	Tenant  catalog.Tenant
	Problem string
}

// Total returns how many tenants there are.
func (s VersionStatus) Total() int {
	total := s.At + s.Others
	for _, counts := range []map[uint]int{s.Behind, s.Ahead, s.Held} {
		for n := range maps.Values(counts) {
			total += n
		}
	}
	return total
}

// Incomplete reports whether some tenant is not at the version: it is behind, unclear, or has another set of
// migrations. Tenants that are held or ahead are so on purpose.
func (s VersionStatus) Incomplete() bool {
	return len(s.Behind) > 0 || s.Others > 0 || len(s.Mismatches) > 0
}

// AllCurrent reports whether every tenant is at the version, and none is quarantined.
func (s VersionStatus) AllCurrent() bool {
	return s.At == s.Total() && s.Quarantined == 0 && len(s.Mismatches) == 0
}

// VersionStatus counts the tenants that the options choose by version, and opens the database of each that is not in
// seen, since the catalog's version may be out of date. It resolves interrupted migrations there, where that is
// possible. progress is called with the number of opened databases, and may be nil.
func (f *Fleet) VersionStatus(ctx context.Context, options Options, seen []catalog.Outcome, progress func(looked int)) (VersionStatus, error) {
	standing, err := f.versionStatus(ctx, options)
	if err != nil {
		return VersionStatus{}, err
	}
	tenants, err := f.cfg.Catalog.WithDatabase(ctx, f.cfg.Servers.Migrations().Lineage(), options.Only)
	if err != nil {
		return VersionStatus{}, err
	}
	known := map[uuid.UUID]bool{}
	for _, outcome := range seen {
		known[outcome.TenantID] = true
	}
	var mu sync.Mutex
	looked := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.cfg.Concurrency * len(f.cfg.Servers.Names()))
	for _, t := range tenants {
		if known[t.ID] {
			continue
		}
		group.Go(func() error {
			err := f.checkVersion(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				standing.Mismatches = append(standing.Mismatches, Mismatch{t, problemText(err)})
			}
			if looked++; progress != nil {
				progress(looked)
			}
			return ctx.Err()
		})
	}
	return standing, group.Wait()
}

// versionStatus counts by the catalog.
func (f *Fleet) versionStatus(ctx context.Context, options Options) (VersionStatus, error) {
	standing := VersionStatus{To: f.Version(), Behind: map[uint]int{}, Ahead: map[uint]int{}, Held: map[uint]int{}}
	if options.To != nil {
		standing.To = *options.To
	}
	groups, err := f.cfg.Catalog.VersionCounts(ctx, f.cfg.Servers.Migrations().Lineage(), options.Only)
	for _, group := range groups {
		if group.Quarantined {
			standing.Quarantined += group.Tenants
		}
		switch {
		case !group.Ours:
			standing.Others += group.Tenants
		case group.Version == standing.To:
			standing.At += group.Tenants
		case group.Held:
			standing.Held[group.Version] += group.Tenants
		case group.Version < standing.To:
			standing.Behind[group.Version] += group.Tenants
		default:
			standing.Ahead[group.Version] += group.Tenants
		}
	}
	return standing, err
}

// checkVersion opens a tenant's database, and fails when it is not at the version in the catalog.
func (f *Fleet) checkVersion(ctx context.Context, t catalog.Tenant) error {
	server, err := f.cfg.Servers.Get(t.Server)
	if err != nil {
		return err
	}
	status, err := server.Status(ctx, tenant.ID(t.ID))
	if err != nil {
		return err
	}
	if status.State == migrations.Dirty || status.State == migrations.Unknown {
		to := t.SchemaVersion
		if _, err := f.cfg.Servers.Migrations().Between(to, to); err != nil || to == 0 { // an unknown version is refused below
			to = f.Version()
		}
		// This resolves an interrupted file, or returns what an operator must do.
		result, err := server.MigrateTo(ctx, tenant.ID(t.ID), to)
		if err != nil {
			return err
		}
		status.Version = result.To
	}
	if status.Version != t.SchemaVersion {
		return fmt.Errorf("the catalog has it at version %d, and its database says %d: run homeroom doctor", t.SchemaVersion, status.Version)
	}
	return nil
}
