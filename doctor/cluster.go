package doctor

import (
	"context"
	"errors"
	"fmt"

	"homeroom/catalog"
	"homeroom/tenant"
)

// otherCluster is the cluster to which a server's URL now leads.
type otherCluster struct {
	// recorded is the system identifier in the catalog, identifier that of the cluster.
	recorded, identifier uint64
	// found is how many of the server's tenants have a database there with their comment, expected how many should.
	found, expected int
}

// complete reports whether all of the server's tenants are there.
func (c otherCluster) complete() bool { return c.found == c.expected }

// addUnsurveyed reports why a server could not be checked.
func (e *examination) addUnsurveyed(ctx context.Context, name string, cause error) {
	finding := Finding{Code: ServerUnreachable, Subject: name, Server: name, Detail: reason(cause)}
	if errors.Is(cause, tenant.ErrOtherCluster) {
		seen, err := e.surveyOtherCluster(ctx, name)
		if err == nil {
			e.add(e.anotherCluster(name, seen))
			return
		}
		finding.Detail = reason(errors.Join(cause, err))
	}
	e.add(finding)
}

// anotherCluster returns the finding on a server whose URL leads to another cluster. Only a cluster that has the
// databases of all tenants can be the server after a move.
func (e *examination) anotherCluster(name string, seen otherCluster) Finding {
	finding := Finding{Code: ServerIsAnother, Subject: name, Server: name, Detail: fmt.Sprintf(
		"its URL leads to the Postgres cluster with system identifier %d, and its tenants are on %d; the databases of %d of %s exist there with their comments",
		seen.identifier, seen.recorded, seen.found, count(seen.expected, "tenant"))}
	switch {
	case seen.identifier == seen.recorded:
		finding.Detail = "the catalog has another system identifier for it than when this process started"
		finding.Advice = "Restart this process."
	case seen.complete():
		finding.Advice = "If the databases were moved there, or Postgres was upgraded with pg_upgrade, and nobody uses the former cluster any more, let it be " +
			"recorded. Otherwise correct the URL: do not work on a copy of the databases."
		return e.recordCluster(finding, name, seen)
	default:
		finding = finding.withSteps(inCatalog(
			"If it is nevertheless the right one, and the databases that are missing there are lost, run in the catalog", fmt.Sprintf(
				"update servers set system_identifier = %d where name = '%s'", int64(seen.identifier), name)))
	}
	return finding
}

// recordCluster adds the repair that records the cluster in the catalog, after all of it was checked again.
func (e *examination) recordCluster(f Finding, name string, seen otherCluster) Finding {
	return f.withRepair("record that the server is this cluster from now on", "cluster "+name, func(ctx context.Context) error {
		again, err := e.surveyOtherCluster(ctx, name)
		if err != nil {
			return err
		}
		if again.identifier != seen.identifier || !again.complete() {
			return fmt.Errorf("server %s leads to another cluster now: %w", name, catalog.ErrStateChanged)
		}
		if err := e.cfg.Catalog.ReplaceSystemIdentifier(ctx, name, seen.recorded, seen.identifier, e.cfg.Actor); err != nil {
			return err
		}
		e.cfg.Servers[name].ExpectCluster(seen.identifier)
		return nil
	})
}

// surveyOtherCluster surveys the cluster to which a server's URL leads, whichever it is.
func (e *examination) surveyOtherCluster(ctx context.Context, name string) (seen otherCluster, err error) {
	identifiers, err := e.cfg.Catalog.SystemIdentifiers(ctx)
	if err != nil {
		return otherCluster{}, err
	}
	seen.recorded = identifiers[name]
	server, err := e.cfg.Servers[name].OpenAnyCluster()
	if err != nil {
		return otherCluster{}, err
	}
	defer server.Close()
	if seen.identifier, err = server.SystemIdentifier(ctx); err != nil {
		return otherCluster{}, err
	}
	survey, err := server.Survey(ctx)
	if err != nil {
		return otherCluster{}, err
	}
	rows, err := e.cfg.Catalog.Survey(ctx)
	if err != nil {
		return otherCluster{}, err
	}
	for id, t := range rows.Tenants {
		if t.Server != name || beingMade(t) {
			continue
		}
		seen.expected++
		if mark := survey.Databases[t.Database].MarkedAs; mark != nil && mark.UUID() == id {
			seen.found++
		}
	}
	return seen, nil
}
