package doctor

import (
	"context"
	"slices"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// addSpareWithData tells of a spare that somebody seems to have. While it can be claimed, the next school would be given it.
func (e *examination) addSpareWithData(t catalog.SurveyedTenant, detail string) {
	if !t.Claimable {
		finding := about(SpareWithData, t, "a spare that no school is given any more seems to be somebody's: "+detail)
		finding.Severity = Warning
		e.add(finding)
		return
	}
	finding := about(SpareWithData, t, "the next school would be given a spare that seems to be somebody's: "+detail)
	e.add(finding.withSteps(repairTenant(t)).withRepair("take it out of the stock, with all that is in it", "withdraw "+t.Database, func(ctx context.Context) error {
		return e.cfg.Catalog.MakeUnclaimable(ctx, t.ID)
	}))
}

// hasRows reports whether a spare holds rows. What it cannot read it does not judge.
func (e *examination) hasRows(ctx context.Context, server *tenant.Server, id tenant.ID) bool {
	empty, err := server.Empty(ctx, id)
	if err != nil && ctx.Err() == nil {
		e.cfg.Logger.Warn("look whether a spare is empty", "database", id.Database(), "error", err)
	}
	return err == nil && !empty
}

// migrationsWriteRows reports whether the rows of a spare may be written by the migrations themselves. Homeroom's own write none; where others
// do, no spare of the server is empty.
func (e *examination) migrationsWriteRows(t catalog.SurveyedTenant) bool {
	if t.Lineage == migrations.Tenant().Lineage() {
		return false
	}
	first := e
	if e.previous != nil { // the second pass opens only what the first has told of
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

// dropDuplicates leaves out that a spare holds data where another finding says whose it is, and nothing is left to be done about the
// spare besides.
func (e *examination) dropDuplicates() {
	all := slices.Clone(e.findings)
	e.findings = slices.DeleteFunc(e.findings, func(f Finding) bool {
		return f.Code == SpareWithData && slices.ContainsFunc(all, func(g Finding) bool {
			says := g.Code == LostSchool || g.Code == UserWithoutTenant
			return says && equal(g.TenantID, f.TenantID) && (g.Fix != "" || f.Fix == "")
		})
	})
}
