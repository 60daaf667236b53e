package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"homeroom/internal/postgres"
	"homeroom/tenant"
)

// mostConnections is how many connections one process opens to a server at most: to provision and migrate, which takes up to
// three for a tenant that runs several files, and for requests to tenants' databases.
const mostConnections = 3*serveParallel + poolTenants*poolConns

// selfCheck looks at the servers before anything is done there: it refuses what must not be (a superuser's URL, for one:
// whoever takes over a service that holds one holds the server's machine), and warns of what will hurt one day, each with
// its cure.
func (a *app) selfCheck(ctx context.Context) error {
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	for name, server := range a.servers {
		if err := a.checkDirect(ctx, name); err != nil {
			return err
		}
		warnings, err := server.Check(ctx, tenant.CheckOptions{Connections: mostConnections})
		if postgres.Unreachable(err) { // its tenants wait; those of the other servers need not
			a.logger.Warn("cannot reach a server to look at it", "server", name, "error", err)
			continue
		}
		if err != nil {
			return err
		}
		for _, warning := range warnings {
			switch {
			case a.cfg.AllowSuperuser && slices.Contains(tooMuch, warning.Code):
			case slices.Contains(tooMuch, warning.Code):
				return fmt.Errorf("server %s: %s: %s; or, if you accept that, set HOMEROOM_ALLOW_SUPERUSER=true", name, warning.Problem, warning.Fix)
			case warning.Refuse:
				return fmt.Errorf("server %s: %s: %s", name, warning.Problem, warning.Fix)
			default:
				a.logger.Warn("a server is not set up well", "server", name, "what", warning.Problem, "fix", warning.Fix)
			}
		}
	}
	return nil
}

// checkDirect refuses a server's URL that leads to a connection pooler. Whatever else is in the way is found later.
func (a *app) checkDirect(ctx context.Context, name string) error {
	pool, err := pgxpool.ParseConfig(a.cfg.servers[name].Reveal()) // which knows the settings of pools, too
	if err != nil {
		return fmt.Errorf("%s is not a Postgres URL", a.cfg.serverVariable(name))
	}
	cfg := pool.ConnConfig
	cfg.Database = "postgres"
	postgres.DetectLoss(cfg)
	cfg.RuntimeParams["client_connection_check_interval"] = "250ms" // as all connections there
	conn, err := postgres.Connect(ctx, cfg)
	if err == nil {
		defer conn.Close(context.WithoutCancel(ctx))
		err = postgres.CheckDirect(ctx, conn)
	}
	if errors.Is(err, postgres.ErrPooler) {
		return fmt.Errorf("%s: %w", a.cfg.serverVariable(name), err)
	}
	return nil
}

// tooMuch are the warnings about rights that are more than Homeroom should have, which an operator may allow.
var tooMuch = []string{tenant.WarnSuperuser, tenant.WarnCreateRole}
