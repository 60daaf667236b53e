package catalog_test

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
)

func TestTenantsAreListedInPages(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for n := range 7 {
		w := reserveParams(n)
		w.SchoolName, w.Slug = "School 100%", "school"
		reservation, err := store.Reserve(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		identity := catalog.Identity{ID: "auth0|" + w.UserID.String()}
		if err := store.Finish(t.Context(), reservation.Signup, identity, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	spare(t, store)
	var got []catalog.Tenant
	filter := catalog.Filter{Limit: 3}
	for pages := 1; ; pages++ {
		page, err := store.Tenants(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Rows...)
		if page.NextCursor == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		filter.Cursor = page.NextCursor
	}
	seen := map[uuid.UUID]bool{}
	for i, tenant := range got {
		seen[tenant.ID] = true
		if i > 0 && tenant.CreatedAt.After(got[i-1].CreatedAt) {
			t.Errorf("tenant %d is newer than the one before", i)
		}
	}
	if len(got) != 7 || len(seen) != 7 {
		t.Errorf("%d tenants, %d different; want the 7 schools", len(got), len(seen))
	}
	for name, c := range map[string]struct {
		filter catalog.Filter
		want   int
	}{
		"spares only where asked for":  {catalog.Filter{State: catalog.Spare}, 1},
		"a state":                      {catalog.Filter{State: catalog.Ready}, 7},
		"a part of the name, as it is": {catalog.Filter{Search: "100%"}, 7},
		"no wildcard of the caller's":  {catalog.Filter{Search: "s%l"}, 0},
		"a server":                     {catalog.Filter{Server: "elsewhere"}, 0},
		"a version":                    {catalog.Filter{Version: new(uint)}, 0},
	} {
		if page, err := store.Tenants(t.Context(), c.filter); err != nil || len(page.Rows) != c.want {
			t.Errorf("%s: %d tenants, %v; want %d", name, len(page.Rows), err, c.want)
		}
	}
	for _, cursor := range []string{"x", "!!!", "YQ"} {
		if _, err := store.Tenants(t.Context(), catalog.Filter{Cursor: cursor}); !errors.Is(err, catalog.ErrBadCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestTakeAllowance(t *testing.T) {
	t.Parallel()
	store := setup(t)
	five := catalog.Allowance{Count: 5, Window: time.Hour}
	for n := range 5 {
		grant, err := store.TakeAllowance(t.Context(), "one", five)
		if err != nil || !grant.Allowed || grant.Remaining != 4-n {
			t.Fatalf("take %d: %+v, %v", n+1, grant, err)
		}
	}
	grant, err := store.TakeAllowance(t.Context(), "one", five)
	if err != nil || grant.Allowed || grant.RetryAfter < 11*time.Minute || grant.RetryAfter > 12*time.Minute {
		t.Errorf("the sixth: %+v, %v; want a refusal for 12 minutes", grant, err)
	}
	if grant, err := store.TakeAllowance(t.Context(), "another", five); err != nil || !grant.Allowed {
		t.Errorf("another client: %+v, %v", grant, err)
	}
	exec(t, store, "update rate_limits set full_at = full_at - interval '13 minutes'")
	if grant, err := store.TakeAllowance(t.Context(), "one", five); err != nil || !grant.Allowed {
		t.Errorf("after 13 minutes: %+v, %v", grant, err)
	}
	if err := store.ReturnAllowances(t.Context(), []catalog.Limit{{Key: "one", Allowance: five}}); err != nil {
		t.Fatal(err)
	}
	if grant, err := store.TakeAllowance(t.Context(), "one", five); err != nil || !grant.Allowed {
		t.Errorf("one that was returned: %+v, %v", grant, err)
	}
	if grant, err := store.TakeAllowance(t.Context(), "one", five); err != nil || grant.Allowed {
		t.Errorf("one more than was returned: %+v, %v", grant, err)
	}
}

func TestTakeAllowancesTakesOneOfEachOrNone(t *testing.T) {
	t.Parallel()
	store := setup(t)
	limits := []catalog.Limit{
		{Key: "wide", Allowance: catalog.Allowance{Count: 20, Window: 24 * time.Hour}},
		{Key: "narrow", Allowance: catalog.Allowance{Count: 5, Window: 24 * time.Hour}},
	}
	var allowed atomic.Int32
	var group errgroup.Group
	for range 12 {
		group.Go(func() error {
			grants, err := store.TakeAllowances(t.Context(), limits)
			if err == nil && grants[0].Allowed && grants[1].Allowed {
				allowed.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil || allowed.Load() != 5 {
		t.Fatalf("%d of 12 at once are allowed, %v; want 5", allowed.Load(), err)
	}
	grants, err := store.TakeAllowances(t.Context(), limits)
	if err != nil || !grants[0].Allowed || grants[0].Remaining != 15 || grants[1].Allowed || grants[1].RetryAfter < 4*time.Hour {
		t.Errorf("%+v, %v; want a refusal of the narrow one, and 15 left of the wide one", grants, err)
	}
}
