package signup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/tenant"
)

// A claimed spare is checked on its server before an identity names it. The catalog's row says that no school has ever
// had the spare (see the package catalog). This check says that its database exists, and that the server agrees.

// maxReplacements is how many claimed spares in a row are replaced before the sign-up is retried later.
const maxReplacements = 3

// ensureSpare checks that the sign-up can get the spare that it has claimed, and replaces a spare that it cannot get.
// Once an identity may name the tenant, nothing is replaced: the provisioning step then ensures the database, or the
// sign-up needs an operator when somebody else uses the database.
func (s *Service) ensureSpare(ctx context.Context, j *job, named bool) error {
	if j.signup.Kind != catalog.School || j.tenant.State != catalog.Reserved {
		return nil
	}
	reservation := s.tenantReservation(j.signup.SchoolName)
	for range maxReplacements {
		err := s.checkSpare(ctx, j)
		switch {
		case err == nil:
			return nil
		case named && errors.Is(err, tenant.ErrInUse):
			return s.leaveToOperator(ctx, j, err)
		case named:
			j.ensureDatabase = true
			return nil
		}
		s.cfg.Logger.Error("a claimed spare cannot be given to a school; taking another", "signup", j.signup.ID,
			"tenant", j.tenant.ID, "server", j.tenant.Server, "error", err)
		if !errors.Is(err, tenant.ErrMissing) && !errors.Is(err, tenant.ErrUnmanaged) && !errors.Is(err, tenant.ErrInUse) {
			away := j.tenant.Server // the server does not answer
			reservation.Servers = slices.DeleteFunc(slices.Clone(reservation.Servers), func(name string) bool { return name == away })
		}
		replaced, err := s.cfg.Catalog.ReplaceTenant(ctx, j.signup, reservation)
		if errors.Is(err, catalog.ErrNoCapacity) {
			j.ensureDatabase = true // when its server answers again
			return nil
		}
		if err != nil {
			return s.unavailable(err)
		}
		killpoint.Here("signup.tenant_replaced")
		j.tenant, j.signup.TenantID = replaced, &replaced.ID
		if j.tenant.State != catalog.Reserved {
			return nil // its database is built for this sign-up
		}
	}
	return s.unavailable(fmt.Errorf("sign-up %s: %d spares in a row could not be used", j.signup.ID, maxReplacements))
}

func (s *Service) checkSpare(ctx context.Context, j *job) error {
	server, err := s.cfg.Servers.Get(j.tenant.Server)
	if err != nil {
		return err
	}
	return server.CheckSpare(ctx, tenant.ID(j.tenant.ID), j.signup.ID.String())
}

// discardRetries remembers the spares that could not be discarded, so that they are not tried again at once.
type discardRetries struct {
	mu      sync.Mutex
	retryAt map[uuid.UUID]time.Time
}

// discardRetryInterval is how long after a failure the service tries to discard a spare again.
const discardRetryInterval = 10 * time.Minute

func (d *discardRetries) due(id uuid.UUID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, failed := d.retryAt[id]
	return !failed || time.Now().After(at)
}

func (d *discardRetries) failed(id uuid.UUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.retryAt == nil {
		d.retryAt = map[uuid.UUID]time.Time{}
	}
	d.retryAt[id] = time.Now().Add(discardRetryInterval)
}

// markBatch is how many databases of a server markNewTenants marks at most in one call.
const markBatch = 500

// markNewTenants marks the databases of new schools as in use, on their servers. A catalog that is restored from an older
// backup then cannot give such a database to another school.
func (s *Service) markNewTenants(ctx context.Context) (all error) {
	for _, name := range s.cfg.Servers.Names() {
		if err := s.markTenants(ctx, name); err != nil {
			all = errors.Join(all, err)
		}
	}
	return all
}

func (s *Service) markTenants(ctx context.Context, name string) error {
	unmarked, err := s.cfg.Catalog.UnmarkedTenants(ctx, name, markBatch)
	if err != nil || len(unmarked) == 0 {
		return err
	}
	server, err := s.cfg.Servers.Get(name)
	if err != nil {
		return err
	}
	holders := make(map[tenant.ID]string, len(unmarked))
	for _, row := range unmarked {
		holders[tenant.ID(row.ID)] = row.SignupID.String()
	}
	marked, err := server.MarkInUse(ctx, holders)
	if err != nil || len(marked) == 0 {
		return err
	}
	killpoint.Here("signup.tenants_marked")
	ids := make([]uuid.UUID, len(marked))
	for i, id := range marked {
		ids[i] = id.UUID()
	}
	return s.cfg.Catalog.TenantsMarked(ctx, ids)
}
