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

// inspect opens the databases whose turn it is.
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

// turn chooses the tenants whose databases are opened: those that look sound from outside, since of the others that says
// enough. The second pass opens only those that the first had something to say about.
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

// rotate takes the tenants that come after those of the last examination.
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

// hasFinding reports whether anything was found about a tenant.
func (e *examination) hasFinding(id uuid.UUID) bool {
	return e.suspect[id] || slices.ContainsFunc(e.findings, func(f Finding) bool { return f.TenantID != nil && *f.TenantID == id })
}

// inspectOne looks into one database.
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

// compareInspections looks at what the databases show from inside. Of the others the catalog's memory of the schema is compared.
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
		case !e.exists(t): // that is the only finding
		case t.Lineage == e.cfg.Servers.Migrations().Lineage() && t.Fingerprint != nil && !beingMade(t) && t.State != catalog.Quarantined:
			if want := e.references[t.SchemaVersion].Fingerprint; want != "" && want != *t.Fingerprint {
				e.add(drift(t, *t.Fingerprint, fmt.Sprintf("when it was last looked at, its schema was not that of version %d", t.SchemaVersion)))
			}
		}
	}
}

// exists reports whether a tenant has a database, as far as its server was looked at.
func (e *examination) exists(t catalog.SurveyedTenant) bool {
	survey, looked := e.servers[t.Server]
	_, ok := survey.Databases[t.Database]
	return ok || !looked
}

// compareFunctions tells of the functions that everybody may run in tenants' databases. They come with the template, so it is one
// finding for all of a server.
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
		f.Detail = fmt.Sprintf("in the databases of %s everybody may run %s", count(tenants[server], "tenant"), strings.Join(names, ", "))
		e.add(*f)
	}
}

// maxSteps bounds the steps that are the same for many databases: the next examination tells of the rest.
const maxSteps = 20

// compareRights looks at whether the school can work in its database.
func (e *examination) compareRights(t catalog.SurveyedTenant, seen inspection) {
	switch {
	case !seen.CanLogin && t.State == catalog.Spare:
		e.add(e.ensureIdentity(about(SpareUnusable, t, "the spare's role cannot enter it with the derived password"), t))
	case !seen.CanLogin:
		e.add(e.ensureIdentity(about(LoginRefused, t, "the tenant's role cannot enter the database with the derived password"), t))
	}
	if !seen.Grants {
		e.add(e.ensure(about(GrantsMissing, t, "rights inside the database are not as they should be"), t))
	}
}
