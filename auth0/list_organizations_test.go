package auth0_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"homeroom/identity"
	"homeroom/internal/flaky"
)

func TestManagedOrganizationsAreListed(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln")
	if _, err := client.Assign(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for i := range 240 {
		metadata := map[string]string{"tenant_id": fmt.Sprint("tenant ", i)}
		if i%3 == 0 {
			metadata = nil // an unmanaged one
		}
		if _, err := tenant.SeedOrganization(fmt.Sprint("school-", i), metadata); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (map[string]identity.Organization, error) {
		listed := map[string]identity.Organization{}
		err := client.ListOrganizations(t.Context(), func(o identity.Organization) error {
			if _, twice := listed[o.TenantID]; twice {
				t.Errorf("%s is listed twice", o.Name)
			}
			listed[o.TenantID] = o
			return nil
		})
		return listed, err
	}
	for _, kind := range []flaky.Kind{"", flaky.LostAnswer, flaky.Truncated, flaky.StatusBefore} {
		if kind != "" {
			tenant.Inject(flaky.Fault{Method: "GET", Path: "/api/v2/organizations", Skip: 1, Kind: kind})
		}
		listed, err := list()
		if err != nil || len(listed) != 161 {
			t.Fatalf("%s: %d are listed, %v; want ours", kind, len(listed), err)
		}
		if o := listed[e.TenantID.String()]; o.SignupID != e.SignupID.String() || o.Name != "lincoln" {
			t.Errorf("the assigned organization is listed as %+v", o)
		}
	}
	tenant.Inject(flaky.Fault{Method: "GET", Path: "/api/v2/organizations", Skip: 1, Kind: flaky.StatusBefore, Times: -1})
	if _, err := list(); !identity.Temporary(err) {
		t.Errorf("an incomplete list: %v; want a temporary error", err)
	}
	tenant.ClearFaults()
	stop := errors.New("enough")
	if err := client.ListOrganizations(t.Context(), func(identity.Organization) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("error is %v, want the one that ended the list, unchanged", err)
	}
}

func TestOnlyAnEmptyOrganizationIsRemoved(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln")
	place, err := client.Assign(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	managed := identity.Organization{ID: place.OrganizationID, TenantID: e.TenantID.String()}
	if gone, err := client.RemoveEmptyOrganization(t.Context(), managed); gone || err != nil {
		t.Errorf("one with members: %v, %v", gone, err)
	}
	if err := client.Delete(context.WithoutCancel(t.Context()), e.OurID); err != nil {
		t.Fatal(err)
	}
	if empty, err := client.OrganizationEmpty(t.Context(), managed.ID); !empty || err != nil {
		t.Errorf("deserted: %v, %v", empty, err)
	}
	other := managed
	other.TenantID = "another"
	if gone, err := client.RemoveEmptyOrganization(t.Context(), other); gone || err != nil || len(tenant.Organizations()) != 1 {
		t.Errorf("one that belongs to another tenant now: %v, %v", gone, err)
	}
	for range 2 {
		if gone, err := client.RemoveEmptyOrganization(t.Context(), managed); !gone || err != nil || len(tenant.Organizations()) != 0 {
			t.Errorf("removed: %v, %v", gone, err)
		}
	}
}

func TestWithoutOrganizationsThereAreNone(t *testing.T) {
	t.Parallel()
	client, recorded := newRecordingClient(t, startTenant(t), withRoles)
	err := client.ListOrganizations(t.Context(), func(o identity.Organization) error {
		t.Errorf("%+v is listed", o)
		return nil
	})
	if err != nil || len(recorded.requests) != 0 {
		t.Errorf("%v, after %d requests", err, len(recorded.requests))
	}
}
