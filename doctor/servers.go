package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"homeroom/catalog"
	"homeroom/tenant"
)

// compareServers checks the servers from outside.
func (e *examination) compareServers() {
	elsewhere := map[string]int{} // schools on servers that are not configured
	spares := map[string]int{}
	for id := range e.after.Tenants {
		t, steady := e.stableTenant(id)
		if _, configured := e.cfg.Servers[t.Server]; !configured && steady && !beingDeleted(t) {
			if t.State == catalog.Spare || t.Name == "" {
				spares[t.Server]++
			} else {
				elsewhere[t.Server]++
			}
		}
		if survey, looked := e.servers[t.Server]; looked && steady {
			e.compareDatabase(t, survey)
		}
	}
	e.compareQueues()
	for server, n := range elsewhere {
		e.add(Finding{
			Code: ServerUnknown, Subject: server, Server: server,
			Detail: fmt.Sprintf("the catalog has %s on it, and it is not configured here", count(n, "school")),
		})
	}
	for server, n := range spares {
		e.add(Finding{
			Code: SpareOnUnknownServer, Subject: server, Server: server,
			Detail: fmt.Sprintf("the catalog has %s on it, and it is not configured here", count(n, "spare")),
		})
	}
	for server, survey := range e.servers {
		e.compareRoles(server, survey)
		e.compareTemplates(server, survey)
		e.compareShared(server, survey)
		e.compareCollations(server, survey)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// compareRoles finds roles without a tenant.
func (e *examination) compareRoles(server string, survey tenant.Survey) {
	for name := range survey.Roles {
		id, err := tenant.ParseDatabase(name)
		if _, hasDatabase := survey.Databases[name]; err != nil || hasDatabase || e.known(id.UUID()) || hasArchive(survey, id) {
			continue
		}
		uid := id.UUID()
		finding := Finding{Code: RoleWithoutDatabase, Subject: name, Server: server, TenantID: &uid, Detail: "a tenant's role without a database and without a row"}
		e.add(e.dropRole(finding, id))
	}
}

func hasArchive(survey tenant.Survey, id tenant.ID) bool {
	for _, kept := range survey.Archives {
		if kept.Tenant == id {
			return true
		}
	}
	return false
}

// compareTemplates reports templates that are unused or not closed, and archived databases.
func (e *examination) compareTemplates(server string, survey tenant.Survey) {
	for _, template := range survey.Templates {
		finding := Finding{Code: TemplateOld, Subject: template.Name, Server: server}
		switch {
		case template.Current && (template.Connections > 0 || template.Complete && template.AcceptsConnections):
			finding.Code = TemplateOpen
			finding.Detail = fmt.Sprintf("the template for new tenants is open, with %s in it", count(template.Connections, "session"))
			e.add(e.repairShared(finding, "build the template again"))
		case !template.Complete && template.Current:
			finding.Code, finding.Detail = TemplateIncomplete, "the template for new tenants is not complete, or somebody has changed it"
			e.add(e.repairShared(finding, "build the template again"))
		case !template.Complete:
			finding.Code, finding.Detail = TemplateIncomplete, fmt.Sprintf("a template of schema version %d is not complete", template.Version)
			e.add(e.dropTemplate(finding))
		case !template.Current:
			finding.Detail = fmt.Sprintf("a template of schema version %d, which this program does not use", template.Version)
			e.add(e.dropTemplate(finding))
		}
	}
	for _, kept := range survey.Archives {
		id := kept.Tenant.UUID()
		e.add(Finding{
			Code: ArchivedDatabase, Subject: kept.Name, Server: server, TenantID: &id,
			Detail: "a database that was archived on " + kept.At.Format("2 January 2006") + " when the tenant got a new one",
		}.withSteps(asOwner(maintenanceDatabase, "drop database "+kept.Name)))
	}
}

// compareShared checks the two roles that all tenants of a server share, and the databases to which all of them may
// connect.
func (e *examination) compareShared(server string, survey tenant.Survey) {
	if len(survey.Databases) == 0 {
		return // nothing was created there yet
	}
	for _, role := range survey.Shared {
		if len(role.Problems) == 0 {
			continue
		}
		finding := Finding{Code: SharedRole, Subject: role.Name, Server: server, Detail: "the role has wrong attributes: " + strings.Join(role.Problems, ", ")}
		finding = e.repairShared(finding, "restore the shared roles")
		e.add(finding.withSteps(superuserSteps(role.Name, role.Problems)...))
	}
	for _, name := range survey.PublicConnect {
		finding := Finding{Code: DatabaseForAll, Subject: name, Server: server, Detail: "every tenant's role may connect to this database"}
		switch name {
		case e.after.Self.Database: // what can be read there is another finding
			continue
		case "postgres", "template1":
			finding.Severity = Warning
			if e.warned[server+" "+tenant.WarnPublicConnect] || slices.Contains(e.cfg.Tolerate, tenant.WarnPublicConnect) {
				continue
			}
		}
		e.add(finding.withSteps(asSuperuser(maintenanceDatabase, "revoke connect, temporary on database "+quote(name)+" from public, homeroom_tenant")))
	}
}

// compareCollations reports databases whose indexes on text may be wrong, because the machine now sorts text by other
// rules than when they were created. An upgrade causes this for a whole server, so it is one finding.
func (e *examination) compareCollations(server string, survey tenant.Survey) {
	finding := Finding{Code: CollationChanged, Subject: server, Server: server}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(survey.Databases)) {
		if survey.Databases[name].CollationChanged && !survey.Databases[name].Invalid {
			names = append(names, name)
			finding = finding.withSteps(
				asOwner(name, "reindex database "+name),
				asOwner(maintenanceDatabase, "alter database "+name+" refresh collation version"))
		}
	}
	for _, template := range survey.Templates {
		if template.CollationChanged && template.Current {
			names = append(names, template.Name+" (the template, which Homeroom builds again)")
		}
	}
	if len(finding.Next) > 0 {
		finding.Detail = fmt.Sprintf("its library sorts text by other rules than when %s made: indexes on text may be wrong until they are rebuilt: %s",
			map[bool]string{true: "this database was", false: "these databases were"}[len(names) == 1], strings.Join(names, ", "))
		e.add(finding)
	}
}

// queueNearEnd is the share of the notification queue above which the finding is an error.
const queueNearEnd = 0.75

// compareQueues reports servers whose NOTIFY queue fills up.
func (e *examination) compareQueues() {
	for server, usage := range e.queues {
		if usage < e.cfg.QueueWarnAt {
			continue
		}
		finding := Finding{
			Code: NotificationQueue, Subject: server, Server: server,
			Detail: fmt.Sprintf("its notification queue is %.2g %% full", usage*100),
		}
		if usage >= queueNearEnd {
			finding.Severity = Error
		}
		e.add(finding.withSteps(asSuperuser(maintenanceDatabase,
			"select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle in transaction%' order by xact_start limit 1").
			withCondition("End the session that has been in a transaction for the longest time, unless Postgres's log names another")))
	}
}

// checkServer reports the warnings about a server. If that fails there is no finding, since the survey has just worked.
func (e *examination) checkServer(ctx context.Context, name string, server *tenant.Server) {
	if e.only != nil {
		return
	}
	warnings, err := server.Check(ctx, tenant.CheckOptions{})
	if err != nil {
		e.cfg.Logger.Warn("check a server", "server", name, "error", err)
	}
	for _, warning := range warnings {
		e.mu.Lock()
		e.warned[name+" "+warning.Code] = true
		e.mu.Unlock()
		if !slices.Contains(e.cfg.Tolerate, warning.Code) {
			e.add(Finding{Code: ServerWarning, Subject: warning.Code, Server: name, Detail: warning.Problem, Advice: warning.Fix})
		}
	}
}
