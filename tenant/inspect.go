package tenant

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/postgres"
	"homeroom/migrations"
)

// Inspection is the state of one tenant's database.
type Inspection struct {
	// CanLogin says that the tenant's own role can connect with the derived password.
	CanLogin bool
	// Status compares its version with ours.
	Status migrations.Status
	Schema Schema
	// Grants says that the tenant's role has all its privileges inside the database.
	Grants bool
	// VersionRows is how many rows schema_migrations has; 0 if it does not exist. One is correct; with more, any of
	// them may be read as the version.
	VersionRows int
	// PublicFunctions are the functions of [RevokeFunctions] that PUBLIC may execute: with them the tenant's role can stop the
	// whole server. LargeObjects is how many large objects there are, which belong to no schema.
	PublicFunctions []string
	LargeObjects    int
}

// Inspect reads the state of a tenant's database that Ensure would check. It takes no lock and changes nothing.
func (s *Server) Inspect(ctx context.Context, id ID, rotation int) (Inspection, error) {
	var found Inspection
	err := s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) (err error) {
		if found.Status, err = s.cfg.Migrations.Status(ctx, conn); err != nil {
			return err
		}
		missing, err := grantsMissing(ctx, conn)
		if err != nil {
			return err
		}
		found.Grants = !missing
		if found.VersionRows, err = versionRows(ctx, conn); err != nil {
			return err
		}
		if found.PublicFunctions, err = publicFunctions(ctx, conn); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, "select count(*) from pg_largeobject_metadata").Scan(&found.LargeObjects); err != nil {
			return fmt.Errorf("count large objects: %w", err)
		}
		found.Schema, err = describe(ctx, conn)
		return err
	})
	if err != nil {
		return Inspection{}, fmt.Errorf("inspect tenant %s: %w", id, err)
	}
	found.CanLogin = s.checkLogin(ctx, id, rotation)
	return found, nil
}

// versionRows counts the rows of the version table.
func versionRows(ctx context.Context, conn *pgx.Conn) (rows int, err error) {
	err = conn.QueryRow(ctx, "select count(*) from schema_migrations").Scan(&rows)
	if postgres.IsCode(err, "42P01") { // undefined_table
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count the rows of schema_migrations: %w", err)
	}
	return rows, nil
}

// Empty reports whether no table of a tenant's database except schema_migrations has a row, and there is no large
// object. Tables of extensions do not count. A table that it may not read is an error.
func (s *Server) Empty(ctx context.Context, id ID) (bool, error) {
	var filled bool
	err := s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) error {
		tests, err := ownTables(ctx, conn, `format('exists (select from only %I.%I)', nspname, relname)`)
		if err != nil {
			return err
		}
		tests = append(tests, "exists (select from pg_largeobject_metadata)")
		return conn.QueryRow(ctx, "select "+strings.Join(tests, " or ")).Scan(&filled)
	})
	if err != nil {
		return false, fmt.Errorf("check whether database %s is empty: %w", id.Database(), err)
	}
	return !filled, nil
}

// ownTables evaluates an expression for each table of a tenant's database, except schema_migrations and those of extensions. The
// session can then read all rows of the tables.
func ownTables(ctx context.Context, conn *pgx.Conn, expression string) ([]string, error) {
	// Without this setting a row security policy for the owner would hide rows. With it, that is an error.
	if _, err := conn.Exec(ctx, "set row_security = off"); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `
		select `+expression+`
		from pg_class
		join pg_namespace on pg_namespace.oid = relnamespace
		where relkind = 'r' and nspname !~ '^pg_' and nspname <> 'information_schema'
			and not (nspname = 'public' and relname = 'schema_migrations')
			and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// SchemaOwner returns the owner of the schema public in a tenant's database; empty when the schema was dropped.
func (s *Server) SchemaOwner(ctx context.Context, id ID) (owner string, err error) {
	err = s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `
			select coalesce((select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'public'), '')`).Scan(&owner)
	})
	if err != nil {
		return "", fmt.Errorf("read the owner of schema public in database %s: %w", id.Database(), err)
	}
	return owner, nil
}
