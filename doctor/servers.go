package doctor

import (
	"context"
	"fmt"
	"slices"

	"homeroom/catalog"
	"homeroom/tenant"
)

// compareServers looks at what the servers show from outside.
func (e *examination) compareServers() {
	elsewhere := map[string]int{} // schools on servers that are not configured
	spares := map[string]int{}
	for id := range e.after.Tenants {
		t, steady := e.steady(id)
		if _, configured := e.cfg.Servers[t.Server]; !configured && steady && !leaving(t) {
			if t.State == catalog.Spare || t.Name == "" {
				spares[t.Server]++
			} else {
				elsewhere[t.Server]++
			}
		}
		if survey, looked := e.servers[t.Server]; looked && steady {
			e.compareOutside(t, survey)
		}
	}
	for server, n := range elsewhere {
		e.add(Finding{Code: ServerUnknown, Subject: server, Server: server, Detail: fmt.Sprintf("the catalog has %s on it, and it is not configured here", count(n, "school"))})
	}
	for server, n := range spares {
		e.add(Finding{Code: SpareOnUnknownServer, Subject: server, Server: server, Detail: fmt.Sprintf("the catalog has %s on it, and it is not configured here", count(n, "spare"))})
	}
	for server, survey := range e.servers {
		e.compareRoles(server, survey)
		e.compareTemplates(server, survey)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// compareOutside looks at a tenant's database and role from outside. What keeps others from being true is told alone.
func (e *examination) compareOutside(t catalog.SurveyedTenant, survey tenant.Survey) {
	db, exists := survey.Databases[t.Database]
	role, hasRole := survey.Roles[t.Database]
	switch {
	case beingMade(t):
		// A spare whose dropping was interrupted is made again, and stops half-way at what is left of it.
		if exists && db.Invalid && t.Name == "" && t.State == catalog.Building {
			e.add(e.dropInvalid(about(DatabaseInvalid, t, "its dropping was begun and interrupted; nobody had it yet"), t))
		}
	case !exists:
		finding := about(DatabaseMissing, t, fmt.Sprintf("the tenant is %s, and has no database", t.State))
		if t.State == catalog.Spare {
			finding.Severity, finding.Advice = Warning, "No school has it yet."
			finding = e.rebuild(finding, t)
		}
		e.add(finding)
	case db.MarkedAs != nil && db.MarkedAs.UUID() != t.ID:
		e.add(about(DatabaseForeign, t, "the database bears the mark of another tenant, "+db.MarkedAs.String()))
	case db.MarkedAs == nil && !db.Ours:
		e.add(about(DatabaseForeign, t, "a database of its name is there that Homeroom did not make"))
	case db.Invalid:
		finding := about(DatabaseInvalid, t, "its dropping was begun and interrupted; nothing of it can be opened any more")
		if t.State == catalog.Spare {
			finding = e.dropInvalid(finding, t)
		}
		e.add(finding)
	default:
		e.compareAccess(t, db, role, hasRole)
	}
}

// beingMade tells whether nothing can be expected of a tenant's database, since somebody makes, replaces or removes it.
func beingMade(t catalog.SurveyedTenant) bool {
	return t.State == catalog.Building || leaving(t) || t.ResumeState != nil && *t.ResumeState == catalog.Building ||
		t.QuarantineKind != nil && *t.QuarantineKind == catalog.BeingReplaced
}

// compareAccess looks at who may enter a database that is there and ours.
func (e *examination) compareAccess(t catalog.SurveyedTenant, db tenant.FoundDatabase, role tenant.FoundRole, hasRole bool) {
	for _, wrong := range []struct {
		code   Code
		is     bool
		detail string
	}{
		{DatabaseOwner, !db.Ours, "another role owns the database"},
		{DatabaseUnmarked, db.MarkedAs == nil, "the database has lost the comment that says whose it is"},
		{DatabaseClosed, !db.Open, "the database accepts no connections"},
		{RoleMissing, !hasRole, "the tenant's role is not there"},
		{RoleOutOfOrder, hasRole && !role.InOrder, roleDetail(role)},
		{DatabaseAccess, hasRole && !db.Access, "other roles than the tenant's have rights on the database, or the tenant's has too few or too many"},
	} {
		if wrong.is {
			e.add(e.ensure(about(wrong.code, t, wrong.detail), t))
		}
	}
}

func roleDetail(role tenant.FoundRole) string {
	if !role.Login {
		return "the tenant's role may not log in"
	}
	return "the tenant's role has other rights, memberships or settings than a tenant's"
}

// sound tells whether a tenant's database can be opened, as far as can be told from outside.
func sound(t catalog.SurveyedTenant, survey tenant.Survey) bool {
	db, ok := survey.Databases[t.Database]
	role, hasRole := survey.Roles[t.Database]
	return ok && hasRole && role.InOrder && db.Ours && db.Open && db.Access && !db.Invalid && db.MarkedAs != nil && db.MarkedAs.UUID() == t.ID
}

// compareRoles looks for roles that belong to nothing.
func (e *examination) compareRoles(server string, survey tenant.Survey) {
	for name := range survey.Roles {
		id, err := tenant.ParseDatabase(name)
		if _, hasDatabase := survey.Databases[name]; err != nil || hasDatabase || e.known(id.UUID()) || keptOf(survey, id) {
			continue
		}
		uid := id.UUID()
		finding := Finding{Code: RoleWithoutDatabase, Subject: name, Server: server, TenantID: &uid, Detail: "a tenant's role without a database and without a row"}
		e.add(e.dropRole(finding, id))
	}
}

func keptOf(survey tenant.Survey, id tenant.ID) bool {
	for _, kept := range survey.Kept {
		if kept.Tenant == id {
			return true
		}
	}
	return false
}

// compareTemplates tells of templates that are not used, and of databases that were set aside.
func (e *examination) compareTemplates(server string, survey tenant.Survey) {
	for _, template := range survey.Templates {
		finding := Finding{Code: TemplateOld, Subject: template.Name, Server: server}
		switch {
		case !template.Complete && template.Current:
			finding.Code, finding.Detail = TemplateIncomplete, "the template for new tenants is not complete"
			e.add(finding)
		case !template.Complete:
			finding.Code, finding.Detail = TemplateIncomplete, fmt.Sprintf("a template of schema version %d is not complete", template.Version)
			e.add(e.dropTemplate(finding))
		case !template.Current:
			finding.Detail = fmt.Sprintf("a template of schema version %d, which this program does not use", template.Version)
			e.add(e.dropTemplate(finding))
		}
	}
	for _, kept := range survey.Kept {
		id := kept.Tenant.UUID()
		e.add(Finding{
			Code: KeptDatabase, Subject: kept.Name, Server: server, TenantID: &id,
			Detail: "a database that was set aside on " + kept.At.Format("2 January 2006") + " when the tenant was given a new one",
		})
	}
}

// remark tells what is to be said about a server itself. That it cannot be told is no finding: the survey has just worked.
func (e *examination) remark(ctx context.Context, name string, server *tenant.Server) {
	if e.only != nil {
		return
	}
	remarks, err := server.Check(ctx, tenant.CheckOptions{})
	if err != nil {
		e.cfg.Logger.Warn("check a server", "server", name, "cause", err)
	}
	for _, remark := range remarks {
		if !slices.Contains(e.cfg.Tolerate, remark.Code) {
			e.add(Finding{Code: ServerRemark, Subject: remark.Code, Server: name, Detail: remark.What, Advice: remark.Mend})
		}
	}
}
