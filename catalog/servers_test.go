package catalog_test

import (
	"errors"
	"testing"

	"homeroom/catalog"
)

func TestAClosedServerGetsNoNewDatabaseAndGivesItsSpares(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	for i, want := range []bool{true, false} {
		if changed, err := store.CloseServer(t.Context(), "main", "its disk is full"); err != nil || changed != want {
			t.Errorf("closing it, time %d: %v, %v", i+1, changed, err)
		}
	}
	if reservation, err := store.Reserve(t.Context(), reserveParams(1)); err != nil || reservation.Tenant.ID != id {
		t.Errorf("the spare: %+v, %v", reservation.Tenant, err)
	}
	if _, err := store.Reserve(t.Context(), reserveParams(2)); !errors.Is(err, catalog.ErrNoCapacity) {
		t.Errorf("a tenant to be built: %v", err)
	}
	if room, err := store.FreeCapacity(t.Context(), "main", 5); err != nil || room != 0 {
		t.Errorf("room for %d, %v", room, err)
	}
	servers, err := store.Servers(t.Context())
	if err != nil || servers[0].ClosedBecause == nil || *servers[0].ClosedBecause != "its disk is full" {
		t.Errorf("%+v, %v", servers, err)
	}
	if changed, err := store.OpenServer(t.Context(), "main"); err != nil || !changed {
		t.Errorf("opening it: %v, %v", changed, err)
	}
	if reservation, err := store.Reserve(t.Context(), reserveParams(2)); err != nil || reservation.Tenant.State != catalog.Building {
		t.Errorf("a tenant to be built: %+v, %v", reservation.Tenant, err)
	}
	if room, err := store.FreeCapacity(t.Context(), "main", 5); err != nil || room != 5 {
		t.Errorf("room for %d, %v", room, err)
	}
}
