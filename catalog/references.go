package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Reference is the schema of a version without manual changes.
type Reference struct {
	// Lineage names the migrations, Version how many of them.
	Lineage string
	Version uint
	// Fingerprint is the hash of Lines.
	Fingerprint string
	Lines       []string
	// Postgres is the major version that printed it, Grants a hash of Homeroom's own grants: a description depends on
	// both besides the files.
	Postgres int
	Grants   string
}

// ReferenceError says that a schema version has another fingerprint than the recorded one, although everything on which
// it depends besides the files is the same.
type ReferenceError struct {
	Known, New Reference
}

// Error implements error.
func (e *ReferenceError) Error() string {
	return fmt.Sprintf("version %d of the schema differs from the recorded one: a migration file was changed after it had run, or "+
		"does not do the same each time. If the new one is correct, delete the recorded one, in the catalog: "+
		"delete from schema_references where lineage = '%s' and version = %[1]d", e.New.Version, e.New.Lineage)
}

// SetReference records the schema of a version. A recorded one stays: another fingerprint is a *[ReferenceError],
// unless another major version of Postgres printed it, which may print the same schema differently, or Homeroom's
// grants have changed. Then the new one is recorded; of two versions of Postgres that of the newer.
func (s *Store) SetReference(ctx context.Context, reference Reference) error {
	_, err := s.pool.Exec(ctx, `
		insert into schema_references (lineage, version, fingerprint, lines, postgres, grants)
		values ($1, $2, $3, $4, $5, $6)
		on conflict (lineage, version) do update
		set fingerprint = excluded.fingerprint, lines = excluded.lines, postgres = excluded.postgres, grants = excluded.grants, created_at = now()
		where schema_references.postgres is null or schema_references.postgres < excluded.postgres
			or schema_references.postgres = excluded.postgres and schema_references.grants <> excluded.grants`,
		reference.Lineage, reference.Version, reference.Fingerprint, reference.Lines, reference.Postgres, reference.Grants)
	if err != nil {
		return fmt.Errorf("record the reference of schema version %d: %w", reference.Version, known(err))
	}
	kept, err := one[Reference](ctx, s.pool, `
		select lineage, version, fingerprint, lines, postgres, grants
		from schema_references
		where lineage = $1 and version = $2`, reference.Lineage, reference.Version)
	if err != nil {
		return fmt.Errorf("read the reference of schema version %d: %w", reference.Version, err)
	}
	if kept.Postgres == reference.Postgres && kept.Grants == reference.Grants && kept.Fingerprint != reference.Fingerprint {
		return &ReferenceError{kept, reference}
	}
	return nil
}

// ReplaceLineage changes the lineage of its tenants and references. It is for lineages that are computed differently
// from the same files.
func (s *Store) ReplaceLineage(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	var exists bool
	err := s.pool.QueryRow(ctx, `select exists (select from tenants where lineage = $1)`, from).Scan(&exists)
	if err == nil && exists {
		err = s.InTx(ctx, func(tx pgx.Tx) error { return s.replaceLineageTx(ctx, tx, from, to) })
	}
	if err != nil {
		return fmt.Errorf("replace lineage %s: %w", from, err)
	}
	return nil
}

// replaceLineageTx is [Store.ReplaceLineage] in the caller's transaction. It deletes the recorded references: their
// functions may contain the line ends of the files.
func (s *Store) replaceLineageTx(ctx context.Context, tx pgx.Tx, from, to string) error {
	for _, statement := range []string{
		"update tenants set lineage = $2 where lineage = $1",
		"delete from schema_references where lineage = $1 and $2::text is not null",
	} {
		if _, err := tx.Exec(ctx, statement, from, to); err != nil {
			return err
		}
	}
	return nil
}

// References lists the references of a schema's versions, oldest first.
func (s *Store) References(ctx context.Context, lineage string) ([]Reference, error) {
	references, err := many[Reference](ctx, s.pool, `
		select lineage, version, fingerprint, lines, coalesce(postgres, 0) as postgres, coalesce(grants, '') as grants
		from schema_references
		where lineage = $1
		order by version`, lineage)
	if err != nil {
		return nil, fmt.Errorf("list references of the schema: %w", err)
	}
	return references, nil
}
