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

// VersionStatus is how all tenants stand to a version. Each is counted once.
type VersionStatus struct {
	// To is the version.
	To uint
	// At is how many are at the version.
	At int
	// Behind, Ahead and Held are how many are below it, above it, and held at another, by their version.
	Behind, Ahead, Held map[uint]int
	// Quarantined is how many of all these wait for a person.
	Quarantined int
	// Others is how many have another set of migrations: no run of this program touches them.
	Others int
	// Mismatches are the tenants whose databases do not say what the catalog has of them, and why; they are in one of the counts too.
	// Only [Fleet.VersionStatus] looks for them.
	Mismatches []Mismatch
}

// Mismatch is a tenant whose database does not have, whole, the version that the catalog has.
type Mismatch struct {
	Tenant  catalog.Tenant
	Problem string
}

// Total is how many tenants there are.
func (s VersionStatus) Total() int {
	total := s.At + s.Others
	for _, counts := range []map[uint]int{s.Behind, s.Ahead, s.Held} {
		for n := range maps.Values(counts) {
			total += n
		}
	}
	return total
}

// Incomplete reports whether some tenant lacks the version: behind it, unclear, or of another set of migrations. One that is held
// or ahead is where somebody wanted it.
func (s VersionStatus) Incomplete() bool {
	return len(s.Behind) > 0 || s.Others > 0 || len(s.Mismatches) > 0
}

// AllCurrent reports whether every tenant is at the version, and none is quarantined.
func (s VersionStatus) AllCurrent() bool {
	return s.At == s.Total() && s.Quarantined == 0 && len(s.Mismatches) == 0
}

// VersionStatus tells how the tenants that the options name stand to their version, and opens the database of each that is not in
// seen: what the catalog has of it may be out of date. A migration that was interrupted there is settled, where it can be told
// how. progress is told how many were opened, and may be nil.
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

// versionStatus is what the catalog knows.
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

// checkVersion opens a tenant's database, and fails when it does not have the version that the catalog has.
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
		if _, err := f.cfg.Servers.Migrations().Between(to, to); err != nil || to == 0 { // none of our versions, which is refused below
			to = f.Version()
		}
		// It resolves an interrupted file, or says what a person must do.
		result, err := server.MigrateTo(ctx, tenant.ID(t.ID), to)
		if err != nil {
			return err
		}
		status.Version = result.To
	}
	if status.Version != t.SchemaVersion {
		return fmt.Errorf("the catalog has it at version %d, and its database says %d: look with homeroom doctor", t.SchemaVersion, status.Version)
	}
	return nil
}
