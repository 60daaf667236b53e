package doctor

import (
	"fmt"
	"time"

	"homeroom/catalog"
)

// compareCatalog checks the catalog's own database, and whether it stops other work.
func (e *examination) compareCatalog() {
	if e.only != nil {
		return
	}
	self := e.after.Self
	for _, object := range self.Missing {
		finding := Finding{Code: CatalogIncomplete, Subject: object.Name, Detail: "the " + object.Kind + " is missing in the catalog, or is disabled"}
		if object.SQL != "" {
			finding = finding.withSteps(inCatalog("In the catalog run", dropFirst(object)+object.SQL))
		}
		e.add(finding)
	}
	for _, role := range self.ReadableBy {
		e.add(Finding{Code: CatalogReadable, Subject: role, Detail: role + " may read tables of the catalog, and every tenant's role with it"}.
			withSteps(inCatalog("In the catalog run", "revoke all on all tables in schema public from "+role)))
	}
	for _, run := range self.Paused {
		e.add(Finding{
			Code: RunPaused, Subject: run.ID,
			Detail: fmt.Sprintf("%s paused this run over the fleet, and nothing has happened in it since %s", run.ChangedBy, run.Since.UTC().Format(time.RFC3339)),
		}.withSteps(command("Resume it (homeroom migrate abort ends it instead)", "migrate resume")))
	}
	e.compareCapacity(self.Servers)
}

// dropFirst returns a statement that drops an object that may exist in a state in which it has no effect.
func dropFirst(object catalog.MissingObject) string {
	if object.Kind == "index" {
		return "drop index if exists " + object.Name + "; "
	}
	return ""
}

// compareCapacity checks whether the servers can take new schools.
func (e *examination) compareCapacity(servers []catalog.SurveyedServer) {
	var open, configured int
	for _, server := range servers {
		if _, ok := e.cfg.Servers[server.Name]; !ok {
			continue
		}
		configured++
		if server.Open {
			open++
		}
		if server.ClosedBecause != nil {
			e.add(Finding{
				Code: ServerClosed, Subject: server.Name, Server: server.Name,
				Detail: "no database has been created on it for more than a day: " + *server.ClosedBecause,
			}.withSteps(openServer(server)))
		}
		if e.cfg.Spares > 0 && server.Open && server.Spares == 0 && server.Stable && e.hasSchools() {
			e.add(Finding{Code: StockEmpty, Subject: server.Name, Server: server.Name, Detail: "it has no spare, and none is being built"})
		}
	}
	if open > 0 || configured == 0 {
		return
	}
	finding := Finding{Code: NoServerOpen, Subject: "servers", Detail: "every server is closed, full or has weight 0"}
	for _, server := range servers {
		if _, ok := e.cfg.Servers[server.Name]; ok {
			finding = finding.withSteps(openServer(server))
		}
	}
	e.add(finding)
}

func (e *examination) hasSchools() bool {
	for _, t := range e.after.Tenants {
		if t.Name != "" && !beingDeleted(t) {
			return true
		}
	}
	return false
}

// openServer returns the statement that opens a server for new databases again.
func openServer(server catalog.SurveyedServer) Step {
	return inCatalog("When the cause is repaired, in the catalog run", fmt.Sprintf(
		"update servers set weight = greatest(weight, 1), closed_because = null, closed_at = null, "+
			"capacity = case when capacity > (select count(*) from tenants where server = servers.name and state <> 'deleted') then capacity end "+
			"where name = '%s'", server.Name))
}

// compareDeleted checks a tenant that the catalog says is deleted.
func (e *examination) compareDeleted(t catalog.SurveyedTenant, owners int) {
	_, exists := e.servers[t.Server].Databases[t.Database]
	switch {
	case owners > 0:
		finding := about(TenantDeleted, t, fmt.Sprintf("the catalog says that it is deleted, and it has %s", count(owners, "active user")))
		if exists {
			finding.Detail += ", and its database exists"
			finding = finding.withSteps(inCatalog("If it was deleted by mistake, in the catalog run",
				fmt.Sprintf("update tenants set state = 'ready' where id = '%s'", t.ID)))
		}
		e.add(finding)
	case exists:
		finding := about(TenantDeleted, t, "the catalog says that it is deleted, and its database exists")
		finding.Severity = Warning
		e.add(finding)
	}
}
