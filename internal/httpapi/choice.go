package httpapi

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// longestName is more than any id, slug or database has.
const longestName = 100

// choose spells the tenants of a run as the catalog knows them, and tells everything that is wrong with the choice. An empty
// list is refused: whoever sends one has chosen nothing, and does not mean the whole fleet.
func (s *server) choose(ctx context.Context, body *newMigration) (names []string, wrong []problem.Field, err error) {
	if body.To != nil {
		if _, err := s.cfg.Servers.Migrations().Between(*body.To, *body.To); err != nil {
			wrong = append(wrong, problem.Field{Field: "to", Code: "unknown", Message: messages.ID("field.no_version")})
		}
	}
	if body.Tenants == nil {
		return nil, wrong, nil
	}
	if n := len(body.Tenants); n == 0 || n > mostChosen {
		return nil, append(wrong, problem.Field{Field: "tenants", Code: "out_of_range", Message: messages.ID("field.tenants_range", messages.Args{"Most": mostChosen})}), nil
	}
	names = spelled(body.Tenants)
	found, err := s.findTenants(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	for i, name := range names {
		if code, message := s.judge(found, name); code != "" {
			wrong = append(wrong, problem.Field{Field: fmt.Sprintf("tenants[%d]", i), Code: code, Message: message})
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
func (s *server) judge(found map[string]catalog.Tenant, name string) (code string, message messages.Message) {
	row, there := found[name]
	if !there {
		return "unknown", messages.ID("field.no_tenant")
	}
	return s.unfit(row)
}

// unfit tells why no run can take a tenant; an empty code means that one can.
func (s *server) unfit(row catalog.Tenant) (code string, message messages.Message) {
	_, unknown := s.cfg.Servers.Get(row.Server)
	switch {
	case row.State == catalog.Building, row.State == catalog.Deleting, row.State == catalog.Deleted:
		return "wrong_state", messages.ID("field.tenant_state", messages.Args{"State": problem.State(row.State)})
	case row.QuarantineKind != nil && *row.QuarantineKind == catalog.BeingReplaced:
		return "wrong_state", messages.ID("field.tenant_replaced")
	case row.Lineage != s.cfg.Servers.Migrations().Lineage():
		return "other_schema", messages.ID("field.other_schema")
	case unknown != nil:
		return "unknown_server", messages.ID("field.unknown_server")
	}
	return "", messages.Message{}
}

// checkWayBack refuses a version to which a down file is missing.
func (s *server) checkWayBack(found map[string]catalog.Tenant, to uint) []problem.Field {
	for _, row := range found {
		if row.SchemaVersion <= to {
			continue
		}
		if _, err := s.cfg.Servers.Migrations().Between(row.SchemaVersion, to); err != nil {
			return []problem.Field{{Field: "to", Code: "no_way_back", Message: messages.ID("field.no_way_back", messages.Args{
				"Version": row.SchemaVersion, "Cause": err.Error(),
			})}}
		}
	}
	return nil
}
