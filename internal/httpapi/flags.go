package httpapi

import "github.com/danielgtaylor/huma/v2"

// The flags of operations, in their metadata.
const (
	// flagEnvelope: errors are not problem documents but have the format of an envelope.
	flagEnvelope = "envelope"
	// flagStream: the answer is a stream of events, which has no request timeout.
	flagStream = "stream"
	// beginsSignup: the operation begins a sign-up.
	beginsSignup = "begins a sign-up"
	// needsWaiting: the operation is for a sign-up that waits, for its e-mail or for an approval.
	needsWaiting = "needs a waiting sign-up"
	// endsInvitation: the operation ends an invitation.
	endsInvitation = "ends an invitation"
	// needsSchema: the operation fails for a tenant of another set of migrations.
	needsSchema = "needs a tenant of this schema"
	// needsCatalogOnly: apart from the catalog, the operation uses nothing that can be unavailable.
	needsCatalogOnly = "needs the catalog only"
)

// flags returns the metadata of an operation.
func flags(names ...string) map[string]any {
	metadata := map[string]any{}
	for _, name := range names {
		metadata[name] = true
	}
	return metadata
}

// hasFlag reports whether an operation has a flag.
func hasFlag(op *huma.Operation, name string) bool { return op.Metadata[name] != nil }
