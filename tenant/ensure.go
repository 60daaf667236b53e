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

// ErrUnmanaged says that a database has the tenant's name but was not made for it. It is left alone: a person must look.
var ErrUnmanaged = errors.New("a database of this name exists that Homeroom did not make")

// ErrInvalid says that somebody has begun to drop the tenant's database, and was interrupted. Postgres lets nobody into
// what is left of it, and only a person can decide to give it up: by a fresh re-provisioning.
var ErrInvalid = errors.New("the deletion of this database was begun and interrupted")

// Result is what Ensure found and made.
type Result struct {
	// Version is the schema version that the database has now.
	Version uint
	// Fingerprint is that of the database's schema; see [Schema.Fingerprint].
	Fingerprint string
	Steps       []Step
	// Created: this very call created the database, so it is certainly nobody else's.
	Created bool
}

// Changed tells whether anything had to be made.
func (r Result) Changed() bool {
	for _, step := range r.Steps {
		if step.Changed != "" {
			return true
		}
	}
	return false
}

// Ensure brings a tenant into being, or back into order: database, role, who may enter, grants and schema. What is in
// order is not touched, what is missing is made, data is never dropped. It may be called again at any time; a call that
// dies leaves at worst a database that nobody can enter, which the next call completes.
//
// It fails with [ErrUnmanaged], with an [*UnrepairedError] for what our role may not put in order, with [ErrInvalid], with [ErrBusy], with [ErrDiskLow] before anything is made, with a
// *migrations.Error when a migration fails, or with what Postgres said.
func (s *Server) Ensure(ctx context.Context, id ID, rotation int, progress Progress) (Result, error) {
	r := &recorder{progress: progress}
	schema, err := s.ensure(ctx, r, id, rotation)
	if errors.Is(err, errTemplateChanged) || postgres.IsCode(err, "3D000") { // somebody has dropped it in this very moment
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
			if !found.database { // cloned a moment ago
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

// marker is the comment on a tenant's database that says whose it is.
func marker(id ID) string { return markerPrefix + id.String() }

// ensureDatabase clones the template, closed to everybody, unless the database is there. One without our comment but with
// our owner is ours, made by a process that died before it could mark it: names are never used twice.
func (s *Server) ensureDatabase(ctx context.Context, conn *pgx.Conn, id ID, found state) (string, error) {
	name := quoteGenerated(id.Database())
	switch {
	case found.database && !found.marked && !found.ours:
		return "", fmt.Errorf("database %s: %w", id.Database(), ErrUnmanaged)
	case found.invalid && found.marked:
		return "", fmt.Errorf("database %s: %w", id.Database(), ErrInvalid)
	case found.invalid: // it was never opened to anybody
		if _, err := conn.Exec(ctx, "drop database "+name); err != nil {
			return "", fmt.Errorf("drop invalid database %s: %w", id.Database(), err)
		}
		killpoint.Here("tenant.invalid_dropped")
	case found.database && !found.ours:
		if _, err := conn.Exec(ctx, "alter database "+name+" owner to "+quoteGenerated(ownerRole)); err != nil {
			if postgres.IsCode(err, "42501") { // "must be owner"
				err = &UnrepairedError{[]string{"another role owns the database"}, []string{"alter database " + name + " owner to " + quoteGenerated(ownerRole)}}
			}
			return "", fmt.Errorf("give database %s back to its owner: %w", id.Database(), err)
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

// clone makes a database of the template, closed to everybody, as one of [MaxClones] that this process makes at a time.
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

// ensureAccess makes the tenant's role, lets it, and nobody else, into the tenant's database, marks that as ours, and opens
// it: all in one transaction, so there is no moment in which somebody else could enter. Rights on a database are not
// copied from its template, and PUBLIC may enter a new one. The password of an existing role can only be proven by
// using it. What was repaired is looked at again: it fails with an *UnrepairedError for what our role may not change.
func (s *Server) ensureAccess(ctx context.Context, conn *pgx.Conn, id ID, rotation int, found state) (string, error) {
	right := len(found.roleProblems) == 0 && len(found.databaseProblems) == 0
	inOrder := found.database && found.onlyTenantConnects && found.acceptsConnections && found.marked && found.role && right
	if inOrder && s.canLogin(ctx, id, rotation) {
		return "", nil
	}
	if !right {
		if err := s.repair(ctx, conn, id); err != nil {
			return "", fmt.Errorf("restore role and database %s: %w", id.Database(), err)
		}
	}
	err := s.grantAccess(ctx, conn, id, rotation, found)
	if postgres.IsCode(err, "42501") { // what it may not do to a superuser's role, for example
		err = errors.Join(err, s.verifyRepair(ctx, conn, id, rotation))
	}
	if err != nil {
		return "", fmt.Errorf("set who may enter database %s: %w", id.Database(), err)
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
	return "opened to its role alone", nil
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

// canLogin tries the tenant's own way in. That it has all its connections in use is no
// reason to repair it.
func (s *Server) canLogin(ctx context.Context, id ID, rotation int) bool {
	err := s.login(ctx, id, rotation)
	return err == nil || postgres.IsCode(err, "53300") // too_many_connections
}

// login enters a tenant's database by its own way, and leaves.
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

// strangers are the roles besides the owner and the tenant that have a right on the database. Their names were read from
// the server, not from a request.
func (s *Server) otherGrantees(ctx context.Context, conn *pgx.Conn, id ID) ([]string, error) {
	rows, err := conn.Query(ctx, `
		select distinct pg_get_userbyid(grantee)::text
		from pg_database, aclexplode(datacl)
		where datname = $1 and grantee <> 0 and grantee <> datdba and pg_get_userbyid(grantee) <> $1`, id.Database())
	if err != nil {
		return nil, fmt.Errorf("look who may enter database %s: %w", id.Database(), err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
