package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/postgres"
	"homeroom/migrations"
	"homeroom/tenant"
)

// inspect opens the selected databases.
func (e *examination) inspect(ctx context.Context) error {
	e.opened = e.databasesToOpen()
	references, err := e.cfg.Catalog.References(ctx, e.cfg.Servers.Migrations().Lineage())
	if err != nil {
		return err
	}
	e.references = map[uint]catalog.Reference{}
	for _, reference := range references {
		e.references[reference.Version] = reference
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.cfg.Concurrency)
	for _, t := range e.opened {
		group.Go(func() error {
			return e.inspectOne(ctx, e.cfg.Servers[t.Server], t)
		})
	}
	return group.Wait()
}

// databasesToOpen selects the tenants whose databases are opened: those without a problem from outside, which would
// explain the rest. The second pass opens only those for which the first had findings.
func (e *examination) databasesToOpen() []catalog.SurveyedTenant {
	if e.options.Open == 0 {
		return nil
	}
	var all []catalog.SurveyedTenant
	if e.previous != nil {
		for _, t := range e.previous.opened {
			if e.previous.hasFinding(t.ID) {
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
		return !looked || !inUse || e.only != nil && !e.only[t.ID] || !canBeOpened(t, survey)
	})
	slices.SortFunc(all, func(a, b catalog.SurveyedTenant) int { return slices.Compare(a.ID[:], b.ID[:]) })
	if e.options.Open < 0 || e.only != nil || e.previous != nil || len(all) <= e.options.Open {
		return all
	}
	return e.rotate(all)
}

// rotate returns the tenants that follow those of the last examination.
func (e *examination) rotate(all []catalog.SurveyedTenant) []catalog.SurveyedTenant {
	e.Doctor.mu.Lock()
	defer e.Doctor.mu.Unlock()
	from, _ := slices.BinarySearchFunc(all, e.Doctor.opened, func(t catalog.SurveyedTenant, last uuid.UUID) int {
		return cmp.Or(slices.Compare(t.ID[:], last[:]), -1)
	})
	batch := slices.Concat(all[from:], all[:from])[:e.options.Open]
	e.Doctor.opened = batch[len(batch)-1].ID
	return batch
}

// hasFinding reports whether a tenant has a finding.
func (e *examination) hasFinding(id uuid.UUID) bool {
	return e.suspect[id] || slices.ContainsFunc(e.findings, func(f Finding) bool { return f.TenantID != nil && *f.TenantID == id })
}

// inspectOne opens one database.
func (e *examination) inspectOne(ctx context.Context, server *tenant.Server, t catalog.SurveyedTenant) error {
	id := tenant.ID(t.ID)
	seen, err := server.Inspect(ctx, id, t.PasswordRotation)
	found := inspection{Inspection: seen, err: err}
	if err == nil && t.State == catalog.Spare {
		found.hasRows = e.hasRows(ctx, server, id)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, migrations.ErrNoSchema) {
		if found.schemaOwner, err = server.SchemaOwner(ctx, id); err != nil {
			found.err = err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspections[id.UUID()] = found
	return nil
}

// compareInspections checks the opened databases from inside. For the others it checks the catalog's record of the
// schema.
func (e *examination) compareInspections() {
	for id := range e.after.Tenants {
		t, steady := e.stableTenant(id)
		if !steady || e.only != nil && !e.only[id] {
			continue
		}
		seen, opened := e.inspections[id]
		switch {
		case opened && seen.err == nil:
			e.compareRights(t, seen)
			e.compareSchema(t, seen)
			if seen.hasRows && !e.migrationsWriteRows(t) {
				e.addSpareWithData(t, "its tables hold rows")
			}
		case opened && postgres.Unreachable(seen.err):
			e.add(Finding{Code: ServerUnreachable, Subject: t.Server, Server: t.Server, TenantID: &t.ID, Detail: reason(seen.err)})
		case opened && errors.Is(seen.err, migrations.ErrNoSchema):
			e.compareNoSchema(t, seen)
		case opened:
			e.add(about(DatabaseUnreadable, t, reason(seen.err)))
		case !e.exists(t): // this is the only finding
		case t.Lineage == e.cfg.Servers.Migrations().Lineage() && t.Fingerprint != nil && !beingMade(t) && t.State != catalog.Quarantined:
			if want := e.references[t.SchemaVersion].Fingerprint; want != "" && want != *t.Fingerprint {
				e.add(drift(t, *t.Fingerprint, fmt.Sprintf("when it was last inspected, its schema was not that of version %d", t.SchemaVersion)))
			}
		}
	}
}

// exists reports whether a tenant has a database, if its server was surveyed.
func (e *examination) exists(t catalog.SurveyedTenant) bool {
	survey, looked := e.servers[t.Server]
	_, ok := survey.Databases[t.Database]
	return ok || !looked
}

// compareFunctions reports functions that everybody may run in tenants' databases. They come from the template, so
// there is one finding for a whole server.
func (e *examination) compareFunctions() {
	findings := map[string]*Finding{}
	tenants, functions := map[string]int{}, map[string][]string{}
	for _, t := range e.opened {
		seen := e.inspections[t.ID]
		if len(seen.PublicFunctions) == 0 {
			continue
		}
		f := findings[t.Server]
		if f == nil {
			f = &Finding{Code: FunctionsOpen, Subject: t.Server, Server: t.Server}
			findings[t.Server] = f
		}
		tenants[t.Server]++
		e.suspect[t.ID] = true
		functions[t.Server] = append(functions[t.Server], seen.PublicFunctions...)
		if tenants[t.Server] <= maxSteps {
			*f = f.withSteps(asSuperuser(t.Database, tenant.RevokeFunctions))
		}
	}
	for server, f := range findings {
		names := slices.Compact(slices.Sorted(slices.Values(functions[server])))
		f.Detail = fmt.Sprintf("in the databases of %s PUBLIC may run %s", count(tenants[server], "tenant"), strings.Join(names, ", "))
		e.add(*f)
	}
}

// maxSteps limits the steps that are the same for many databases: the next examination reports the rest.
const maxSteps = 20

// compareRights checks whether the school has its rights in its database.
func (e *examination) compareRights(t catalog.SurveyedTenant, seen inspection) {
	switch {
	case !seen.CanLogin && t.State == catalog.Spare:
		e.add(e.ensureIdentity(about(SpareUnusable, t, "the spare's role cannot connect to it with the derived password"), t))
	case !seen.CanLogin:
		e.add(e.ensureIdentity(about(LoginRefused, t, "the tenant's role cannot connect to the database with the derived password"), t))
	}
	if !seen.Grants {
		e.add(e.ensure(about(GrantsMissing, t, "rights inside the database are missing or excessive"), t))
	}
}
