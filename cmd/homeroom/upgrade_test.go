package main

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"homeroom/internal/pgtest"
	"homeroom/migrations"
)

// earlierCatalog is the last version of the catalog in which a sign-up that needs an operator had no status of its
// own.
const earlierCatalog = 10

// TestACatalogIsUpgradedUnderLoad: two processes of this program start at once on the catalog of an earlier one, with
// its schools, while a worker of the earlier program still writes and clients already sign up.
func TestACatalogIsUpgradedUnderLoad(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 2)
	p := w.start(t)
	earlier := newClientPool(func() string { return p.url })
	for n := range 5 {
		earlier.signUp(t, newSchool(100+n))
	}
	p.kill()
	ids := slices.Collect(maps.Values(earlier.promised))
	conn := pgtest.Connect(t, postgres.URL("catalog"))
	if _, err := migrations.Catalog().DownTo(t.Context(), conn, earlierCatalog); err != nil {
		t.Fatal(err)
	}
	conn = pgtest.Connect(t, postgres.URL("catalog"))
	_, err := conn.Exec(t.Context(), `
		with parked as (
			update signups set status = 'failed', result = null, problem = '{"code": "needs_operator"}' where id = $1
			returning tenant_id, user_id
		), pending as (
			update users set state = 'pending' from parked where users.id = user_id
		)
		update tenants set state = 'reserved' from parked where tenants.id = tenant_id`, ids[0])
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var serving []*process
	underLoad(t, w, func() string {
		mu.Lock()
		defer mu.Unlock()
		if len(serving) == 0 {
			return "http://127.0.0.1:1" // nobody
		}
		return serving[rand.IntN(len(serving))].url
	}, func(context.Context) {
		stop := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() { writesAsBefore(t, conn, ids[1:], stop) })
		var starts sync.WaitGroup
		for range 2 {
			starts.Go(func() {
				next := w.start(t)
				mu.Lock()
				defer mu.Unlock()
				serving = append(serving, next)
			})
		}
		starts.Wait()
		close(stop)
		group.Wait()
		var status string
		if err := w.pool.QueryRow(t.Context(), "select status from signups where id = $1", ids[0]).Scan(&status); err != nil || status != "needs_operator" {
			t.Errorf("the sign-up that needed an operator is %q, %v", status, err)
		}
		if code, out, text := w.homeroom(t, "signup", "resolve", ids[0], "--finish"); code != exitOK {
			t.Errorf("resolve it: %d %s %s", code, out, text)
		}
	})
	earlier.checkRestored(t, w)
}

// writesAsBefore renews the leases of sign-ups, as a worker of any version does, until it is stopped.
func writesAsBefore(t *testing.T, conn *pgx.Conn, ids []string, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		tag, err := conn.Exec(t.Context(), `
			update signups set steps = steps, updated_at = now() where id = any($1) and status in ('ready', 'pending', 'failed')`, ids)
		if err != nil || int(tag.RowsAffected()) != len(ids) {
			t.Errorf("an earlier program's write: %v, %v", tag, err)
			return
		}
	}
}
