//go:build soak

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/internal/secret"
	"homeroom/tenant"
)

// attackers attack the server with schools' roles while others sign up, and rotate their passwords. The service's own
// watch must end what they hold: the sign-ups continue, and in the end everything is healthy.
func (s *soakWorld) attackers(ctx context.Context, t *testing.T, random *rand.Rand) {
	server, err := tenant.Open(tenant.Config{URL: secret.String(s.postgres.URL("postgres")), Key: testKey})
	if err != nil {
		t.Error(err)
		return
	}
	defer server.Close()
	for {
		pauseFor(ctx, 1000+random.IntN(4000))
		if ctx.Err() != nil {
			return
		}
		var id uuid.UUID
		var slug string
		var rotation int
		err := s.pool.QueryRow(ctx, "select id, slug, password_rotation from tenants where state = 'ready' order by random() limit 1").Scan(&id, &slug, &rotation)
		if err != nil {
			continue
		}
		attack := attacks[random.IntN(len(attacks))]
		if s.attack(ctx, server.URL(tenant.ID(id), rotation), attack) {
			s.y.add("hostile sessions", 1)
		}
		if random.IntN(3) == 0 {
			status, text, err := s.operator(ctx, s.url(), http.MethodPost, "/tenants/"+slug+"/rotate", `{"endSessions":true}`)
			switch {
			case err != nil:
			case status == http.StatusAccepted:
				s.y.add("rotations", 1)
			case status != http.StatusServiceUnavailable && status != http.StatusConflict:
				s.y.fail("wrong answers", "rotate: %d %s", status, text)
			}
		}
	}
}

// attacks are statements with which a role could harm others.
var attacks = []string{
	"select pg_advisory_lock(g) from generate_series(1, 15000) g",
	savepointsOf(20000),
	"listen x; begin; select 1",
	"begin; select count(*) from lunch_weeks",
	"set work_mem = '64kB'; select repeat(g::text, 50) from generate_series(1, 100000) g order by 1",
}

// savepointsOf is a transaction that takes this many locks.
func savepointsOf(n int) string {
	var sql strings.Builder
	sql.WriteString("begin;")
	for i := range n {
		fmt.Fprintf(&sql, "savepoint s; insert into lunch_weeks (starts_on) values (date '1700-01-04' + 7 * %d);", i)
	}
	return sql.String()
}

// attack holds as much as it can for as long as it can, ten seconds at most, and reports whether it could connect.
func (s *soakWorld) attack(ctx context.Context, url secret.String, attack string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url.Reveal())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err = conn.Exec(ctx, attack, pgx.QueryExecModeSimpleProtocol); err == nil && strings.Contains(attack, "advisory") {
		s.y.fail("hostile sessions", "%s was not ended", attack)
	}
	for ctx.Err() == nil && !conn.IsClosed() {
		pauseFor(ctx, 500)
		if err := conn.Ping(ctx); err != nil {
			break
		}
	}
	return true
}
