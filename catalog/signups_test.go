package catalog_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"homeroom/catalog"
)

func TestReserve(t *testing.T) {
	t.Parallel()
	t.Run("claims the oldest spare", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		oldest := spare(t, store)
		spare(t, store)
		reservation, err := store.Reserve(t.Context(), reserveParams(1))
		if err != nil {
			t.Fatal(err)
		}
		if reservation.Tenant.ID != oldest || reservation.Tenant.State != catalog.Reserved || reservation.Tenant.Slug != "lincoln-high" {
			t.Errorf("got %+v, want the spare %s", reservation.Tenant, oldest)
		}
	})
	t.Run("passes over a spare of an older schema, and makes the row of a tenant to build", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		spare(t, store)
		w := reserveParams(1)
		w.SchemaVersion = 4
		reservation, err := store.Reserve(t.Context(), w)
		if err != nil || reservation.Tenant.State != catalog.Building || reservation.Tenant.ID != w.TenantID {
			t.Errorf("got %+v, %v", reservation.Tenant, err)
		}
	})
	t.Run("passes over a spare of other migrations", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		spare(t, store)
		w := reserveParams(1)
		w.Lineage = "other"
		if reservation, err := store.Reserve(t.Context(), w); err != nil || reservation.Tenant.State != catalog.Building || reservation.Tenant.Lineage != "other" {
			t.Errorf("got %+v, %v", reservation.Tenant, err)
		}
	})
	t.Run("gives every one of many at once its own tenant and slug", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		for range 10 {
			spare(t, store)
		}
		var mu sync.Mutex
		tenants, slugs := map[any]bool{}, map[string]bool{}
		var group sync.WaitGroup
		for n := range 20 {
			group.Go(func() {
				reservation, err := store.Reserve(t.Context(), reserveParams(n))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				tenants[reservation.Tenant.ID], slugs[reservation.Tenant.Slug] = true, true
			})
		}
		group.Wait()
		if len(tenants) != 20 || len(slugs) != 20 {
			t.Errorf("%d tenants with %d slugs, want 20 of each: %v", len(tenants), len(slugs), slugs)
		}
	})
	t.Run("refuses a taken e-mail and a taken key, and leaves the spare", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		spare(t, store)
		if _, err := store.Reserve(t.Context(), reserveParams(1)); err != nil {
			t.Fatal(err)
		}
		spare(t, store)
		again := reserveParams(1)
		again.IdempotencyKey = ""
		if _, err := store.Reserve(t.Context(), again); !errors.Is(err, catalog.ErrEmailTaken) {
			t.Errorf("same e-mail: %v", err)
		}
		again = reserveParams(1)
		again.Email = "grace@lincoln.example"
		if _, err := store.Reserve(t.Context(), again); !errors.Is(err, catalog.ErrKeyTaken) {
			t.Errorf("same key: %v", err)
		}
		if s, err := store.Stock(t.Context(), "main", "lunch", 3); err != nil || s.Ready != 1 {
			t.Errorf("%d spares, %v; want 1", s.Ready, err)
		}
	})
	t.Run("takes no spare of a server with weight 0", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		spare(t, store)
		exec(t, store, "update servers set weight = 0")
		if _, err := store.Reserve(t.Context(), reserveParams(1)); !errors.Is(err, catalog.ErrNoCapacity) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("says so when no server has room", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		exec(t, store, "update servers set capacity = 1")
		if _, err := store.Reserve(t.Context(), reserveParams(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Reserve(t.Context(), reserveParams(2)); !errors.Is(err, catalog.ErrNoCapacity) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("builds where the most room is for its weight", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		if err := store.RegisterServers(t.Context(), []string{"main", "big"}); err != nil {
			t.Fatal(err)
		}
		exec(t, store, "update servers set weight = 3 where name = 'big'")
		count := map[string]int{}
		for n := range 8 {
			w := reserveParams(n)
			w.Servers = []string{"main", "big"}
			reservation, err := store.Reserve(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			count[reservation.Tenant.Server]++
		}
		if count["big"] != 6 || count["main"] != 2 {
			t.Errorf("placed %v, want 6 on big and 2 on main", count)
		}
		for capacity, want := range map[string]int{"null": 5, "7": 1, "6": 0, "3": 0} {
			exec(t, store, "update servers set capacity = "+capacity+" where name = 'big'")
			if room, err := store.FreeCapacity(t.Context(), "big", 5); err != nil || room != want {
				t.Errorf("room for %d with a capacity of %s, %v; want %d", room, capacity, err, want)
			}
		}
		servers, err := store.Servers(t.Context())
		if err != nil || len(servers) != 2 || servers[0].Name != "big" || servers[0].Tenants != 6 || servers[0].Weight != 3 {
			t.Errorf("servers %+v, %v", servers, err)
		}
	})
}

func TestFinishActivatesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	store := setup(t)
	spare(t, store)
	reservation, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil {
		t.Fatal(err)
	}
	finish := func(s catalog.Signup) error {
		return store.Finish(t.Context(), s, catalog.Identity{ID: "auth0|1"}, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{"a":1}`))
	}
	late := reservation.Signup
	late.LeaseEpoch = 0
	if err := finish(late); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("a former holder finished it: %v", err)
	}
	if err := finish(reservation.Signup); err != nil {
		t.Fatal(err)
	}
	if err := finish(reservation.Signup); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("finished twice: %v", err)
	}
	tenant, err := store.TenantByID(t.Context(), reservation.Tenant.ID)
	if err != nil || tenant.State != catalog.Ready || tenant.ReadyAt == nil {
		t.Errorf("tenant %+v, %v", tenant, err)
	}
	if user, err := store.UserByIdentity(t.Context(), "auth0|1"); err != nil || user.TenantID != tenant.ID {
		t.Errorf("user %+v, %v", user, err)
	}
	if row, err := store.Signup(t.Context(), reservation.Signup.ID); err != nil || row.Status != catalog.SignupReady || row.CheckAt != nil {
		t.Errorf("sign-up %+v, %v", row, err)
	}
	if events, err := store.Events(t.Context(), tenant.ID, 10); err != nil || len(events) != 1 || events[0].Action != "tenant.ready" {
		t.Errorf("events %+v, %v", events, err)
	}
}

func TestUndoLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, stock := range map[string]int{"of a claimed spare": 1, "of a tenant to build": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := setup(t)
			for range stock {
				spare(t, store)
			}
			reservation, err := store.Reserve(t.Context(), reserveParams(1))
			if err != nil {
				t.Fatal(err)
			}
			err = store.Undo(t.Context(), reservation.Signup, json.RawMessage(`[]`), json.RawMessage(`{"code":"too_weak"}`))
			if err != nil {
				t.Fatal(err)
			}
			if s, err := store.Stock(t.Context(), "main", "lunch", 3); err != nil || s.Ready != stock {
				t.Errorf("%d spares, %v; want %d", s.Ready, err, stock)
			}
			if n := value[int](t, store, "select count(*) from users"); n != 0 {
				t.Errorf("%d users are left", n)
			}
			if n := value[int](t, store, "select count(*) from tenants"); n != stock {
				t.Errorf("%d tenants are left, want %d", n, stock)
			}
			if _, err := store.Reserve(t.Context(), reserveParams(1)); err != nil {
				t.Errorf("the same e-mail and key are not free again: %v", err)
			}
		})
	}
}

func TestALeaseEndsByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	store := setup(t)
	spare(t, store)
	reservation, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.TakeOver(t.Context(), reservation.Signup.ID, time.Minute); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("taken from its holder: %v", err)
	}
	if due, err := store.Due(t.Context(), time.Minute, 10); err != nil || len(due) != 0 {
		t.Errorf("due %v, %v", due, err)
	}
	exec(t, store, "update signups set check_at = now()")
	due, err := store.Due(t.Context(), time.Minute, 10)
	if err != nil || len(due) != 1 || due[0].LeaseEpoch != 2 {
		t.Fatalf("due %+v, %v", due, err)
	}
	if err := store.Renew(t.Context(), reservation.Signup, time.Minute); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("the former holder renewed: %v", err)
	}
	if err := store.Renew(t.Context(), due[0], time.Minute); err != nil {
		t.Errorf("the holder could not renew: %v", err)
	}
}

func TestAnExpiredSignupKeepsItsTenantUntilTheLastLook(t *testing.T) {
	t.Parallel()
	store := setup(t)
	kept := spare(t, store)
	reservation, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil {
		t.Fatal(err)
	}
	err = store.Expire(t.Context(), reservation.Signup, json.RawMessage(`[]`), json.RawMessage(`{}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	due, err := store.Due(t.Context(), time.Minute, 10)
	if err != nil || len(due) != 1 || due[0].Status != catalog.Expired {
		t.Fatalf("due %+v, %v", due, err)
	}
	spare(t, store)
	again, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil || again.Tenant.ID == kept || again.Tenant.Slug != "lincoln-high" {
		t.Errorf("the same e-mail, key and name: %+v, %v", again.Tenant, err)
	}
	if err := store.RecheckDone(t.Context(), due[0]); err != nil {
		t.Fatal(err)
	}
	if tenant, err := store.TenantByID(t.Context(), kept); err != nil || tenant.State != catalog.Spare || tenant.Name != "" {
		t.Errorf("the tenant afterwards: %+v, %v", tenant, err)
	}
	if n := value[int](t, store, "select count(*) from signups where check_at is not null and status = 'expired'"); n != 0 {
		t.Errorf("%d sign-ups want more", n)
	}
}

func TestAQuarantineOutlastsTheSignupThatHoldsTheTenant(t *testing.T) {
	t.Parallel()
	store := setup(t)
	spare(t, store)
	reservation, err := store.Reserve(t.Context(), reserveParams(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Quarantine(t.Context(), reservation.Tenant.ID, catalog.MigrationFailed, "a migration failed"); err != nil {
		t.Fatal(err)
	}
	err = store.Finish(t.Context(), reservation.Signup, catalog.Identity{ID: "auth0|1"}, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if tenant, err := store.TenantByID(t.Context(), reservation.Tenant.ID); err != nil || tenant.State != catalog.Quarantined {
		t.Errorf("tenant %+v, %v", tenant, err)
	}
	if err := store.MarkHealthy(t.Context(), reservation.Tenant.ID, catalog.Health{Version: 4}); err != nil {
		t.Fatal(err)
	}
	if tenant, err := store.TenantByID(t.Context(), reservation.Tenant.ID); err != nil || tenant.State != catalog.Ready || tenant.SchemaVersion != 4 {
		t.Errorf("tenant %+v, %v", tenant, err)
	}
}
