package doctor

import (
	"context"
	"slices"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// addSpareWithData reports a spare that somebody seems to use. While it can be claimed, the next school would get it.
func (e *examination) addSpareWithData(t catalog.SurveyedTenant, detail string) {
	if !t.Claimable {
		finding := about(SpareWithData, t, "a spare that cannot be claimed seems to be in use: "+detail)
		finding.Severity = Warning
		e.add(finding)
		return
	}
	finding := about(SpareWithData, t, "the next school would get a spare that seems to be in use: "+detail)
	e.add(finding.withSteps(repairTenant(t)).withRepair("quarantine it, with all its data", "withdraw "+t.Database, func(ctx context.Context) error {
		return e.cfg.Catalog.MakeUnclaimable(ctx, t.ID)
	}))
}

// hasRows reports whether a spare holds rows. It returns false if that cannot be read.
func (e *examination) hasRows(ctx context.Context, server *tenant.Server, id tenant.ID) bool {
	empty, err := server.Empty(ctx, id)
	if err != nil && ctx.Err() == nil {
		e.cfg.Logger.Warn("check whether a spare is empty", "database", id.Database(), "error", err)
	}
	return err == nil && !empty
}

// migrationsWriteRows reports whether the migrations themselves may have written the rows of a spare. Homeroom's own
// write none; if others do, every spare of the server has rows.
func (e *examination) migrationsWriteRows(t catalog.SurveyedTenant) bool {
	if t.Lineage == migrations.Tenant().Lineage() {
		return false
	}
	first := e
	if e.previous != nil { // the second pass opens only databases with findings of the first
		first = e.previous
	}
	for id, seen := range first.inspections {
		other := first.before.Tenants[id]
		if other.State == catalog.Spare && other.Server == t.Server && other.Lineage == t.Lineage && seen.err == nil && !seen.hasRows {
			return false
		}
	}
	return true
}

// dropDuplicates removes the finding that a spare holds data if another finding says whose it is, and nothing else is
// left to do about the spare.
func (e *examination) dropDuplicates() {
	all := slices.Clone(e.findings)
	e.findings = slices.DeleteFunc(e.findings, func(f Finding) bool {
		return f.Code == SpareWithData && slices.ContainsFunc(all, func(g Finding) bool {
			says := g.Code == LostSchool || g.Code == UserWithoutTenant
			return says && equal(g.TenantID, f.TenantID) && (g.Fix != "" || f.Fix == "")
		})
	})
}
