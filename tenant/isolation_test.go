package tenant_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// TestNoTenantReachesAnother tries all pairs of a dozen tenants, in every way that a role has.
func TestNoTenantReachesAnother(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	all := make([]tenant.ID, 12)
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			all[i] = tenant.NewID()
			if _, err := server.Ensure(t.Context(), all[i], 0, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	for _, a := range all {
		own := pgtest.Connect(t, server.URL(a, 0).Reveal())
		exec(t, own, "insert into lunch_weeks (starts_on) values ('2026-11-23')")
		for _, b := range all {
			if a == b {
				continue
			}
			_, err := pgx.Connect(t.Context(), in(t, server.URL(a, 0), b.Database()))
			refused(t, "enter another's database", err, "42501")
			for _, statement := range []string{
				"set role %s", "set session authorization %s", "alter role %s password 'x'", "grant %s to current_user", "drop database %s",
				"alter database %s set work_mem = '1MB'", "comment on database %s is 'x'", "revoke connect on database %[1]s from %[1]s",
			} {
				_, err := own.Exec(t.Context(), fmt.Sprintf(statement, b.Database()))
				if strings.HasPrefix(statement, "revoke") && err == nil {
					continue // Postgres warns and revokes nothing
				}
				refused(t, statement, err, "42501")
			}
		}
		_ = own.Close(t.Context())
	}
	for _, id := range all {
		own := pgtest.Connect(t, server.URL(id, 0).Reveal())
		if n := value[int](t, own, "select count(*) from lunch_weeks"); n != 1 {
			t.Errorf("%s has %d weeks, want its own", id, n)
		}
		_ = own.Close(t.Context())
	}
}

// TestWhatATenantsRoleChangesOfItselfIsReset: Postgres allows these to every role, and up to version 15 also granting
// itself to others.
func TestWhatATenantsRoleChangesOfItselfIsReset(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	id, friend := ensure(t, server), ensure(t, server)
	own := pgtest.Connect(t, server.URL(id, 0).Reveal())
	exec(t, own, "alter role current_user set work_mem = '1GB'")
	exec(t, own, "alter role current_user in database "+id.Database()+" set default_transaction_read_only = on")
	exec(t, own, "alter role current_user password 'mine'")
	_, _ = own.Exec(t.Context(), "grant "+id.Database()+" to "+friend.Database())
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Fatal(err)
	}
	survey, err := server.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrong := slices.Concat(survey.Roles[id.Database()].Problems, survey.Roles[friend.Database()].Problems); len(wrong) > 0 {
		t.Errorf("still wrong: %q", wrong)
	}
	exec(t, pgtest.Connect(t, server.URL(id, 0).Reveal()), "insert into lunch_weeks (starts_on) values ('2026-11-23')")
}

func TestATenantsConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	server := open(t, func(c *tenant.Config) { c.ConnectionLimit = 2 })
	id := ensure(t, server)
	for range 2 {
		pgtest.Connect(t, server.URL(id, 0).Reveal())
	}
	_, err := pgx.Connect(t.Context(), server.URL(id, 0).Reveal())
	refused(t, "one more", err, "53300")
}

func TestATenantsTemporaryFilesAreBounded(t *testing.T) {
	t.Parallel()
	own := pgtest.Private(t, nil)
	pgtest.Script(t, own.URL, "../examples/provisioner.sql")
	server := openAt(t, own.URL("postgres"), nil)
	conn := pgtest.Connect(t, server.URL(ensure(t, server), 0).Reveal())
	if limit := value[string](t, conn, "show temp_file_limit"); limit != "2GB" {
		t.Errorf("the script has set %s", limit)
	}
	exec(t, pgtest.Connect(t, own.URL("postgres")), "alter system set temp_file_limit = '1MB'")
	exec(t, pgtest.Connect(t, own.URL("postgres")), "select pg_reload_conf()")
	later := pgtest.Connect(t, server.URL(ensure(t, server), 0).Reveal())
	_, err := later.Exec(t.Context(), "set work_mem = '64kB'; select repeat(g::text, 50) from generate_series(1, 200000) g order by 1", pgx.QueryExecModeSimpleProtocol)
	refused(t, "a large sort", err, "53400")
	_, err = later.Exec(t.Context(), "alter role current_user set temp_file_limit = -1")
	refused(t, "lift it", err, "42501")
}

func TestATenantSeesNoStatementOfAnother(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	a, b := ensure(t, server), ensure(t, server)
	exec(t, pgtest.Connect(t, server.URL(a, 0).Reveal()), "select 'a secret'")
	own := pgtest.Connect(t, server.URL(b, 0).Reveal())
	seen := value[string](t, own, "select query from pg_stat_activity where usename = $1", a.Database())
	if seen != "<insufficient privilege>" {
		t.Errorf("it sees %q", seen)
	}
	_, err := own.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", a.Database())
	refused(t, "end another's session", err, "42501")
}
