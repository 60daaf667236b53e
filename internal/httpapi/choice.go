package httpapi

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// longestName is more than any id, slug or database has.
const longestName = 100

// choose spells the tenants of a run as the catalog knows them, and tells everything that is wrong with the choice. An empty
// list is refused: whoever sends one has chosen nothing, and does not mean the whole fleet.
func (s *server) choose(ctx context.Context, body *newMigration) (names []string, wrong []FieldProblem, err error) {
	if body.To != nil {
		if _, err := s.cfg.Servers.Migrations().Between(*body.To, *body.To); err != nil {
			wrong = append(wrong, FieldProblem{"to", "unknown", "There is no such version."})
		}
	}
	if body.Tenants == nil {
		return nil, wrong, nil
	}
	if n := len(body.Tenants); n == 0 || n > mostChosen {
		return nil, append(wrong, FieldProblem{"tenants", "out_of_range", fmt.Sprintf(
			"Name 1 to %d tenants, or leave the list out for the whole fleet.", mostChosen)}), nil
	}
	names = spelled(body.Tenants)
	found, err := s.findTenants(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		if code, message := s.judge(found, name); code != "" {
			wrong = append(wrong, FieldProblem{fmt.Sprintf("tenants[%d]", i), code, message})
		}
	}
	if len(wrong) == 0 && body.To != nil {
		wrong = s.checkWayBack(found, *body.To)
	}
	return names, wrong, nil
}

// spelled brings ids to their one spelling. What no tenant can be called becomes empty.
func spelled(given []string) []string {
	names := make([]string, len(given))
	for i, name := range given {
		if id, err := uuid.Parse(name); err == nil {
			names[i] = id.String()
		} else if isReadable(name) && utf8.RuneCountInString(name) <= longestName {
			names[i] = name
		}
	}
	return names
}

// findTenants finds tenants by their names: those that a run can take with one query, the others one by one.
func (s *server) findTenants(ctx context.Context, names []string) (map[string]catalog.Tenant, error) {
	rows, err := s.cfg.Catalog.WithDatabase(ctx, s.cfg.Servers.Migrations().Lineage(), names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]catalog.Tenant, 3*len(names))
	for _, row := range rows {
		found[row.ID.String()], found[row.Slug], found[row.Database] = row, row, row
	}
	delete(found, "") // the slug of spares
	for _, name := range names {
		if _, there := found[name]; there || name == "" {
			continue
		}
		row, err := s.cfg.Catalog.Tenant(ctx, name)
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

// judge tells why no run can take the tenant of this name; an empty code means that one can.
func (s *server) judge(found map[string]catalog.Tenant, name string) (code, message string) {
	row, there := found[name]
	if !there {
		return "unknown", "There is no tenant with this id, slug or database."
	}
	return s.unfit(row)
}

// unfit tells why no run can take a tenant; an empty code means that one can.
func (s *server) unfit(row catalog.Tenant) (code, message string) {
	_, unknown := s.cfg.Servers.Get(row.Server)
	switch {
	case row.State == catalog.Building, row.State == catalog.Deleting, row.State == catalog.Deleted:
		return "wrong_state", "The tenant is " + string(row.State) + "."
	case row.QuarantineKind != nil && *row.QuarantineKind == catalog.BeingReplaced:
		return "wrong_state", "The tenant's database is being replaced. Where that has stopped, reprovision it once more."
	case row.Lineage != s.cfg.Servers.Migrations().Lineage():
		return "other_schema", "The tenant's schema comes from other migrations than this service has."
	case unknown != nil:
		return "unknown_server", "The tenant is on a server that this service does not have."
	}
	return "", ""
}

// checkWayBack refuses a version to which a down file is missing.
func (s *server) checkWayBack(found map[string]catalog.Tenant, to uint) []FieldProblem {
	for _, row := range found {
		if row.SchemaVersion <= to {
			continue
		}
		if _, err := s.cfg.Servers.Migrations().Between(row.SchemaVersion, to); err != nil {
			return []FieldProblem{{"to", "no_way_back", fmt.Sprintf("There is no way back from version %d: %s.", row.SchemaVersion, err)}}
		}
	}
	return nil
}
