package doctor

import (
	"fmt"
	"slices"
	"strings"

	"homeroom/catalog"
	"homeroom/tenant"
)

// compareDatabase checks a tenant's database and role from outside. A problem that causes others is the only finding.
func (e *examination) compareDatabase(t catalog.SurveyedTenant, survey tenant.Survey) {
	db, exists := survey.Databases[t.Database]
	role, hasRole := survey.Roles[t.Database]
	switch {
	case t.State == catalog.Deleted:
	case exists && isUnmanaged(t, db):
		e.compareUnmanaged(t, db)
	case beingMade(t):
		e.compareUnfinished(t, db, exists)
	case !exists:
		e.compareMissing(t)
	case db.Invalid:
		finding := about(DatabaseInvalid, t, "its DROP was interrupted; it cannot be opened any more")
		if t.State == catalog.Spare {
			finding = e.dropInvalid(finding, t)
		} else {
			finding = finding.withSteps(reprovisionStep(t, true))
		}
		e.add(finding)
	default:
		e.compareAccess(t, db, role, hasRole)
		if t.State == catalog.Spare && db.InUse != "" {
			e.addSpareWithData(t, fmt.Sprintf("it is marked as %q", db.InUse))
		}
	}
}

// isUnmanaged reports whether the database with a tenant's name belongs to somebody else.
func isUnmanaged(t catalog.SurveyedTenant, db tenant.FoundDatabase) bool {
	return db.MarkedAs != nil && db.MarkedAs.UUID() != t.ID || db.MarkedAs == nil && !db.Ours
}

// compareUnmanaged reports a database that has a tenant's name and is not the tenant's. That it blocks the tenant's
// creation matters as much as that a school cannot use it.
func (e *examination) compareUnmanaged(t catalog.SurveyedTenant, db tenant.FoundDatabase) {
	finding := about(DatabaseUnmanaged, t, "a database with its name exists that Homeroom did not create")
	if db.MarkedAs != nil {
		finding.Detail = "the database has the comment of another tenant, " + db.MarkedAs.String()
		finding = finding.withSteps(asOwner(maintenanceDatabase, "comment on database "+t.Database+" is null").withCondition("If it is nevertheless this tenant's"),
			repairTenant(t).withCondition("And then"))
	} else {
		finding = finding.withSteps(asSuperuser(maintenanceDatabase, fmt.Sprintf("alter database %s rename to %s_foreign", t.Database, t.Database)))
	}
	switch {
	case beingMade(t) && t.Name == "":
		finding.Severity, finding.Advice = Warning, "The refiller cannot continue. Find out who created it, and rename it."
	case db.MarkedAs == nil:
		finding = finding.withSteps(reprovisionStep(t, false))
	}
	e.add(finding)
}

// reprovisionStep returns the command that gives a tenant a new, empty database.
func reprovisionStep(t catalog.SurveyedTenant, fresh bool) Step {
	line := "tenant reprovision " + t.Database
	if fresh {
		line += " --fresh --confirm " + t.Slug
	}
	return command("Create a new, empty database for it", line)
}

// compareUnfinished checks a tenant whose database is being built, replaced or removed.
func (e *examination) compareUnfinished(t catalog.SurveyedTenant, db tenant.FoundDatabase, exists bool) {
	spare := t.State == catalog.Building && t.Name == ""
	switch {
	case spare && exists && db.Invalid:
		// A spare whose DROP was interrupted is built again, and the rest of the old database blocks that.
		e.add(e.dropInvalid(about(DatabaseInvalid, t, "its DROP was interrupted; no school has had it yet"), t))
	case spare && t.Unfinished:
		e.add(about(SpareUnfinished, t, "it has been under construction for more than three minutes"))
	}
}

// compareMissing reports a tenant without a database. The comment of a renamed one still names the tenant.
func (e *examination) compareMissing(t catalog.SurveyedTenant) {
	name, renamed := e.renamed[t.Server][tenant.ID(t.ID)]
	if renamed && t.State != catalog.Spare { // a spare is built again in any case
		e.add(about(DatabaseRenamed, t, fmt.Sprintf("its database has been renamed: the comment of %q says that it is this tenant's", name)).
			withSteps(asSuperuser(maintenanceDatabase, fmt.Sprintf("alter database %s rename to %s", quote(name), t.Database))))
		return
	}
	finding := about(DatabaseMissing, t, fmt.Sprintf("the tenant is %s, and has no database", t.State))
	if t.State == catalog.Spare {
		finding.Severity, finding.Advice = Warning, "No school has it yet."
		finding = e.rebuild(finding, t)
	} else {
		finding = finding.withSteps(reprovisionStep(t, false).withCondition("If there is no backup"))
	}
	e.add(finding)
}

// beingMade reports whether a tenant's database need not exist, because a process builds, replaces or removes it.
func beingMade(t catalog.SurveyedTenant) bool {
	return t.State == catalog.Building || beingDeleted(t) || t.ResumeState != nil && *t.ResumeState == catalog.Building ||
		t.QuarantineKind != nil && *t.QuarantineKind == catalog.BeingReplaced
}

// compareAccess checks who may connect to a tenant's database.
func (e *examination) compareAccess(t catalog.SurveyedTenant, db tenant.FoundDatabase, role tenant.FoundRole, hasRole bool) {
	for _, wrong := range []struct {
		code   Code
		is     bool
		detail string
		next   []Step
	}{
		{DatabaseOwner, !db.Ours, "another role owns the database", []Step{
			asSuperuser(maintenanceDatabase, "alter database "+t.Database+" owner to homeroom_owner").withCondition("If the repair lacks the right"),
		}},
		{DatabaseUnmarked, db.MarkedAs == nil, "the comment with the tenant's id is missing on the database", nil},
		{DatabaseClosed, !db.AcceptsConnections, "the database accepts no connections", nil},
		{DatabaseSettings, len(db.Problems) > 0, "the database has settings that a tenant's should not have: " + strings.Join(db.Problems, ", "), nil},
		{RoleMissing, !hasRole, "the tenant's role does not exist", nil},
		{
			RoleOutOfOrder, hasRole && !role.InOrder, "the tenant's role has wrong attributes: " + strings.Join(role.Problems, ", "),
			superuserSteps(t.Database, role.Problems),
		},
		{DatabaseAccess, hasRole && !db.OnlyTenantConnects, "other roles than the tenant's have rights on the database, or the tenant's has too few or too many", nil},
	} {
		if wrong.is {
			finding := e.ensure(about(wrong.code, t, wrong.detail), t)
			finding.Next = append(finding.Next, wrong.next...)
			e.add(finding)
		}
	}
}

// canBeOpened reports whether a tenant's database can be opened, judged from outside.
func canBeOpened(t catalog.SurveyedTenant, survey tenant.Survey) bool {
	db, ok := survey.Databases[t.Database]
	role, hasRole := survey.Roles[t.Database]
	return ok && hasRole && role.InOrder && db.Ours && db.AcceptsConnections && db.OnlyTenantConnects &&
		!db.Invalid && db.MarkedAs != nil && db.MarkedAs.UUID() == t.ID &&
		!slices.ContainsFunc(db.Problems, func(what string) bool { return strings.HasPrefix(what, "connection limit") })
}

// superuserSteps returns the statements that revoke from a role what only a superuser may revoke; none if the repair
// needs none. problems are those of [tenant.FoundRole].
func superuserSteps(role string, wrong []string) (steps []Step) {
	for _, what := range wrong {
		if sql := roleStatement(role, what); sql != "" {
			steps = append(steps, asSuperuser(maintenanceDatabase, sql).withCondition("If the repair lacks the right"))
		}
	}
	return steps
}

// attributes are the statements that revoke an attribute of a role.
var attributes = map[string]string{
	"superuser": "nosuperuser", "may create databases": "nocreatedb", "may create roles": "nocreaterole", "may replicate": "noreplication",
	"bypasses row security": "nobypassrls", "may log in": "nologin",
}

// roleStatement returns the statement that repairs one problem of a role; empty if that takes more than one.
func roleStatement(role, what string) string {
	if option, ok := attributes[what]; ok {
		return "alter role " + role + " " + option
	}
	if of, ok := strings.CutPrefix(what, "member of "); ok {
		return "revoke " + quote(of) + " from " + role
	}
	if to, ok := strings.CutPrefix(what, "granted to "); ok {
		return "revoke " + role + " from " + quote(to)
	}
	return ""
}
