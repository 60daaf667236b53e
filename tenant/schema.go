package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/migrations"
)

// Migrate migrates an existing tenant's schema to the newest version, under the tenant's lock. A database that a newer
// program has migrated further stays as it is. It fails with a *migrations.Error when a file fails (the tenant then has
// the version before that file), or with a *migrations.StateError when its version is dirty or unknown.
func (s *Server) Migrate(ctx context.Context, id ID) (migrations.Result, error) {
	return s.MigrateTo(ctx, id, s.cfg.Migrations.Latest())
}

// MigrateTo is [Server.Migrate] up to a version, which must be one of the migrations'. A database above it stays as it is.
func (s *Server) MigrateTo(ctx context.Context, id ID, version uint) (migrations.Result, error) {
	return s.migrate(ctx, id, func(conn *pgx.Conn) (migrations.Result, error) {
		return s.cfg.Migrations.UpTo(ctx, conn, version)
	})
}

// MigrateDownTo migrates a tenant's schema down to a version, and loses what the down files drop. Version 0 is the one
// before the first file. A database at that version or below stays as it is. It fails as Migrate does.
func (s *Server) MigrateDownTo(ctx context.Context, id ID, version uint) (migrations.Result, error) {
	return s.migrate(ctx, id, func(conn *pgx.Conn) (migrations.Result, error) {
		return s.cfg.Migrations.DownTo(ctx, conn, version)
	})
}

// migrate runs files under the tenant's lock.
func (s *Server) migrate(ctx context.Context, id ID, run func(conn *pgx.Conn) (migrations.Result, error)) (result migrations.Result, err error) {
	err = s.locked(ctx, id.String(), func(*pgx.Conn) error {
		return s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) (err error) {
			result, err = run(conn)
			if err == nil {
				killpoint.Here("tenant.migrated")
			}
			return err
		})
	})
	if err != nil {
		return result, fmt.Errorf("migrate tenant %s: %w", id, asBusy(err))
	}
	return result, nil
}

// asBusy wraps a *migrations.LockedError in an [ErrBusy].
func asBusy(err error) error {
	var locked *migrations.LockedError
	if errors.As(err, &locked) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// Status compares the version of a tenant's schema with ours. It takes no lock and changes nothing.
func (s *Server) Status(ctx context.Context, id ID) (migrations.Status, error) {
	var status migrations.Status
	err := s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) (err error) {
		status, err = s.cfg.Migrations.Status(ctx, conn)
		return err
	})
	return status, err
}

// inTenantDatabase runs f on a connection to the tenant's database, with the owner's role.
func (s *Server) inTenantDatabase(ctx context.Context, id ID, f func(conn *pgx.Conn) error) error {
	return s.inDatabase(ctx, id.Database(), f)
}

// inDatabase is inTenantDatabase for any managed database.
func (s *Server) inDatabase(ctx context.Context, name string, f func(conn *pgx.Conn) error) error {
	conn, err := s.connect(ctx, name)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// schemaResult is the version of a tenant's schema, and its fingerprint.
type schemaResult struct {
	migrations.Result
	Fingerprint string
	// created says that this call has created the database.
	created bool
}

// ensureSchema migrates, and grants the missing privileges inside the database.
func (s *Server) ensureSchema(ctx context.Context, id ID) (result schemaResult, changed string, err error) {
	var changes []string
	migrate := func(conn *pgx.Conn) (err error) {
		if result.Result, err = s.cfg.Migrations.Up(ctx, conn); err != nil {
			return asBusy(err)
		}
		killpoint.Here("tenant.migrated")
		if result.From != result.To {
			changes = append(changes, fmt.Sprintf("migrated from version %d to %d", result.From, result.To))
		}
		return nil
	}
	restore := func(conn *pgx.Conn) error {
		missing, err := grantsMissing(ctx, conn)
		if err != nil {
			return err
		}
		if missing {
			if _, err := conn.Exec(ctx, grants); err != nil {
				return fmt.Errorf("restore grants in database %s: %w", id.Database(), err)
			}
			killpoint.Here("tenant.granted")
			if missing, err = grantsMissing(ctx, conn); err != nil {
				return err
			}
			if missing {
				return fmt.Errorf("grants in database %s are still wrong: another role than the owner has granted or revoked them; compare them with grants.sql", id.Database())
			}
			changes = append(changes, "grants restored")
		}
		schema, err := describe(ctx, conn)
		result.Fingerprint = schema.Fingerprint()
		return err
	}
	err = s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) error {
		if err := migrate(conn); err != nil || len(result.Applied) > 0 {
			return err
		}
		return restore(conn)
	})
	if err == nil && len(result.Applied) > 0 { // in a new session, without the settings of the files
		err = s.inTenantDatabase(ctx, id, restore)
	}
	return result, strings.Join(changes, ", "), err
}

// grantsMissing reports whether the group lacks a privilege that grants.sql grants, or has one on the version table
// that it revokes.
func grantsMissing(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var missing bool
	err := conn.QueryRow(ctx, `
		with item as (
			select pg_class.oid, relkind, nspname = 'public' and relname = 'schema_migrations' as is_version
			from pg_class
			join pg_namespace on pg_namespace.oid = relnamespace
			where nspname !~ '^pg_' and nspname <> 'information_schema' and relowner = current_user::regrole
		)
		select exists (
				select from item
				where case
					when relkind = 'S' then not has_sequence_privilege($1, oid, 'usage')
					when relkind not in ('r', 'p', 'v', 'm', 'f') then false
					when is_version then has_table_privilege($1, oid, 'insert, update, delete') or not has_table_privilege($1, oid, 'select')
					else not (has_table_privilege($1, oid, 'select') and has_table_privilege($1, oid, 'insert')
						and has_table_privilege($1, oid, 'update') and has_table_privilege($1, oid, 'delete'))
				end)
			or exists (
				select from pg_namespace
				where nspname !~ '^pg_' and nspname <> 'information_schema' and pg_has_role(current_user, nspowner, 'usage')
					and (not has_schema_privilege($1, oid, 'usage') or has_schema_privilege($1, oid, 'create')))
			or (
				select count(distinct defaclobjtype) < 3
				from pg_default_acl, aclexplode(defaclacl)
				where defaclrole = current_user::regrole and grantee = $1::regrole)`, groupRole).Scan(&missing)
	if err != nil {
		return false, fmt.Errorf("look for missing grants: %w", err)
	}
	return missing, nil
}
