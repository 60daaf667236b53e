package signup_test

import (
	"errors"
	"math"
	"testing"

	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/signup"
	"homeroom/tenant"
)

// TestALowDiskStopsWhatNeedsDisk: claimed spares are still used, and nothing begins that could not be finished.
func TestALowDiskStopsWhatNeedsDisk(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	full, err := tenant.Open(tenant.Config{
		URL: secret.String(pgtest.Server(t).URL("postgres")), Key: key, MinFreeDisk: math.MaxInt64,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(full.Close)
	low := b.newService(t, func(c *signup.Config) {
		c.Servers, c.Spares = signup.TenantServers(tenant.Servers{"main": full}), 3
	})
	if err := low.RefillSpares(t.Context()); err != nil {
		t.Fatal(err)
	}
	if outcome, err := low.Begin(t.Context(), request()); err != nil || outcome.Result == nil {
		t.Errorf("with a spare: %+v, %v", outcome, err)
	}
	var unavailable *signup.Unavailable
	if _, err := low.Begin(t.Context(), request()); !errors.As(err, &unavailable) || unavailable.What != signup.Capacity {
		t.Errorf("without a spare: %v", err)
	}
	if n := len(b.auth0.Users()); n != 1 {
		t.Errorf("%d identities", n)
	}
	var rows int
	if err := b.catalog.Pool().QueryRow(t.Context(), "select count(*) from tenants where state <> 'ready'").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d tenants were begun, %v", rows, err)
	}

	if err := b.service.RefillSpares(t.Context()); err != nil { // the disk has free space again
		t.Fatal(err)
	}
	if outcome, err := b.service.Begin(t.Context(), request()); err != nil || outcome.Result == nil {
		t.Errorf("afterwards: %+v, %v", outcome, err)
	}
}
