package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// ErrUnmanaged means that a database has the tenant's name, but Homeroom did not create it. It is not changed: an
// operator must inspect it.
var ErrUnmanaged = errors.New("a database with this name exists that Homeroom did not create")

// ErrInvalid means that a DROP DATABASE of the tenant's database was interrupted: it is invalid, and nobody can connect
// to it. An operator must decide to replace it, by a fresh reprovisioning.
var ErrInvalid = errors.New("a DROP of this database was interrupted")

// Result is the result of [Server.Ensure].
type Result struct {
	// Version is the schema version of the database now.
	Version uint
	// Fingerprint is that of the database's schema; see [Schema.Fingerprint].
	Fingerprint string
	Steps       []Step
	// Created says that this call has created the database, so nobody else uses it.
	Created bool
}

// Ensure creates or repairs a tenant: database, role, CONNECT, grants and schema. It creates what is missing, repairs
// what differs, and never drops data. It is idempotent. A call that dies leaves at worst a database to which nobody can
// connect, which the next call completes.
//
// It fails with [ErrUnmanaged], [ErrInvalid] or [ErrBusy], with [ErrDiskLow] before anything is created, with an
// [*UnrepairedError] for problems that our role may not repair, with a *migrations.Error when a migration fails, or
// with an error of Postgres.
func (s *Server) Ensure(ctx context.Context, id ID, rotation int, progress Progress) (Result, error) {
	r := &recorder{progress: progress}
	schema, err := s.ensure(ctx, r, id, rotation)
	if errors.Is(err, errTemplateChanged) || postgres.IsCode(err, "3D000") { // another process has just dropped the template
		s.invalidate()
		r.steps = nil
		schema, err = s.ensure(ctx, r, id, rotation)
	}
	if err != nil {
		return Result{Steps: r.steps}, fmt.Errorf("provision tenant %s: %w", id, err)
	}
	return Result{Version: schema.To, Fingerprint: schema.Fingerprint, Steps: r.steps, Created: schema.created}, nil
}

func (s *Server) ensure(ctx context.Context, r *recorder, id ID, rotation int) (schema schemaResult, err error) {
	var reference Schema
	err = r.step(StepTemplate, func() (_ string, err error) {
		reference, err = s.Reference(ctx)
		return "", err
	})
	if err != nil {
		return schemaResult{}, err
	}
	err = s.locked(ctx, id.String(), func(conn *pgx.Conn) error {
		found, err := s.probe(ctx, conn, id)
		if err != nil {
			return err
		}
		if err := r.step(StepDatabase, func() (string, error) { return s.ensureDatabase(ctx, conn, id, found) }); err != nil {
			return err
		}
		if err := r.step(StepAccess, func() (string, error) { return s.ensureAccess(ctx, conn, id, rotation, found) }); err != nil {
			return err
		}
		return r.step(StepSchema, func() (changed string, err error) {
			if !found.database { // just cloned
				schema.To, schema.Fingerprint, schema.created = s.cfg.Migrations.Latest(), reference.Fingerprint(), true
				s.recordClone(ctx, id)
				return "", nil
			}
			schema, changed, err = s.ensureSchema(ctx, id)
			return changed, err
		})
	})
	return schema, err
}

const markerPrefix = "homeroom tenant "

// marker returns the comment that marks a database as the tenant's.
func marker(id ID) string { return markerPrefix + id.String() }

// ensureDatabase clones the template, without allowing connections, unless the database exists. A database without our
// comment but with our owner is ours: a process died before it could mark it, and names are never used twice.
func (s *Server) ensureDatabase(ctx context.Context, conn *pgx.Conn, id ID, found state) (string, error) {
	name := quoteGenerated(id.Database())
	switch {
	case found.database && !found.marked && !found.ours:
		return "", fmt.Errorf("database %s: %w", id.Database(), ErrUnmanaged)
	case found.invalid && found.marked:
		return "", fmt.Errorf("database %s: %w", id.Database(), ErrInvalid)
	case found.invalid: // it never allowed connections
		if _, err := conn.Exec(ctx, "drop database "+name); err != nil {
			return "", fmt.Errorf("drop invalid database %s: %w", id.Database(), err)
		}
		killpoint.Here("tenant.invalid_dropped")
	case found.database && !found.ours:
		if _, err := conn.Exec(ctx, "alter database "+name+" owner to "+quoteGenerated(ownerRole)); err != nil {
			if postgres.IsCode(err, "42501") { // "must be owner"
				err = &UnrepairedError{[]string{"another role owns the database"}, []string{"alter database " + name + " owner to " + quoteGenerated(ownerRole)}}
			}
			return "", fmt.Errorf("set the owner of database %s: %w", id.Database(), err)
		}
		killpoint.Here("tenant.owner_restored")
		return "owner restored", nil
	case found.database:
		return "", nil
	}
	killpoint.Here("tenant.database_wanted")
	if err := s.clone(ctx, conn, name); err != nil {
		return "", fmt.Errorf("create database %s: %w", id.Database(), err)
	}
	killpoint.Here("tenant.database_created")
	return "created from " + s.Template(), nil
}

// clone creates a database from the template, without allowing connections, as one of [MaxClones] at a time.
func (s *Server) clone(ctx context.Context, conn *pgx.Conn, name string) error {
	select {
	case s.clones <- struct{}{}:
		defer func() { <-s.clones }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.checkTemplate(ctx, conn); err != nil {
		return err
	}
	return s.createDatabase(ctx, conn, "create database "+name+" owner "+quoteGenerated(ownerRole)+" template "+quoteGenerated(s.Template())+
		" allow_connections false")
}

// ensureAccess creates the tenant's role, grants CONNECT on the tenant's database to this role alone, marks the
// database, and allows connections: all in one transaction, so nobody else can connect in between. The privileges of a
// template are not copied, and PUBLIC has CONNECT on a new database. The password of an existing role is checked by
// connecting. It checks the state again after a repair, and fails with an *UnrepairedError for what our role may not
// change.
func (s *Server) ensureAccess(ctx context.Context, conn *pgx.Conn, id ID, rotation int, found state) (string, error) {
	right := len(found.roleProblems) == 0 && len(found.databaseProblems) == 0
	inOrder := found.database && found.onlyTenantConnects && found.acceptsConnections && found.marked && found.role && right
	if inOrder && s.checkLogin(ctx, id, rotation) {
		return "", nil
	}
	if !right {
		if err := s.repair(ctx, conn, id); err != nil {
			return "", fmt.Errorf("restore role and database %s: %w", id.Database(), err)
		}
	}
	err := s.grantAccess(ctx, conn, id, rotation, found)
	if postgres.IsCode(err, "42501") { // for example, the role is a superuser's
		err = errors.Join(err, s.verifyRepair(ctx, conn, id, rotation))
	}
	if err != nil {
		return "", fmt.Errorf("set CONNECT on database %s: %w", id.Database(), err)
	}
	killpoint.Here("tenant.opened")
	if found.database || found.role || !right {
		if err := s.verifyRepair(ctx, conn, id, rotation); err != nil {
			return "", fmt.Errorf("restore role and database %s: %w", id.Database(), err)
		}
	}
	if found.database {
		return "restored", nil
	}
	return "CONNECT granted to its role alone", nil
}

// grantAccess is the transaction of ensureAccess.
func (s *Server) grantAccess(ctx context.Context, conn *pgx.Conn, id ID, rotation int, found state) error {
	database, role := quoteGenerated(id.Database()), quoteGenerated(id.Database())
	statements := []string{"begin"}
	if found.role {
		statements = append(statements, s.setPassword(id, rotation), "revoke all on database "+database+" from "+role)
	} else {
		statements = append(statements, s.createRole(id, rotation))
	}
	if found.database {
		grantees, err := s.otherGrantees(ctx, conn, id)
		if err != nil {
			return err
		}
		for _, grantee := range grantees {
			statements = append(statements, "revoke all on database "+database+" from "+quoteIdent(grantee))
		}
	}
	statements = append(statements,
		"revoke all on database "+database+" from public",
		"grant connect on database "+database+" to "+role,
		"comment on database "+database+" is "+quoteLiteral(strings.TrimSuffix(marker(id)+"\n"+found.use, "\n")),
		"alter database "+database+" allow_connections true",
		"commit")
	_, err := conn.Exec(ctx, strings.Join(statements, "; "))
	if err != nil {
		_, _ = conn.Exec(ctx, "rollback")
	}
	return err
}

// checkLogin reports whether the tenant's role can connect. It also returns true when the role has all its connections
// in use.
func (s *Server) checkLogin(ctx context.Context, id ID, rotation int) bool {
	err := s.login(ctx, id, rotation)
	return err == nil || postgres.IsCode(err, "53300") // too_many_connections
}

// login connects to a tenant's database with its own role, and disconnects.
func (s *Server) login(ctx context.Context, id ID, rotation int) error {
	cfg, err := pgx.ParseConfig(s.URL(id, rotation).Reveal())
	if err != nil {
		return fmt.Errorf("read the URL of tenant %s", id)
	}
	postgres.DetectLoss(cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// otherGrantees returns the roles besides the owner and the tenant that have a privilege on the database.
func (s *Server) otherGrantees(ctx context.Context, conn *pgx.Conn, id ID) ([]string, error) {
	rows, err := conn.Query(ctx, `
		select distinct pg_get_userbyid(grantee)::text
		from pg_database, aclexplode(datacl)
		where datname = $1 and grantee <> 0 and grantee <> datdba and pg_get_userbyid(grantee) <> $1`, id.Database())
	if err != nil {
		return nil, fmt.Errorf("read who has CONNECT on database %s: %w", id.Database(), err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
