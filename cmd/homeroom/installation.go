package main

import (
	"context"
	"errors"
	"fmt"

	"homeroom/tenant"
)

// checkInstallation refuses to work with another tenant key, or with other servers, than before: the derived
// passwords would be wrong, and databases would be created where nobody looks for them. It records what is new. A
// server that does not answer is recorded once it does.
func (a *app) checkInstallation(ctx context.Context) error {
	same, err := a.catalog.CheckTenantKey(ctx, tenant.KeyCheck(a.cfg.TenantKey))
	if err != nil {
		return err
	}
	if !same {
		return errors.New("HOMEROOM_TENANT_KEY is not the key from which the passwords of this catalog's tenants are derived: " +
			"set the former key again. If it was changed on purpose, stop every process of Homeroom, and give all tenants " +
			"their new passwords: homeroom doctor --fix --new-tenant-key")
	}
	for name, server := range a.servers {
		switch identifier, err := server.SystemIdentifier(ctx); {
		case errors.Is(err, tenant.ErrOtherCluster):
			return fmt.Errorf("%s: %w. Correct the URL; or, if the databases were moved there, or Postgres was upgraded with pg_upgrade, "+
				"record that: homeroom doctor --fix", a.cfg.serverVariable(name), err)
		case err != nil:
			a.logger.Warn("cannot ask a server which cluster it is", "server", name, "error", err)
		case identifier != 0:
			if err := a.catalog.LearnSystemIdentifier(ctx, name, identifier); err != nil {
				return err
			}
			server.ExpectCluster(identifier)
		}
	}
	return nil
}

// expectClusters makes the servers refuse connections that lead to another cluster than the catalog has recorded.
func (a *app) expectClusters(ctx context.Context) error {
	identifiers, err := a.catalog.SystemIdentifiers(ctx)
	for name, server := range a.servers {
		server.ExpectCluster(identifiers[name])
	}
	return err
}
