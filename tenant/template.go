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

// grants is run in the template before the migrations, and again wherever a tenant has lost some of it. It may run any
// number of times.
//
//go:embed grants.sql
var grants string

// Template is the name of the database that new tenants are cloned from: the schema version, and a hash of the migrations,
// grants and closed functions that made it. A changed schema is a new template; a template is never changed.
func (s *Server) Template() string {
	return fmt.Sprintf("homeroom_template_%d_%s", s.cfg.Migrations.Latest(), shortHash(s.cfg.Migrations.Hash()+grants+RevokeFunctions))
}

// shortHash is twelve hexadecimal digits.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Prepare makes what all tenants of a server share: the two roles, the doors closed to PUBLIC, the template. It does
// nothing when all of it is there. A migration that cannot run fails here, before any tenant is touched.
//
// The migrations are vetted each time, since another process may have migrated tenants with others meanwhile.
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
			s.cfg.Logger.Warn("the roles that all tenants share are not in order", "server", s.cfg.Name, "error", err)
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

// forget makes the next Prepare look again, after something it made was found missing.
func (s *Server) invalidate() {
	s.prepared.Lock()
	defer s.prepared.Unlock()
	s.ready = false
}

// ensureSharedRoles makes the owner and the group. We must be a member of the owner to act as it: Postgres 16 and newer
// make the creator of a role its administrator, which lets us grant us that.
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

// revokePublicConnect keeps the tenants' roles out of the databases that every server comes with and that PUBLIC may
// enter. Only their owner may do that; who is not, gets the statement to have it done.
func (s *Server) revokePublicConnect(ctx context.Context, conn *pgx.Conn) error {
	public, err := inspectPublicConnect(ctx, conn)
	switch {
	case err != nil:
		return err
	case public.databases == 0:
		return nil
	case public.owned < public.databases:
		s.cfg.Logger.Warn("tenants can enter the maintenance databases of the server, and list the (opaque) names of all databases there",
			"server", s.cfg.Name, "as_superuser_run", public.revokeSQL())
		return nil
	}
	if _, err := conn.Exec(ctx, public.revokeSQL()); err != nil {
		return fmt.Errorf("close the maintenance databases to PUBLIC: %w", err)
	}
	killpoint.Here("server.closed")
	return nil
}

// publicConnect describes which of the shared databases grant CONNECT to PUBLIC.
type publicConnect struct {
	databases int    // that grant it
	owned     int    // of these, how many our role may change
	role      string // our role, quoted
}

func inspectPublicConnect(ctx context.Context, conn *pgx.Conn) (p publicConnect, err error) {
	err = conn.QueryRow(ctx, `
		select count(*), count(*) filter (where pg_has_role(current_user, datdba, 'usage')), quote_ident(current_user)
		from pg_database
		where datname in ('postgres', 'template1') and has_database_privilege('public', oid, 'connect')`).Scan(&p.databases, &p.owned, &p.role)
	if err != nil {
		return publicConnect{}, fmt.Errorf("look who may enter the maintenance databases: %w", err)
	}
	return p, nil
}

// revokeSQL revokes CONNECT on the shared databases from PUBLIC. Our role keeps it.
func (p publicConnect) revokeSQL() string {
	return "grant connect on database postgres to " + p.role +
		"; revoke connect, temporary on database postgres, template1 from public"
}

// errTemplateChanged says that the template is not any more what it was when we looked at it first.
var errTemplateChanged = errors.New("the template was changed or dropped")

// ensureTemplate makes the template unless it is there, and remembers its schema. Its reference is written last, as the mark of
// completion: a database of that name without it was left by a process that died, or changed by hand, and is made again.
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
		return fmt.Errorf("make template %s on server %s: %w", name, s.cfg.Name, err)
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

// refreshBase is the base, with the present rules for sorting text: it has nothing that is sorted by them.
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

// revokePublicFunctions takes from PUBLIC in a database what a superuser alone may take.
func (s *Server) revokePublicFunctions(ctx context.Context, database string) error {
	conn, err := s.connectAs(ctx, database, "")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, RevokeFunctions); err != nil {
		return fmt.Errorf("close functions in database %s: %w", database, err)
	}
	return nil
}

// dropTemplate drops a template, if there is one of this name, complete or not. Sessions in it are ended. One whose dropping was
// begun and interrupted can be dropped again, and nothing else: at an ALTER Postgres ends the session.
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

// fillTemplate runs the grants, which hold for whatever the owner makes afterwards, then the migrations, and describes what
// they have made.
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
	err = s.inDatabase(ctx, name, func(conn *pgx.Conn) (err error) { // a session that no file has used
		if _, err := conn.Exec(ctx, grants); err != nil { // the version table is there only now
			return fmt.Errorf("grant: %w", err)
		}
		schema, err = describe(ctx, conn)
		return err
	})
	return schema, err
}
