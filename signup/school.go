package signup

import (
	"fmt"

	"homeroom/catalog"
	"homeroom/messages"
)

// SchoolState says that a school is out of use for its people: suspended, or deleted.
type SchoolState struct{ State catalog.State }

// Error implements error.
func (e *SchoolState) Error() string { return "the school is " + string(e.State) }

// SchoolUnusable says that a school cannot be used at this moment.
type SchoolUnusable struct {
	// Reason is what the school's people may know of it, as a part of a sentence. The cause itself may quote SQL and data.
	Reason messages.Message
	// Tenant is the school as the catalog has it.
	Tenant catalog.Tenant
}

// Error implements error.
func (e *SchoolUnusable) Error() string {
	return fmt.Sprintf("tenant %s is %s", e.Tenant.ID, e.Tenant.State)
}

// CheckUsable reports whether a school's people may use it: nil, a *[SchoolState] or a *[SchoolUnusable].
func CheckUsable(school catalog.Tenant) error {
	switch school.State {
	case catalog.Ready:
		return nil
	case catalog.Suspended, catalog.Deleting, catalog.Deleted:
		return &SchoolState{school.State}
	case catalog.Quarantined:
		return &SchoolUnusable{quarantineReason(school.QuarantineKind), school}
	}
	return &SchoolUnusable{messages.ID("part.being_made"), school}
}

func quarantineReason(kind *catalog.QuarantineKind) messages.Message {
	if kind != nil {
		switch *kind {
		case catalog.MigrationFailed:
			return messages.ID("part.migration_failed")
		case catalog.SchemaUnknown:
			return messages.ID("part.schema_unclear")
		case catalog.DatabaseUnusable:
			return messages.ID("part.database_unclear")
		case catalog.BeingReplaced:
			return messages.ID("part.being_replaced")
		}
	}
	return messages.ID("part.being_repaired")
}
