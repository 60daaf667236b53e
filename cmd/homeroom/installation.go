package main

import (
	"context"
	"errors"
	"fmt"

	"homeroom/tenant"
)

// checkInstallation refuses to work with a tenant key or with servers that are not those of before: passwords would be derived
// that open nothing, and databases be made where nobody looks for them. What is new is recorded. Servers that do not answer
// are recorded when they do.
func (a *app) checkInstallation(ctx context.Context) error {
	same, err := a.catalog.CheckTenantKey(ctx, tenant.KeyCheck(a.cfg.TenantKey))
	if err != nil {
		return err
	}
	if !same {
		return errors.New("HOMEROOM_TENANT_KEY is not the key from which the passwords of this catalog's tenants are derived: " +
			"set the former key again. If it was changed on purpose, stop every process of Homeroom, and have all tenants be given " +
			"their new passwords: homeroom doctor --fix --new-tenant-key")
	}
	for name, server := range a.servers {
		switch identifier, err := server.SystemIdentifier(ctx); {
		case errors.Is(err, tenant.ErrOtherCluster):
			return fmt.Errorf("%s: %w. Correct the URL; or, if the databases were moved there, or Postgres was upgraded with pg_upgrade, "+
				"have that recorded: homeroom doctor --fix", a.cfg.serverVariable(name), err)
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

// expectClusters has connections refused that lead to another cluster than the one that the catalog knows.
func (a *app) expectClusters(ctx context.Context) error {
	identifiers, err := a.catalog.SystemIdentifiers(ctx)
	for name, server := range a.servers {
		server.ExpectCluster(identifiers[name])
	}
	return err
}
