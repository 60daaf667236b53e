package doctor

import (
	"context"
	"errors"
	"fmt"

	"homeroom/catalog"
	"homeroom/tenant"
)

// otherCluster is what was seen where a server's URL leads now.
type otherCluster struct {
	// recorded is the system identifier that the catalog has for the server, identifier that of the cluster.
	recorded, identifier uint64
	// there is how many of the server's tenants have a database there that bears their mark; used is how many should.
	found, expected int
}

// complete reports whether all of the server's tenants are there.
func (c otherCluster) complete() bool { return c.found == c.expected }

// addUnsurveyed tells why a server could not be looked at.
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

// anotherCluster is the finding on a server whose URL leads to another cluster. Only one that has all of the tenants' databases
// can be the server after a move.
func (e *examination) anotherCluster(name string, seen otherCluster) Finding {
	finding := Finding{Code: ServerIsAnother, Subject: name, Server: name, Detail: fmt.Sprintf(
		"its URL leads to the Postgres cluster with system identifier %d, and its tenants are on %d; the databases of %d of %s are there with their comments",
		seen.identifier, seen.recorded, seen.found, count(seen.expected, "tenant"))}
	switch {
	case seen.identifier == seen.recorded:
		finding.Detail = "the catalog has another system identifier for it than when this process started"
		finding.Advice = "Start this process again."
	case seen.complete():
		finding.Advice = "If the databases were moved there, or Postgres was upgraded with pg_upgrade, and nobody uses the former cluster any more, have it " +
			"recorded. Else correct the URL: a copy of the databases is no place to work in."
		return e.recordCluster(finding, name, seen)
	default:
		finding = finding.withSteps(inCatalog("If it is the right one all the same, and the databases that are missing there are lost, run in the catalog", fmt.Sprintf(
			"update servers set system_identifier = %d where name = '%s'", int64(seen.identifier), name)))
	}
	return finding
}

// recordCluster has the catalog know the cluster that a server is from now on, once all of it was looked at again.
func (e *examination) recordCluster(f Finding, name string, seen otherCluster) Finding {
	return f.withRepair("record that the server is this cluster from now on", "cluster "+name, func(ctx context.Context) error {
		again, err := e.surveyOtherCluster(ctx, name)
		if err != nil {
			return err
		}
		if again.identifier != seen.identifier || !again.complete() {
			return fmt.Errorf("server %s leads somewhere else now: %w", name, catalog.ErrStateChanged)
		}
		if err := e.cfg.Catalog.ReplaceSystemIdentifier(ctx, name, seen.recorded, seen.identifier, e.cfg.Actor); err != nil {
			return err
		}
		e.cfg.Servers[name].ExpectCluster(seen.identifier)
		return nil
	})
}

// surveyOtherCluster looks at the cluster where a server's URL leads, whichever it is.
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
