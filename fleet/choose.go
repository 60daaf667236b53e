package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// Reason is why a run cannot be started as requested.
type Reason string

// Reasons why a choice of tenants, or of a version, is invalid.
const (
	// UnknownTenant: no tenant has this id, slug or database.
	UnknownTenant Reason = "unknown"
	// WrongState: the tenant is being built, or is being or was deleted.
	WrongState Reason = "wrong_state"
	// BeingReplaced: the tenant's database is being replaced.
	BeingReplaced Reason = "being_replaced"
	// OtherSchema: the tenant's schema comes from other migrations.
	OtherSchema Reason = "other_schema"
	// UnknownServer: the tenant is on a server that is not configured.
	UnknownServer Reason = "unknown_server"
	// UnknownVersion: the schema has no such version.
	UnknownVersion Reason = "unknown_version"
	// NoDownMigration: a down file is missing between the tenant's version and the chosen one.
	NoDownMigration Reason = "no_way_down"
)

// InvalidChoice says why a choice is invalid.
type InvalidChoice struct {
	Reason Reason
	// Index is the index of the tenant in the list of names; 0 for an invalid version.
	Index int
	// Tenant is the row, if there is one.
	Tenant catalog.Tenant
	// Cause has the details of the reason, if there are any.
	Cause error
}

// longestName is longer than any id, slug or database name.
const longestName = 100

// Choose returns the names of the tenants of a run as the catalog has them, and everything that is wrong with the
// choice: a tenant that is named must be eligible. Without names the run is for the whole fleet, and takes the
// eligible tenants.
func (f *Fleet) Choose(ctx context.Context, given []string, to *uint) (names []string, wrong []InvalidChoice, err error) {
	schema := f.cfg.Servers.Migrations()
	if to != nil {
		if _, err := schema.Between(*to, *to); err != nil {
			wrong = append(wrong, InvalidChoice{Reason: UnknownVersion, Cause: err})
		}
	}
	if len(given) == 0 {
		return nil, wrong, nil
	}
	names = normalizeNames(given)
	found, err := f.findTenants(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		row, there := found[name]
		why := UnknownTenant
		if there {
			why = f.Ineligible(row)
		}
		if why != "" {
			wrong = append(wrong, InvalidChoice{Reason: why, Index: i, Tenant: row})
		}
	}
	if len(wrong) > 0 || to == nil {
		return names, wrong, nil
	}
	for i, name := range names {
		row := found[name]
		if row.SchemaVersion <= *to {
			continue
		}
		if _, err := schema.Between(row.SchemaVersion, *to); err != nil {
			return names, []InvalidChoice{{Reason: NoDownMigration, Index: i, Tenant: row, Cause: err}}, nil //nolint:nilerr // the error is returned as an invalid choice
		}
	}
	return names, nil, nil
}

// normalizeNames brings ids to their standard spelling. A text that cannot be the name of a tenant becomes empty.
func normalizeNames(given []string) []string {
	names := make([]string, len(given))
	for i, name := range given {
		if id, err := uuid.Parse(name); err == nil {
			names[i] = id.String()
		} else if utf8.ValidString(name) && !strings.ContainsRune(name, 0) && utf8.RuneCountInString(name) <= longestName {
			names[i] = name
		}
	}
	return names
}

// findTenants finds tenants by their names: those that a run can migrate with one query, the others one by one.
func (f *Fleet) findTenants(ctx context.Context, names []string) (map[string]catalog.Tenant, error) {
	rows, err := f.cfg.Catalog.WithDatabase(ctx, f.cfg.Servers.Migrations().Lineage(), names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]catalog.Tenant, 3*len(names))
	for _, row := range rows {
		found[row.ID.String()], found[row.Slug], found[row.Database] = row, row, row
	}
	delete(found, "") // spares have an empty slug
	for _, name := range names {
		if _, there := found[name]; there || name == "" {
			continue
		}
		row, err := f.cfg.Catalog.Tenant(ctx, name)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[name] = row
	}
	return found, nil
}

// MigratableStates are the states in which a run can migrate a tenant.
var MigratableStates = []catalog.State{catalog.Spare, catalog.Reserved, catalog.Ready, catalog.Quarantined, catalog.Suspended}

// Ineligible returns why no run can migrate a tenant. It is empty when one can.
func (f *Fleet) Ineligible(row catalog.Tenant) Reason {
	_, unknown := f.cfg.Servers.Get(row.Server)
	switch {
	case !slices.Contains(MigratableStates, row.State):
		return WrongState
	case row.QuarantineKind != nil && *row.QuarantineKind == catalog.BeingReplaced:
		return BeingReplaced
	case row.Lineage != f.cfg.Servers.Migrations().Lineage():
		return OtherSchema
	case unknown != nil:
		return UnknownServer
	}
	return ""
}
