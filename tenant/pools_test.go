package tenant_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

func TestPoolsStayWithinTheirBound(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	pools, err := tenant.NewPools(tenant.PoolsConfig{Tenants: 2, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pools.Close)
	ids := []tenant.ID{ensure(t, server), ensure(t, server), ensure(t, server), ensure(t, server)}
	root := pgtest.Connect(t, rootURL(t, "postgres"))
	for range 3 {
		for _, id := range ids {
			err := pools.Do(t.Context(), server, id, 0, func(conn *pgx.Conn) error {
				var role, database string
				if err := conn.QueryRow(t.Context(), "select current_user, current_database()").Scan(&role, &database); err != nil {
					return err
				}
				if role != id.Database() || database != id.Database() {
					t.Errorf("wanted %s, got role %s in %s", id.Database(), role, database)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	databases := make([]string, len(ids))
	for i, id := range ids {
		databases[i] = id.Database()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for { // an evicted pool is closed in the background
		open := value[int](t, root, "select count(*) from pg_stat_activity where datname = any($1)", databases)
		if open <= 2 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d connections are open, want at most 2", open)
		case <-ticker.C:
		}
	}
}

// TestEvictingAPoolFailsNoUser: with fewer pools than users, pools are evicted while somebody connects.
func TestEvictingAPoolFailsNoUser(t *testing.T) {
	t.Parallel()
	server := open(t, nil)
	pools, err := tenant.NewPools(tenant.PoolsConfig{Tenants: 1, Conns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pools.Close)
	ids := make([]tenant.ID, 6)
	for i := range ids {
		ids[i] = ensure(t, server)
	}
	var group errgroup.Group
	for client := range 8 {
		group.Go(func() error {
			for n := range 3 * len(ids) {
				err := pools.Do(t.Context(), server, ids[(client+n)%len(ids)], 0, func(conn *pgx.Conn) error {
					_, err := conn.Exec(t.Context(), "select 1")
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}
