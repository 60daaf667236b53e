package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"homeroom/catalog"
	"homeroom/tenant"
)

// DriftOptions are the options of a search for drift.
type DriftOptions struct {
	// Only narrows it to tenants with one of these ids, slugs or databases; empty means all.
	Only []string
	// Stored compares the fingerprints in the catalog, and opens one database for each fingerprint that differs.
	// Otherwise every database is opened, so that changes by hand since its last migration are found as well.
	Stored bool
	// Progress is called with the number of tenants that were read, one call at a time. It may be nil.
	Progress func(looked, total int)
}

// Drift is how tenants' schemas differ from the schemas of their versions.
type Drift struct {
	// Compared is how many tenants were compared.
	Compared int
	// Groups are the tenants with the same differences, the largest group first.
	Groups []DriftGroup
	// Failed are the tenants whose schemas could not be read, by cause.
	Failed map[string][]catalog.Tenant
}

// DriftGroup is the tenants that differ from their version in the same way.
type DriftGroup struct {
	Version     uint
	Differences []tenant.Difference
	Tenants     []catalog.Tenant
}

// Drifted returns how many tenants differ.
func (d Drift) Drifted() int {
	n := 0
	for _, group := range d.Groups {
		n += len(group.Tenants)
	}
	return n
}

// Drift compares tenants' schemas with the schemas of their versions, and records the result in the catalog. The
// schema of a version is known from its template. Where no template was recorded, it is the schema that most tenants
// have.
func (f *Fleet) Drift(ctx context.Context, options DriftOptions) (Drift, error) {
	if _, _, err := f.prepare(ctx); err != nil {
		return Drift{}, err
	}
	tenants, err := f.cfg.Catalog.WithDatabase(ctx, f.cfg.Servers.Migrations().Lineage(), options.Only)
	if err != nil {
		return Drift{}, err
	}
	known, err := f.cfg.Catalog.References(ctx, f.cfg.Servers.Migrations().Lineage())
	if err != nil {
		return Drift{}, err
	}
	l := f.newInspector(len(tenants), f.cfg.Concurrency)
	l.stored, l.onProgress = options.Stored, options.Progress
	for _, reference := range known {
		l.schemas[reference.Fingerprint] = tenant.Schema(reference.Lines)
	}
	if err := l.inspectAll(ctx, tenants); err != nil {
		return Drift{}, err
	}
	return Drift{Compared: len(l.found), Groups: l.groups(known), Failed: l.failed}, nil
}

// groups groups the tenants that differ in the same way.
func (l *inspector) groups(known []catalog.Reference) []DriftGroup {
	should := map[uint]string{}
	for version, counts := range l.census() {
		should[version] = mostFrequent(counts)
	}
	for _, reference := range known {
		should[reference.Version] = reference.Fingerprint
	}
	byKind := map[string]*DriftGroup{}
	for _, t := range l.found {
		if *t.Fingerprint == should[t.SchemaVersion] {
			continue
		}
		kind := fmt.Sprintf("%d %s", t.SchemaVersion, *t.Fingerprint)
		if byKind[kind] == nil {
			byKind[kind] = &DriftGroup{
				Version: t.SchemaVersion, Differences: l.schemas[should[t.SchemaVersion]].Diff(l.schemas[*t.Fingerprint]),
			}
		}
		byKind[kind].Tenants = append(byKind[kind].Tenants, t)
	}
	groups := make([]DriftGroup, 0, len(byKind))
	for _, group := range byKind {
		slices.SortFunc(group.Tenants, func(a, b catalog.Tenant) int { return strings.Compare(a.ID.String(), b.ID.String()) })
		groups = append(groups, *group)
	}
	slices.SortFunc(groups, func(a, b DriftGroup) int {
		if len(a.Tenants) != len(b.Tenants) {
			return len(b.Tenants) - len(a.Tenants)
		}
		return strings.Compare(a.Tenants[0].ID.String(), b.Tenants[0].ID.String())
	})
	return groups
}

// census counts the fingerprints of each version.
func (l *inspector) census() map[uint]map[string]int {
	census := map[uint]map[string]int{}
	for _, t := range l.found {
		if census[t.SchemaVersion] == nil {
			census[t.SchemaVersion] = map[string]int{}
		}
		census[t.SchemaVersion][*t.Fingerprint]++
	}
	return census
}

// mostFrequent returns the fingerprint that most tenants have; of several, the alphabetically first.
func mostFrequent(counts map[string]int) string {
	most := ""
	for fingerprint, n := range counts {
		if n > counts[most] || n == counts[most] && fingerprint < most {
			most = fingerprint
		}
	}
	return most
}
