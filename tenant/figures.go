package tenant

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Figures are what Homeroom reads in a tenant's own database. They exist in any schema: users bring their own.
type Figures struct {
	Tables    int
	SizeBytes int64
	// SchemaVersion is nil if the tenant's role cannot read the migrations' version.
	SchemaVersion *int64
}

// UnreachableError says that a tenant's own database could not be read.
type UnreachableError struct{ Err error }

// Error implements error.
func (e *UnreachableError) Error() string { return "read a tenant's database: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Figures reads figures in a tenant's database, with the tenant's own role. It fails with an *[UnreachableError].
func (p *Pools) Figures(ctx context.Context, server *Server, id ID, rotation int) (Figures, error) {
	var figures Figures
	err := p.Do(ctx, server, id, rotation, func(conn *pgx.Conn) (err error) {
		figures, err = readFigures(ctx, conn)
		return err
	})
	if err != nil {
		return Figures{}, &UnreachableError{err}
	}
	return figures, nil
}

func readFigures(ctx context.Context, conn *pgx.Conn) (Figures, error) {
	var figures Figures
	var versioned bool
	err := conn.QueryRow(ctx, `
		select count(*) filter (where relname <> 'schema_migrations'),
			pg_database_size(current_database()),
			coalesce(bool_or(oid = to_regclass('public.schema_migrations') and has_table_privilege(oid, 'select')), false)
		from pg_class
		where relkind in ('r', 'p') and not relispartition
			and relnamespace::regnamespace::text !~ '^"?pg_' and relnamespace <> 'information_schema'::regnamespace`).
		Scan(&figures.Tables, &figures.SizeBytes, &versioned)
	if err != nil {
		return Figures{}, fmt.Errorf("read figures: %w", err)
	}
	if !versioned {
		return figures, nil
	}
	err = conn.QueryRow(ctx, `select version from public.schema_migrations limit 1`).Scan(&figures.SchemaVersion)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Figures{}, fmt.Errorf("read schema version: %w", err)
	}
	return figures, nil
}
