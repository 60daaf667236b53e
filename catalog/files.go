package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/migrations"
)

// FilesError says that this program's migration files are not those of the tenants' schemas: one that has run was
// changed or removed, or another was inserted between them. Nothing may be created or migrated with them.
type FilesError struct {
	Faults []FileFault
}

// FileFault is a file with a problem.
type FileFault struct {
	// File is its name.
	File string
	// Problem says what is wrong with it and what to do, as a continuation of the name.
	Problem string
}

// Error implements error.
func (e *FilesError) Error() string {
	faults := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		faults[i] = fault.File + ": " + fault.Problem
	}
	return "the migration files are not those of the tenants' schemas: " + strings.Join(faults, "; ")
}

// schemaFile is a row of schema_files.
type schemaFile struct {
	Version    uint
	Name, Hash string
	// Ran reports whether a tenant has this version or a newer one.
	Ran bool
}

// CheckFiles fails with a *[FilesError] if migration files that have run in a tenant's database have changed, or a new
// one has a lower number than they. It changes nothing. Files that were never recorded are valid.
func (s *Store) CheckFiles(ctx context.Context, set *migrations.Set) error {
	known, err := schemaFiles(ctx, s.pool, set.Lineage())
	if err != nil {
		return err
	}
	return checkFiles(known, set)
}

// RecordFiles is [Store.CheckFiles], and records the new files. Call it before creating or migrating a tenant.
func (s *Store) RecordFiles(ctx context.Context, set *migrations.Set) error {
	known, err := schemaFiles(ctx, s.pool, set.Lineage())
	if err != nil {
		return err
	}
	if err := checkFiles(known, set); err != nil || recorded(known, set) {
		return err
	}
	return s.InTx(ctx, func(tx pgx.Tx) error { return s.recordFilesTx(ctx, tx, set) })
}

// recordFilesTx is [Store.RecordFiles] in the caller's transaction, in which it waits for other processes that do the
// same.
func (s *Store) recordFilesTx(ctx context.Context, tx pgx.Tx, set *migrations.Set) error {
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended('homeroom schema files', 0))"); err != nil {
		return fmt.Errorf("record the migration files: %w", err)
	}
	known, err := schemaFiles(ctx, tx, set.Lineage())
	if err != nil {
		return err
	}
	if err := checkFiles(known, set); err != nil {
		return err
	}
	var names, hashes []string
	var versions []int64
	for _, f := range set.Files() {
		names, hashes, versions = append(names, f.Name), append(hashes, f.ContentHash()), append(versions, int64(f.Version))
	}
	_, err = tx.Exec(ctx, `
		with gone as (
			delete from schema_files
			where lineage = $1 and version < $5 and version <> all($2)
		)
		insert into schema_files (lineage, version, name, hash)
		select $1, version, name, hash
		from unnest($2::bigint[], $3::text[], $4::text[]) as file (version, name, hash)
		on conflict (lineage, version) do update
		set name = excluded.name, hash = excluded.hash, recorded_at = now()
		where schema_files.hash <> excluded.hash`, set.Lineage(), versions, names, hashes, int64(set.Latest()))
	if err != nil {
		return fmt.Errorf("record the migration files: %w", err)
	}
	return nil
}

// schemaFiles lists the recorded files of a schema, by version.
func schemaFiles(ctx context.Context, q querier, lineage string) (map[uint]schemaFile, error) {
	rows, err := many[schemaFile](ctx, q, `
		select version, name, hash, version <= (
			select coalesce(max(schema_version), 0) from tenants where lineage = $1 and state <> 'deleted'
		) as ran
		from schema_files
		where lineage = $1`, lineage)
	if err != nil {
		return nil, fmt.Errorf("read the recorded migration files: %w", err)
	}
	files := make(map[uint]schemaFile, len(rows))
	for _, row := range rows {
		files[row.Version] = row
	}
	return files, nil
}

// recorded reports whether all files are recorded.
func recorded(known map[uint]schemaFile, set *migrations.Set) bool {
	n := 0
	for version := range known {
		if version < set.Latest() {
			n++
		}
	}
	for _, f := range set.Files() {
		if known[f.Version].Hash != f.ContentHash() {
			return false
		}
		if f.Version < set.Latest() {
			n--
		}
	}
	return n == 0
}

// checkFiles compares the files with those that have run. A program with fewer files is an older one, which is valid.
func checkFiles(known map[uint]schemaFile, set *migrations.Set) error {
	newest, ours := uint(0), map[uint]bool{}
	for version, file := range known {
		if file.Ran {
			newest = max(newest, version)
		}
	}
	var failed FilesError
	for _, f := range set.Files() {
		ours[f.Version] = true
		was, exists := known[f.Version]
		switch {
		case exists && was.Ran && was.Hash != f.ContentHash():
			failed.add(f.Name, "was changed after it had run in tenants' databases: restore it, and put the change into a "+
				"new file with a higher number")
		case newest > 0 && f.Version < newest && (!exists || !was.Ran):
			failed.add(f.Name, fmt.Sprintf("has a lower number than %s, which has run in tenants' databases: give it a number above all others",
				known[newest].Name))
		}
	}
	for version, file := range known {
		if file.Ran && version < set.Latest() && !ours[version] {
			failed.add(file.Name, "has run in tenants' databases and is missing: restore it")
		}
	}
	if failed.Faults == nil {
		return nil
	}
	return &failed
}

func (e *FilesError) add(file, problem string) {
	e.Faults = append(e.Faults, FileFault{file, problem})
}

// ChangedFiles returns the problems of the files if the error is a *[FilesError], else nil.
func ChangedFiles(err error) []FileFault {
	var changed *FilesError
	if errors.As(err, &changed) {
		return changed.Faults
	}
	return nil
}
