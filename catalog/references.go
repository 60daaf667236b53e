package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Reference is what a schema version looks like where nobody has changed anything by hand.
type Reference struct {
	// Lineage names the migrations, Version how many of them.
	Lineage string
	Version uint
	// Fingerprint is the hash of Lines.
	Fingerprint string
	Lines       []string
}

// SetReference keeps what a schema version looks like, in place of what was known.
func (s *Store) SetReference(ctx context.Context, reference Reference) error {
	return setReference(ctx, s.pool, reference)
}

// SetReferenceTx is [Store.SetReference] in the caller's transaction.
func (s *Store) SetReferenceTx(ctx context.Context, tx pgx.Tx, reference Reference) error {
	return setReference(ctx, tx, reference)
}

func setReference(ctx context.Context, q querier, reference Reference) error {
	_, err := q.Exec(ctx, `
		insert into schema_references (lineage, version, fingerprint, lines)
		values ($1, $2, $3, $4)
		on conflict (lineage, version) do update
		set fingerprint = excluded.fingerprint, lines = excluded.lines, created_at = now()
		where schema_references.fingerprint <> excluded.fingerprint`,
		reference.Lineage, reference.Version, reference.Fingerprint, reference.Lines)
	if err != nil {
		return fmt.Errorf("keep the reference of schema version %d: %w", reference.Version, known(err))
	}
	return nil
}

// References lists the references of a schema's versions, oldest first.
func (s *Store) References(ctx context.Context, lineage string) ([]Reference, error) {
	references, err := many[Reference](ctx, s.pool, `
		select lineage, version, fingerprint, lines
		from schema_references
		where lineage = $1
		order by version`, lineage)
	if err != nil {
		return nil, fmt.Errorf("list references of the schema: %w", err)
	}
	return references, nil
}
