package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/killpoint"
)

// ErrInUse means that a tenant's database is in use: it is marked as such, has rows, or has sessions.
var ErrInUse = errors.New("the database is in use")

// ErrMissing means that a tenant has no database, or one that accepts no connections.
var ErrMissing = errors.New("the database does not exist, or accepts no connections")

// usePrefix begins the second line of the comment on a tenant's database once it is in use. What follows is the holder.
const usePrefix = "in use by "

// CheckSpare checks that the database of a claimed spare can be given to the holder: it exists, is ours, accepts
// connections, and is not marked as in use by another holder. It fails with [ErrMissing], [ErrUnmanaged], [ErrInUse],
// or with an error of Postgres. It is one short query, and does not wait for long operations. The joins are half the
// time of shobj_description, which Postgres plans anew in each call.
func (s *Server) CheckSpare(ctx context.Context, id ID, holder string) error {
	err := func() error {
		var open, ours bool
		var comment string
		err := s.lookups.QueryRow(ctx, `
			select datallowconn and datconnlimit <> -2, coalesce(rolname = $2, false), coalesce(description, '')
			from pg_database
			left join pg_roles on pg_roles.oid = datdba
			left join pg_shdescription on objoid = pg_database.oid and classoid = 'pg_database'::regclass
			where datname = $1`, id.Database(), ownerRole).Scan(&open, &ours, &comment)
		mark, use, _ := strings.Cut(comment, "\n")
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && !open:
			return ErrMissing
		case err != nil:
			return err
		case mark != marker(id) || !ours:
			return ErrUnmanaged
		case use != "" && use != usePrefix+holder:
			return fmt.Errorf("%w: it is marked as %q", ErrInUse, use)
		}
		return nil
	}()
	if err != nil {
		return fmt.Errorf("check spare %s on server %s: %w", id.Database(), s.cfg.Name, err)
	}
	return nil
}

// MarkInUse marks the databases of these tenants as in use by their holders, in one transaction, and returns the marked
// ones. It omits databases that are missing or not ours. It is idempotent; a mark is never removed.
func (s *Server) MarkInUse(ctx context.Context, holders map[ID]string) ([]ID, error) {
	names := make([]string, 0, len(holders))
	for id := range holders {
		names = append(names, id.Database())
	}
	var marked []ID
	err := func() error {
		rows, err := s.lookups.Query(ctx, `
			select datname::text, split_part(coalesce(shobj_description(oid, 'pg_database'), ''), e'\n', 1)
			from pg_database
			where datname = any($1) and pg_get_userbyid(datdba) = $2`, names, ownerRole)
		if err != nil {
			return err
		}
		var name, mark string
		var statements []string
		_, err = pgx.ForEachRow(rows, []any{&name, &mark}, func() error {
			id, err := ParseDatabase(name)
			if err != nil || mark != marker(id) {
				return nil //nolint:nilerr // not ours to mark
			}
			marked = append(marked, id)
			statements = append(statements, "comment on database "+quoteGenerated(name)+" is "+quoteLiteral(marker(id)+"\n"+usePrefix+holders[id]))
			return nil
		})
		if err != nil || len(statements) == 0 {
			return err
		}
		_, err = s.lookups.Exec(ctx, strings.Join(statements, "; ")) // one message is one transaction
		return err
	}()
	if err != nil {
		return nil, fmt.Errorf("mark %d databases of server %s as in use: %w", len(holders), s.cfg.Name, err)
	}
	return marked, nil
}

// Discard drops the database and the role of a spare that no school will get, under the tenant's lock. It fails with
// [ErrInUse] for a database that is marked as in use, or has sessions or rows; with [ErrUnmanaged] for one that
// Homeroom did not create; and with [ErrInvalid] for one whose DROP somebody else has begun. It does nothing if neither
// exists. The next call finishes what a call that dies has left.
func (s *Server) Discard(ctx context.Context, id ID) error {
	err := s.locked(ctx, id.String(), func(conn *pgx.Conn) error {
		found, err := s.probe(ctx, conn, id)
		switch {
		case err != nil:
			return err
		case found.database && !found.marked && !found.ours:
			return ErrUnmanaged
		case found.invalid && found.marked:
			return ErrInvalid
		case found.use != "":
			return fmt.Errorf("%w: it is marked as %q", ErrInUse, found.use)
		case found.database && found.marked:
			if err := s.checkEmpty(ctx, conn, id, found); err != nil {
				return err
			}
		}
		// The database never allowed connections, or was just found empty.
		return s.discard(ctx, conn, id, found)
	})
	if err != nil {
		return fmt.Errorf("discard spare %s: %w", id.Database(), err)
	}
	return nil
}

// checkEmpty fails with [ErrInUse] unless a database has neither sessions nor rows. It removes LOGIN from the role, and
// restores it on a failure.
func (s *Server) checkEmpty(ctx context.Context, conn *pgx.Conn, id ID, found state) (err error) {
	if found.role {
		if _, err := conn.Exec(ctx, "alter role "+quoteGenerated(id.Database())+" nologin"); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				_, login := conn.Exec(context.WithoutCancel(ctx), "alter role "+quoteGenerated(id.Database())+" login")
				err = errors.Join(err, login)
			}
		}()
	}
	killpoint.Here("tenant.discard_closed")
	if err := s.awaitNoSessions(ctx, conn, id); err != nil {
		return err
	}
	empty, err := s.Empty(ctx, id)
	if err == nil && !empty {
		empty, err = s.unchangedSinceClone(ctx, id)
	}
	if err == nil && !empty {
		err = fmt.Errorf("%w: it holds rows", ErrInUse)
	}
	return err
}

// cloneContents is the digest of a new clone: of the rows that the migrations have written.
type cloneContents struct {
	mu       sync.Mutex
	template string
	contents string
}

// recordClone stores the digest of a database that this process has just created, and that nobody can have written to,
// once for a template. If it may not read the rows, because of a row security policy for example, the digest stays
// unknown, and spares with rows are not discarded.
func (s *Server) recordClone(ctx context.Context, id ID) {
	s.cloneContents.mu.Lock()
	defer s.cloneContents.mu.Unlock()
	if s.cloneContents.template == s.Template() {
		return
	}
	contents, err := s.contents(ctx, id)
	if err != nil {
		s.cfg.Logger.Warn("cannot read the rows of a new database: spares with rows are not discarded", "server", s.cfg.Name, "error", err)
		contents = ""
	}
	s.cloneContents.template, s.cloneContents.contents = s.Template(), contents
}

// unchangedSinceClone reports whether a database has exactly the rows of a new clone. It is false until this process
// has created one.
func (s *Server) unchangedSinceClone(ctx context.Context, id ID) (bool, error) {
	s.cloneContents.mu.Lock()
	known := s.cloneContents.template == s.Template()
	want := s.cloneContents.contents
	s.cloneContents.mu.Unlock()
	if !known || want == "" {
		return false, nil
	}
	contents, err := s.contents(ctx, id)
	return err == nil && contents == want, err
}

// contents returns a digest of all rows and large objects of a tenant's database; see [Server.Empty].
func (s *Server) contents(ctx context.Context, id ID) (digest string, err error) {
	err = s.inTenantDatabase(ctx, id, func(conn *pgx.Conn) error {
		tables, err := ownTables(ctx, conn, `format('(select %L || coalesce(md5(string_agg(md5(one::text), '''' order by md5(one::text))), '''') from only %I.%I as one)',
			nspname || '.' || relname, nspname, relname)`)
		if err != nil {
			return err
		}
		slices.Sort(tables)
		tables = append(tables, "(select count(*)::text from pg_largeobject_metadata)")
		return conn.QueryRow(ctx, "select md5(concat_ws(' ', "+strings.Join(tables, ", ")+"))").Scan(&digest)
	})
	if err != nil {
		return "", fmt.Errorf("read the contents of database %s: %w", id.Database(), err)
	}
	return digest, nil
}

// awaitNoSessions waits until a database has no sessions, and fails with [ErrInUse] when one stays for too long.
func (s *Server) awaitNoSessions(ctx context.Context, conn *pgx.Conn, id ID) error {
	for deadline := time.Now().Add(sessionsEndWithin); ; {
		var sessions int
		err := conn.QueryRow(ctx, `
			select count(*) from pg_stat_activity where datname = $1 and usesysid is not null`, id.Database()).Scan(&sessions)
		switch {
		case err != nil:
			return err
		case sessions == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w: it has %d sessions", ErrInUse, sessions)
		}
		if _, err := conn.Exec(ctx, "select pg_sleep(0.05)"); err != nil {
			return err
		}
	}
}

// sessionsEndWithin is how long a session may take to end after its client has disconnected.
const sessionsEndWithin = 2 * time.Second

// discard drops database and role. It removes the comment first: an invalid database without a comment may be dropped.
func (s *Server) discard(ctx context.Context, conn *pgx.Conn, id ID, found state) error {
	name := quoteGenerated(id.Database())
	if found.database {
		if !found.invalid {
			if _, err := conn.Exec(ctx, "comment on database "+name+" is null"); err != nil {
				return err
			}
			killpoint.Here("tenant.discard_unmarked")
		}
		if _, err := conn.Exec(ctx, "drop database "+name); err != nil {
			return err
		}
		killpoint.Here("tenant.discard_dropped")
	}
	if found.role {
		if _, err := conn.Exec(ctx, "drop role "+name); err != nil {
			return err
		}
	}
	return nil
}
