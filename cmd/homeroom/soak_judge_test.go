//go:build soak

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/doctor"
	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

// runUntilIdle starts a last process, and waits until everything is healthy, and stays so for half a minute.
func (s *soakWorld) runUntilIdle(t *testing.T) {
	t.Helper()
	s.process = s.start(t)
	deadline := time.Now().Add(5 * time.Minute)
	var since time.Time
	for since.IsZero() || time.Since(since) < 30*time.Second {
		problem := s.problems(t.Context())
		switch {
		case problem == "" && since.IsZero():
			since = time.Now()
		case problem != "" && !since.IsZero():
			s.y.fail("unhealthy", "after it had been healthy: %s", problem)
			since = time.Time{}
		case problem != "" && time.Now().After(deadline):
			s.y.fail("unhealthy", "for 5 minutes: %s; it logged %s", problem, tail(s.process.logs.String()))
			return
		}
		pauseFor(t.Context(), 500)
	}
}

// problems describes what is not healthy.
func (s *soakWorld) problems(ctx context.Context) string {
	n, err := s.underWay(ctx)
	if err != nil || n > 0 {
		return fmt.Sprintf("%d things are under way, %v", n, err)
	}
	for what, sql := range map[string]string{
		"tenants are quarantined": "select count(*) from tenants where state = 'quarantined'",
		"tenants are behind":      fmt.Sprintf("select count(*) from tenants where state in ('ready', 'spare') and schema_version <> %d", s.version),
		"runs are open":           "select count(*) from migration_runs where state in ('running', 'paused')",
	} {
		if n, err := s.number(ctx, sql); err != nil || n > 0 {
			return fmt.Sprintf("%d %s, %v", n, what, err)
		}
	}
	if status, text, err := request(ctx, s.url(), http.MethodGet, "/readyz", "", "Accept", "*/*"); err != nil || status != http.StatusOK {
		return fmt.Sprintf("readyz: %d %s %v", status, text, err)
	}
	return ""
}

// check counts the figures that must be zero.
func (s *soakWorld) check(t *testing.T) {
	t.Helper()
	s.process.kill()
	set, err := migrations.Load(os.DirFS(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	s.server.Close()
	s.server, err = tenant.Open(tenant.Config{URL: secret.String(s.serverURL), Key: testKey, Migrations: set})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.schools); n != len(s.clients.promised) {
		s.y.fail("lost", "%d sign-ups were repeated until they were ready, and %d promised", n, len(s.clients.promised))
	}
	owners := map[string]int{}
	for _, user := range s.auth0.Users() {
		owners[strings.ToLower(user.Email)]++
	}
	for email, id := range s.clients.promised {
		var ready, all int
		err := s.pool.QueryRow(t.Context(), `
			select count(*) filter (where signups.id = $2 and status = 'ready' and users.state = 'active' and tenants.state = 'ready'), count(*)
			from users
			join signups on user_id = users.id
			join tenants on tenants.id = users.tenant_id
			where users.email = $1`, email, id).Scan(&ready, &all)
		switch {
		case err != nil || ready == 0 || owners[email] == 0:
			s.y.fail("lost", "%s: sign-up %s has %d schools and %d identities, %v", email, id, ready, owners[email], err)
		case ready > 1 || all > 1 || owners[email] > 1:
			s.y.fail("duplicate", "%s: %d schools, %d users, %d identities", email, ready, all, owners[email])
		}
		delete(owners, email)
	}
	for email := range owners {
		s.y.fail("orphan", "identity of %s", email)
	}
	for _, f := range s.findings(t) {
		what := "findings"
		if slices.Contains(orphans, f.Code) {
			what = "orphan"
		}
		s.y.fail(what, "%s %s: %s: %s", f.Severity, f.Code, f.Subject, f.Detail)
	}
	s.usable(t)
	auditServer(t, s.postgres.URL("postgres"), s.known(t))
}

// orphans are the codes of findings about things without an owner.
var orphans = []doctor.Code{
	doctor.IdentityWithoutSignup, doctor.IdentityOfExpiredSignup, doctor.DatabaseWithoutRow, doctor.RoleWithoutDatabase, doctor.TenantHeldByNobody,
}
