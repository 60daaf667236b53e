package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/migrations"
	"homeroom/tenant"
)

// inspect opens the databases whose turn it is.
func (e *examination) inspect(ctx context.Context) error {
	e.opened = e.turn()
	references, err := e.cfg.Catalog.References(ctx, e.cfg.Servers.Migrations().Lineage())
	if err != nil {
		return err
	}
	e.references = map[uint]string{}
	for _, reference := range references {
		e.references[reference.Version] = reference.Fingerprint
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.cfg.Concurrency)
	for _, t := range e.opened {
		group.Go(func() error {
			return e.inspectOne(ctx, e.cfg.Servers[t.Server], tenant.ID(t.ID), t.PasswordRotation)
		})
	}
	return group.Wait()
}

// turn chooses the tenants whose databases are opened: those that look sound from outside, since of the others that says
// enough. The second look opens only those that the first had something to say about.
func (e *examination) turn() []catalog.SurveyedTenant {
	if e.options.Open == 0 {
		return nil
	}
	var all []catalog.SurveyedTenant
	if e.former != nil {
		for _, t := range e.former.opened {
			if e.former.accused(t.ID) {
				all = append(all, e.before.Tenants[t.ID])
			}
		}
	} else {
		for _, t := range e.before.Tenants {
			all = append(all, t)
		}
	}
	all = slices.DeleteFunc(all, func(t catalog.SurveyedTenant) bool {
		survey, looked := e.servers[t.Server]
		inUse := t.State == catalog.Spare || t.State == catalog.Reserved || t.State == catalog.Ready || t.State == catalog.Suspended
		return !looked || !inUse || e.only != nil && !e.only[t.ID] || !sound(t, survey)
	})
	slices.SortFunc(all, func(a, b catalog.SurveyedTenant) int { return slices.Compare(a.ID[:], b.ID[:]) })
	if e.options.Open < 0 || e.only != nil || e.former != nil || len(all) <= e.options.Open {
		return all
	}
	return e.rotate(all)
}

// rotate takes the tenants that come after those of the last examination.
func (e *examination) rotate(all []catalog.SurveyedTenant) []catalog.SurveyedTenant {
	e.Doctor.mu.Lock()
	defer e.Doctor.mu.Unlock()
	from, _ := slices.BinarySearchFunc(all, e.Doctor.opened, func(t catalog.SurveyedTenant, last uuid.UUID) int {
		return cmp.Or(slices.Compare(t.ID[:], last[:]), -1)
	})
	turn := slices.Concat(all[from:], all[:from])[:e.options.Open]
	e.Doctor.opened = turn[len(turn)-1].ID
	return turn
}

// accused tells whether anything was found about a tenant.
func (e *examination) accused(id uuid.UUID) bool {
	return slices.ContainsFunc(e.findings, func(f Finding) bool { return f.TenantID != nil && *f.TenantID == id })
}

// inspectOne looks into one database.
func (e *examination) inspectOne(ctx context.Context, server *tenant.Server, id tenant.ID, rotation int) error {
	seen, err := server.Inspect(ctx, id, rotation)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspections[id.UUID()] = inspection{Inspection: seen, err: err}
	return nil
}

// compareInside looks at what the databases show from inside. Of the others the catalog's memory of the schema is compared.
func (e *examination) compareInside() {
	for id := range e.after.Tenants {
		t, steady := e.steady(id)
		if !steady || e.only != nil && !e.only[id] {
			continue
		}
		seen, opened := e.inspections[id]
		switch {
		case opened && seen.err == nil:
			e.compareRights(t, seen)
			e.compareSchema(t, seen)
		case opened && postgres.Unreachable(seen.err):
			e.add(Finding{Code: ServerUnreachable, Subject: t.Server, Server: t.Server, TenantID: &t.ID, Detail: reason(seen.err)})
		case opened:
			e.add(about(DatabaseUnreadable, t, reason(seen.err)))
		case t.Lineage == e.cfg.Servers.Migrations().Lineage() && t.Fingerprint != nil && !beingMade(t) && t.State != catalog.Quarantined:
			if want := e.references[t.SchemaVersion]; want != "" && want != *t.Fingerprint {
				e.add(about(SchemaDrift, t, fmt.Sprintf("when it was last looked at, its schema was not that of version %d", t.SchemaVersion)))
			}
		}
	}
}

// compareRights looks at whether the school can work in its database.
func (e *examination) compareRights(t catalog.SurveyedTenant, seen inspection) {
	switch {
	case !seen.Login && t.State == catalog.Spare:
		e.add(e.ensure(about(SpareUnusable, t, "the spare's role cannot enter it with the derived password"), t))
	case !seen.Login:
		e.add(e.ensure(about(LoginRefused, t, "the tenant's role cannot enter the database with the derived password"), t))
	}
	if !seen.Grants {
		e.add(e.ensure(about(GrantsMissing, t, "rights inside the database are not as they should be"), t))
	}
}

// compareSchema looks at whether the schema is what the catalog says, and what its version should be. Of other migrations'
// versions nothing can be said. While a run over the fleet is open, databases are ahead of their rows.
func (e *examination) compareSchema(t catalog.SurveyedTenant, seen inspection) {
	if t.Lineage != e.cfg.Servers.Migrations().Lineage() || e.before.Migrating || e.after.Migrating {
		return
	}
	fingerprint := seen.Schema.Fingerprint()
	want, known := e.references[seen.Status.Version]
	switch {
	case !trustworthy(seen.Status):
		e.add(about(SchemaUnclear, t, fmt.Sprintf("the schema is %s at version %d", seen.Status.State, seen.Status.Version)))
	case seen.Status.Version != t.SchemaVersion:
		detail := fmt.Sprintf("the catalog says version %d, the database has %d", t.SchemaVersion, seen.Status.Version)
		e.add(e.recordHealth(about(VersionDiffers, t, detail), t))
	case known && fingerprint != want:
		e.add(about(SchemaDrift, t, fmt.Sprintf("its schema is not that of version %d", t.SchemaVersion)))
	case t.Fingerprint != nil && fingerprint != *t.Fingerprint:
		e.add(e.recordHealth(about(FingerprintDiffers, t, "its schema is not what the catalog remembers"), t))
	}
}

// trustworthy tells whether the version that a database records can be believed.
func trustworthy(status migrations.Status) bool {
	return status.State == migrations.Current || status.State == migrations.Behind || status.State == migrations.Ahead
}
