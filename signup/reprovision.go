package signup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/killpoint"
	"homeroom/migrations"
	"homeroom/tenant"
)

// ReprovisionRequest is an operator's request to run every provisioning step of a tenant again.
type ReprovisionRequest struct {
	// Tenant is the tenant's id, slug or database.
	Tenant string
	// Fresh archives the old database and creates a new one. It requires Confirm to be the slug.
	Fresh   bool
	Confirm string
	// By is who requests it, for the audit log.
	By catalog.Actor
}

// Reprovision accepts the request. A job that calls [Service.RunReprovision] does the work, and the tenant's steps show
// the progress. archive is the name that the old database will have, if any.
//
// It fails with [catalog.ErrNotFound], [ErrWrongConfirmation], [ErrNotProvisioned] or [ErrOtherSchema].
func (s *Service) Reprovision(ctx context.Context, request ReprovisionRequest) (t catalog.Tenant, archive string, err error) {
	t, archive, err = s.checkReprovision(ctx, request)
	if err != nil {
		return catalog.Tenant{}, "", err
	}
	t.Steps = json.RawMessage(`[]`)
	if archive != "" {
		t.State = catalog.Quarantined
	}
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error {
		if err := s.cfg.Catalog.SetStepsTx(ctx, tx, t.ID, t.Steps); err != nil {
			return err
		}
		if err := s.beginTx(ctx, tx, request, t, archive); err != nil {
			return err
		}
		return s.cfg.Queue.ReprovisionTx(ctx, tx, t.ID, archive)
	})
	killpoint.Here("reprovision.accepted")
	return t, archive, err
}

// ReprovisionNow is [Service.Reprovision] in the foreground. It reports each step.
func (s *Service) ReprovisionNow(ctx context.Context, request ReprovisionRequest, progress tenant.Progress) (t catalog.Tenant, archive string, err error) {
	t, archive, err = s.checkReprovision(ctx, request)
	if err != nil {
		return t, "", err
	}
	err = s.cfg.Catalog.InTx(ctx, func(tx pgx.Tx) error { return s.beginTx(ctx, tx, request, t, archive) })
	if err != nil {
		return t, archive, err
	}
	return t, archive, s.reprovision(ctx, t.ID, archive, progress)
}

// checkReprovision finds the tenant and validates the request.
func (s *Service) checkReprovision(ctx context.Context, request ReprovisionRequest) (t catalog.Tenant, archive string, err error) {
	t, err = s.cfg.Catalog.Tenant(ctx, request.Tenant)
	if err != nil {
		return t, "", err
	}
	switch t.State {
	case catalog.Building, catalog.Deleting, catalog.Deleted:
		return t, "", fmt.Errorf("tenant %s is %s: %w", t.ID, t.State, ErrNotProvisioned)
	}
	if err := s.checkLineage(t); err != nil {
		return t, "", err
	}
	if !request.Fresh {
		return t, "", nil
	}
	if request.Confirm == "" || request.Confirm != t.Slug {
		return t, "", ErrWrongConfirmation
	}
	return t, tenant.ArchiveName(tenant.ID(t.ID), time.Now()), nil
}

// checkLineage fails if another set of migrations than this program's has made the tenant's schema.
func (s *Service) checkLineage(t catalog.Tenant) error {
	if t.Lineage == s.cfg.Servers.Migrations().Lineage() {
		return nil
	}
	return fmt.Errorf("tenant %s: %w: look at %s", t.ID, ErrOtherSchema, s.cfg.Settings.Of("TenantMigrations"))
}

// beginTx records the request. A tenant whose database will be archived is quarantined until it has the new one. A
// crash in between leaves it quarantined, and another reprovisioning repairs it.
func (s *Service) beginTx(ctx context.Context, tx pgx.Tx, request ReprovisionRequest, t catalog.Tenant, archive string) error {
	if archive != "" {
		cause := "its database is being set aside as " + archive + " for a new one; if that has stopped, reprovision it once more"
		if err := s.cfg.Catalog.QuarantineTx(ctx, tx, t.ID, catalog.BeingReplaced, cause); err != nil {
			return err
		}
	}
	return s.cfg.Catalog.RecordTx(ctx, tx, catalog.NewEvent(request.By, "tenant.reprovision").About(&t.ID, nil).With(
		map[string]any{"fresh": request.Fresh, "kept": archive}))
}

// RunReprovision does the work that Reprovision accepted. Another call after a crash continues where the first stopped:
// an archived database stays archived.
func (s *Service) RunReprovision(ctx context.Context, id uuid.UUID, archive string) error {
	return s.reprovision(ctx, id, archive, func(steps []tenant.Step) {
		text, err := json.Marshal(steps)
		if err == nil {
			err = s.cfg.Catalog.SetSteps(ctx, id, text)
		}
		if err != nil {
			s.cfg.Logger.Warn("record steps of a tenant", "tenant", id, "error", err)
		}
	})
}

func (s *Service) reprovision(ctx context.Context, id uuid.UUID, archive string, progress tenant.Progress) error {
	t, err := s.cfg.Catalog.TenantByID(ctx, id)
	if err != nil {
		return err
	}
	if err := s.checkLineage(t); err != nil {
		return err
	}
	server, err := s.cfg.Servers.Get(t.Server)
	if err != nil {
		return err
	}
	killpoint.Here("reprovision.begun")
	if archive != "" {
		if err := server.Archive(ctx, tenant.ID(id), archive); err != nil {
			return err
		}
		killpoint.Here("reprovision.set_aside")
	}
	result, err := server.Ensure(ctx, tenant.ID(id), t.PasswordRotation, progress)
	killpoint.Here("reprovision.ensured")
	if err == nil {
		err = s.cfg.Catalog.MarkHealthy(ctx, id, healthOf(result))
		killpoint.Here("reprovision.healthy")
		return err
	}
	if NeedsOperator(err) {
		err = errors.Join(err, s.cfg.Catalog.Quarantine(ctx, id, quarantineKind(err), err.Error()))
		killpoint.Here("reprovision.quarantined")
	}
	return err
}

// healthOf returns what the catalog stores about a tenant after provisioning.
func healthOf(result tenant.Result) catalog.Health {
	return catalog.Health{Version: result.Version, Fingerprint: result.Fingerprint}
}

// quarantineKind returns the kind of a quarantine with this cause.
func quarantineKind(err error) catalog.QuarantineKind {
	var migration *migrations.Error
	var state *migrations.StateError
	switch {
	case errors.As(err, &migration):
		return catalog.MigrationFailed
	case errors.As(err, &state):
		return catalog.SchemaUnknown
	}
	return catalog.DatabaseUnusable
}

// NeedsOperator reports whether a failure of provisioning cannot be repaired by a retry.
func NeedsOperator(err error) bool {
	var migration *migrations.Error
	var state *migrations.StateError
	return errors.Is(err, tenant.ErrUnmanaged) || errors.Is(err, tenant.ErrInvalid) || errors.As(err, &migration) || errors.As(err, &state)
}
