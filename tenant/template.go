package tenant

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// grants is run in the template before the migrations, and again in tenants with missing privileges. It is idempotent.
//
//go:embed grants.sql
var grants string

// Template returns the name of the database from which new tenants are cloned. It contains the schema version, and a
// hash of the migrations, grants and revoked functions. A changed schema has a new template; a template is never
// changed.
func (s *Server) Template() string {
	return fmt.Sprintf("homeroom_template_%d_%s", s.cfg.Migrations.Latest(), shortHash(s.cfg.Migrations.Hash()+grants+RevokeFunctions))
}

// shortHash returns a hash of twelve hexadecimal digits.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Prepare creates what all tenants of a server share: the two roles and the template, and revokes CONNECT on the
// maintenance databases from PUBLIC. It does nothing if all of that is done. A migration that cannot run fails here,
// before any tenant is changed.
//
// [Config.Vet] is called each time, because another process may have migrated tenants with other files meanwhile.
func (s *Server) Prepare(ctx context.Context) error {
	if s.cfg.Vet != nil {
		if err := s.cfg.Vet(ctx); err != nil {
			return err
		}
	}
	s.prepared.Lock()
	defer s.prepared.Unlock()
	if s.ready {
		return nil
	}
	err := s.lockedWithin(ctx, 0, "server", func(conn *pgx.Conn) error {
		if err := ensureSharedRoles(ctx, conn); err != nil {
			return err
		}
		var unrepaired *UnrepairedError
		if err := s.repairSharedRoles(ctx, conn); errors.As(err, &unrepaired) {
			s.cfg.Logger.Warn("the roles that all tenants share have problems", "server", s.cfg.Name, "error", err)
		} else if err != nil {
			return err
		}
		return s.revokePublicConnect(ctx, conn)
	})
	if err != nil {
		return fmt.Errorf("prepare server %s: %w", s.cfg.Name, err)
	}
	if err := s.ensureTemplate(ctx); err != nil {
		return err
	}
	s.ready = true
	return nil
}

// invalidate makes the next Prepare check again, after something that it created was found missing.
func (s *Server) invalidate() {
	s.prepared.Lock()
	defer s.prepared.Unlock()
	s.ready = false
}

// ensureSharedRoles creates the owner and the group. Our role must be a member of the owner to use it: in Postgres 16
// and newer the creator of a role has the ADMIN option, and can grant the role to itself.
func ensureSharedRoles(ctx context.Context, conn *pgx.Conn) error {
	for _, role := range []string{ownerRole, groupRole} {
		var exists, member bool
		err := conn.QueryRow(ctx, `
			select exists (select from pg_roles where rolname = $1),
				(select rolsuper from pg_roles where rolname = current_user)
				or coalesce((select pg_has_role(current_user, oid, 'usage') from pg_roles where rolname = $1), false)`,
			role).Scan(&exists, &member)
		if err != nil {
			return fmt.Errorf("look for role %s: %w", role, err)
		}
		if !exists {
			if _, err := conn.Exec(ctx, "create role "+quoteGenerated(role)+" nologin"); err != nil && !postgres.IsCode(err, "42710") {
				return fmt.Errorf("create role %s: %w", role, err)
			}
			killpoint.Here("server.role_created")
		}
		if role == ownerRole && !member {
			if _, err := conn.Exec(ctx, "grant "+quoteGenerated(role)+" to current_user"); err != nil {
				return fmt.Errorf("become a member of role %s: %w", role, err)
			}
			killpoint.Here("server.owner_joined")
		}
	}
	return nil
}

// revokePublicConnect revokes CONNECT on the maintenance databases from PUBLIC. Only their owner may do that;
// otherwise it logs the statement for a superuser.
func (s *Server) revokePublicConnect(ctx context.Context, conn *pgx.Conn) error {
	public, err := inspectPublicConnect(ctx, conn)
	switch {
	case err != nil:
		return err
	case public.databases == 0:
		return nil
	case public.owned < public.databases:
		s.cfg.Logger.Warn("tenants can connect to the maintenance databases of the server, and list the (opaque) names of all databases there",
			"server", s.cfg.Name, "as_superuser_run", public.revokeSQL())
		return nil
	}
	if _, err := conn.Exec(ctx, public.revokeSQL()); err != nil {
		return fmt.Errorf("revoke CONNECT on the maintenance databases from PUBLIC: %w", err)
	}
	killpoint.Here("server.closed")
	return nil
}

// publicConnect describes which of the shared databases grant CONNECT to PUBLIC.
type publicConnect struct {
	databases int    // how many of them grant it
	owned     int    // how many of these our role may change
	role      string // our role, quoted
}

func inspectPublicConnect(ctx context.Context, conn *pgx.Conn) (p publicConnect, err error) {
	err = conn.QueryRow(ctx, `
		select count(*), count(*) filter (where pg_has_role(current_user, datdba, 'usage')), quote_ident(current_user)
		from pg_database
		where datname in ('postgres', 'template1') and has_database_privilege('public', oid, 'connect')`).Scan(&p.databases, &p.owned, &p.role)
	if err != nil {
		return publicConnect{}, fmt.Errorf("read who has CONNECT on the maintenance databases: %w", err)
	}
	return p, nil
}

// revokeSQL revokes CONNECT on the shared databases from PUBLIC. Our role keeps it.
func (p publicConnect) revokeSQL() string {
	return "grant connect on database postgres to " + p.role +
		"; revoke connect, temporary on database postgres, template1 from public"
}

// errTemplateChanged means that the template was changed since this process has read its reference.
var errTemplateChanged = errors.New("the template was changed or dropped")

// ensureTemplate creates the template unless it exists, and stores its schema. It writes the reference last, as the
// mark of completion: a database with that name without a reference was left by a process that died, or was changed by
// hand, and is created again.
func (s *Server) ensureTemplate(ctx context.Context) error {
	name := s.Template()
	err := s.lockedWithin(ctx, 0, name, func(conn *pgx.Conn) error {
		from, err := inspectBase(ctx, conn)
		if err != nil {
			return err
		}
		if s.reference, err = readReference(ctx, conn, name, from); err != nil || s.reference != nil {
			return err
		}
		s.reference, err = s.buildTemplate(ctx, conn, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("create template %s on server %s: %w", name, s.cfg.Name, err)
	}
	return nil
}

// checkTemplate fails with errTemplateChanged unless the template is as ensureTemplate left it.
func (s *Server) checkTemplate(ctx context.Context, conn *pgx.Conn) error {
	from, err := inspectBase(ctx, conn)
	if err != nil {
		return err
	}
	reference, err := readReference(ctx, conn, s.Template(), from)
	if err == nil && reference == nil {
		return errTemplateChanged
	}
	return err
}

func (s *Server) buildTemplate(ctx context.Context, conn *pgx.Conn, name string) (Schema, error) {
	if err := s.checkDisk(ctx, conn); err != nil {
		return nil, err
	}
	if err := dropTemplate(ctx, conn, name); err != nil {
		return nil, err
	}
	from, err := s.refreshBase(ctx, conn)
	if err != nil {
		return nil, err
	}
	err = s.createDatabase(ctx, conn, "create database "+quoteGenerated(name)+" owner "+quoteGenerated(ownerRole)+" template "+from.name())
	if err != nil {
		return nil, err
	}
	killpoint.Here("template.created")
	if _, err := conn.Exec(ctx, "revoke all on database "+quoteGenerated(name)+" from public"); err != nil {
		return nil, err
	}
	if from.super {
		if err := s.revokePublicFunctions(ctx, name); err != nil {
			return nil, err
		}
	}
	schema, err := s.fillTemplate(ctx, name)
	if err != nil {
		return nil, err
	}
	killpoint.Here("template.filled")
	if _, err := conn.Exec(ctx, "alter database "+quoteGenerated(name)+" allow_connections false is_template true connection limit -1"); err != nil {
		return nil, err
	}
	killpoint.Here("template.altered")
	if err := writeReference(ctx, conn, name, from, schema); err != nil {
		return nil, err
	}
	killpoint.Here("template.described")
	return schema, nil
}

// refreshBase returns the base, with the current collation version: the base has no data that is sorted.
func (s *Server) refreshBase(ctx context.Context, conn *pgx.Conn) (base, error) {
	from, err := inspectBase(ctx, conn)
	if err != nil || !from.stale {
		return from, err
	}
	if _, err := conn.Exec(ctx, "alter database "+baseDatabase+" refresh collation version"); err != nil {
		return base{}, fmt.Errorf("refresh the collation version of database %s: %w", baseDatabase, err)
	}
	return inspectBase(ctx, conn)
}

// revokePublicFunctions runs [RevokeFunctions] in a database, which needs a superuser.
func (s *Server) revokePublicFunctions(ctx context.Context, database string) error {
	conn, err := s.connectAs(ctx, database, "")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, RevokeFunctions); err != nil {
		return fmt.Errorf("revoke functions in database %s from PUBLIC: %w", database, err)
	}
	return nil
}

// dropTemplate drops a template, complete or not, if it exists. It ends the template's sessions. An invalid database
// can only be dropped: Postgres ends the session that sends an ALTER.
func dropTemplate(ctx context.Context, conn *pgx.Conn, name string) error {
	var invalid bool
	err := conn.QueryRow(ctx, "select datconnlimit = -2 from pg_database where datname = $1", name).Scan(&invalid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil && !invalid {
		if _, err = conn.Exec(ctx, "alter database "+quoteGenerated(name)+" is_template false"); err == nil {
			killpoint.Here("template.unmarked")
		}
	}
	if err == nil {
		_, err = conn.Exec(ctx, "drop database if exists "+quoteGenerated(name)+" with (force)")
	}
	if postgres.IsCode(err, "42501", "55006") { // insufficient_privilege, object_in_use
		return errors.Join(err, sessionsError(ctx, conn, name))
	}
	if err == nil {
		killpoint.Here("template.dropped")
	}
	return err
}

// fillTemplate runs the grants, which set default privileges, then the migrations, and returns the schema.
func (s *Server) fillTemplate(ctx context.Context, name string) (schema Schema, err error) {
	err = s.inDatabase(ctx, name, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, grants); err != nil {
			return fmt.Errorf("set default privileges: %w", err)
		}
		_, err := s.cfg.Migrations.Up(ctx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.inDatabase(ctx, name, func(conn *pgx.Conn) (err error) { // in a new session, without the settings of the files
		if _, err := conn.Exec(ctx, grants); err != nil { // the version table exists only now
			return fmt.Errorf("grant: %w", err)
		}
		schema, err = describe(ctx, conn)
		return err
	})
	return schema, err
}
