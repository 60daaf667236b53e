package httpapi

import (
	"context"
	"fmt"

	"homeroom/fleet"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// choose returns the names of the tenants of a run as the catalog has them, and everything that is wrong with the
// choice. An empty list is refused: a caller that sends one has chosen nothing, and does not mean the whole fleet.
func (s *server) choose(ctx context.Context, body *newMigration) (names []string, wrong []problem.Field, err error) {
	given := body.Tenants
	if n := len(given); given != nil && (n == 0 || n > maxChosen) {
		given, wrong = nil, []problem.Field{
			{Field: "tenants", Code: "out_of_range", Message: messages.ID("field.tenants_range", messages.Args{"Most": maxChosen})},
		}
	}
	names, refusals, err := s.cfg.Fleet.Choose(ctx, given, body.To)
	for _, r := range refusals {
		wrong = append(wrong, choiceProblem(r, fmt.Sprintf("tenants[%d]", r.Index)))
	}
	return names, wrong, err
}

// choiceProblem describes an invalid choice; field is the field of the tenant.
func choiceProblem(r fleet.InvalidChoice, field string) problem.Field {
	switch r.Reason {
	case fleet.UnknownTenant:
		return problem.Field{Field: field, Code: "unknown", Message: messages.ID("field.no_tenant")}
	case fleet.BeingReplaced:
		return problem.Field{Field: field, Code: "wrong_state", Message: messages.ID("field.tenant_replaced")}
	case fleet.OtherSchema:
		return problem.Field{Field: field, Code: "other_schema", Message: messages.ID("field.other_schema")}
	case fleet.UnknownServer:
		return problem.Field{Field: field, Code: "unknown_server", Message: messages.ID("field.unknown_server")}
	case fleet.UnknownVersion:
		return problem.Field{Field: "to", Code: "unknown", Message: messages.ID("field.no_version")}
	case fleet.NoDownMigration:
		return problem.Field{Field: "to", Code: "no_way_back", Message: messages.ID("field.no_way_back", messages.Args{
			"Version": r.Tenant.SchemaVersion, "Cause": r.Cause.Error(),
		})}
	}
	return problem.Field{Field: field, Code: "wrong_state", Message: messages.ID("field.tenant_state", messages.Args{
		"State": problem.State(r.Tenant.State),
	})}
}
