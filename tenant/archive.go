package tenant

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
	"homeroom/internal/postgres"
)

// ArchiveName returns the name of a tenant's database after it was archived at this time.
func ArchiveName(id ID, at time.Time) string {
	return id.Database() + "_kept_" + at.UTC().Format("20060102150405")
}

var archivePattern = regexp.MustCompile(`^t_[a-z2-7]{26}_kept_[0-9]{14}$`)

// Archive renames a tenant's database to its archive name, and lets nobody connect to it, so that Ensure creates a new one. Its
// sessions are ended. It is idempotent for the same archive name. It fails with [ErrUnmanaged] for a database that is not the
// tenant's.
func (s *Server) Archive(ctx context.Context, id ID, archive string) error {
	if !archivePattern.MatchString(archive) || archive[:len(id.Database())] != id.Database() {
		return fmt.Errorf("%q is not an archive name of tenant %s", archive, id)
	}
	err := s.locked(ctx, id.String(), func(conn *pgx.Conn) error {
		var done bool
		if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", archive).Scan(&done); err != nil || done {
			return err
		}
		found, err := s.probe(ctx, conn, id)
		switch {
		case err != nil:
			return err
		case !found.database:
			return nil // nothing to archive
		case !found.marked && !found.ours:
			return ErrUnmanaged
		case found.invalid: // Postgres allows nothing but to drop it
			_, err := conn.Exec(ctx, "drop database "+quoteGenerated(id.Database()))
			killpoint.Here("tenant.set_aside_dropped")
			return err
		}
		return archiveDatabase(ctx, conn, id, archive, found.role)
	})
	if err != nil {
		return fmt.Errorf("archive database %s as %s: %w", id.Database(), archive, err)
	}
	return nil
}

// archiveDatabase first disallows connections, because a new one would make the renaming fail. If it fails, it allows
// them again.
func archiveDatabase(ctx context.Context, conn *pgx.Conn, id ID, archive string, role bool) error {
	database := quoteGenerated(id.Database())
	if _, err := conn.Exec(ctx, "alter database "+database+" allow_connections false"); err != nil {
		return err
	}
	killpoint.Here("tenant.set_aside_closed")
	err := endSessions(ctx, conn, id)
	if err == nil {
		killpoint.Here("tenant.set_aside_emptied")
		statements := "alter database " + database + " rename to " + quoteGenerated(archive)
		if role {
			statements = "revoke all on database " + database + " from " + quoteGenerated(id.Database()) + "; " + statements
		}
		_, err = conn.Exec(ctx, statements)
	}
	if err != nil {
		_, reopen := conn.Exec(context.WithoutCancel(ctx), "alter database "+database+" allow_connections true")
		return errors.Join(err, reopen)
	}
	killpoint.Here("tenant.set_aside_renamed")
	return nil
}

// endSessions ends the sessions of clients in a database. Postgres ends its own sessions, such as autovacuum's, itself.
func endSessions(ctx context.Context, conn *pgx.Conn, id ID) error {
	_, err := conn.Exec(ctx, `
		select pg_terminate_backend(pid, 5000)
		from pg_stat_activity
		where datname = $1 and pid <> pg_backend_pid() and usesysid is not null`, id.Database())
	if postgres.IsCode(err, "42501") { // insufficient_privilege
		err = errors.Join(err, sessionsError(ctx, conn, id.Database()))
	}
	if err != nil {
		return fmt.Errorf("end its sessions: %w", err)
	}
	return nil
}

// sessionsError lists the sessions in a database, with what our role needs to end them. It is nil when there are none.
func sessionsError(ctx context.Context, conn *pgx.Conn, database string) error {
	var sessions string
	var super, signal bool
	err := conn.QueryRow(ctx, `
		select coalesce(string_agg(format('role %s with %s (process %s)', usename, coalesce(nullif(application_name, ''), 'an unnamed program'), pid), ', ' order by pid), ''),
			coalesce(bool_or(rolsuper), false),
			(select pg_has_role(oid, 'pg_signal_backend', 'usage') from pg_roles where rolname = current_user)
		from pg_stat_activity
		join pg_roles on pg_roles.oid = usesysid
		where datname = $1 and pid <> pg_backend_pid()`, database).Scan(&sessions, &super, &signal)
	switch {
	case err != nil:
		return fmt.Errorf("list the sessions in database %s: %w", database, err)
	case sessions == "":
		return nil
	case !signal:
		return fmt.Errorf("sessions in it: %s; a superuser must run: grant pg_signal_backend to %s", sessions, quoteIdent(conn.Config().User))
	case super:
		return fmt.Errorf("sessions in it: %s; only a superuser can end the sessions of superusers", sessions)
	}
	return fmt.Errorf("in it: %s", sessions)
}
