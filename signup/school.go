package signup

import (
	"fmt"

	"homeroom/catalog"
	"homeroom/messages"
)

// SchoolState says that people cannot use a school because it is suspended or deleted.
type SchoolState struct{ State catalog.State }

// Error implements error.
func (e *SchoolState) Error() string { return "the school is " + string(e.State) }

// SchoolUnusable says that a school cannot be used now.
type SchoolUnusable struct {
	// Reason is the part of the cause that the school's people may see, as a part of a sentence. The cause itself may
	// quote SQL and data.
	Reason messages.Message
	// Tenant is the school's row in the catalog.
	Tenant catalog.Tenant
}

// Error implements error.
func (e *SchoolUnusable) Error() string {
	return fmt.Sprintf("tenant %s is %s", e.Tenant.ID, e.Tenant.State)
}

// CheckUsable returns nil if a school's people may use it, else a *[SchoolState] or a *[SchoolUnusable].
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
