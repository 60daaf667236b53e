package httpapi

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/identity"
	"homeroom/signup"
	"homeroom/tenant"
)

// Types for members that are plain strings in the packages that define their values.
type (
	role             string
	invitedRole      string
	runDirection     string
	outcomeState     string
	migratableState  string
	oauthProvider    string
	invitationStatus string
)

// The statuses of an invitation.
const (
	invitationOpen     invitationStatus = "open"
	invitationAccepted invitationStatus = "accepted"
	invitationRevoked  invitationStatus = "revoked"
	invitationExpired  invitationStatus = "expired"
)

// enum is a type with a fixed list of values.
type enum struct {
	// of is the type, and schema the [enumSchema] for it.
	of, schema reflect.Type
	values     []any
}

// enums are the types whose values the OpenAPI document lists. Each list is the one that the code itself uses.
var enums = []enum{
	enumOf[catalog.State](catalog.States),
	enumOf[catalog.QuarantineKind](catalog.QuarantineKinds),
	enumOf[catalog.Status](catalog.Statuses),
	enumOf[catalog.RunState](catalog.RunStates),
	enumOf[catalog.DeliveryState](catalog.DeliveryStates),
	enumOf[signup.StepName](signup.StepNames),
	enumOf[tenant.StepName](tenant.StepNames),
	enumOf[tenant.StepStatus](tenant.StepStatuses),
	enumOf[migratableState](fleet.MigratableStates),
	enumOf[runDirection](fleet.Directions),
	enumOf[outcomeState](fleet.OutcomeStates),
	enumOf[role](identity.Roles),
	enumOf[invitedRole](signup.InvitedRoles),
	enumOf[oauthProvider](oauthProviders),
	enumOf[invitationStatus]([]invitationStatus{invitationOpen, invitationAccepted, invitationRevoked, invitationExpired}),
}

func enumOf[T, V ~string](list []V) enum {
	values := make([]any, len(list))
	for i, value := range list {
		values[i] = string(value)
	}
	return enum{of: reflect.TypeFor[T](), schema: reflect.TypeFor[enumSchema[T]](), values: values}
}

// enumSchema stands for the type T when huma makes schemas, as packages such as catalog do not import huma.
type enumSchema[T ~string] struct{}

// Schema implements [huma.SchemaProvider].
func (enumSchema[T]) Schema(huma.Registry) *huma.Schema {
	for _, e := range enums {
		if e.of == reflect.TypeFor[T]() {
			return &huma.Schema{Type: huma.TypeString, Enum: e.values}
		}
	}
	panic("no enum for " + reflect.TypeFor[T]().String())
}

// newSchemas makes the registry of the document's schemas.
func newSchemas() huma.Registry {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	for _, e := range enums {
		schemas.RegisterTypeAlias(e.of, e.schema)
	}
	return schemas
}
