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

// mostConnections is the largest number of connections that one process opens to a server: to provision and migrate,
// up to three for a tenant whose migration has several files, and for requests to tenants' databases.
const mostConnections = 3*serveParallel + poolTenants*poolConns

// selfCheck checks the servers before anything is done there. It refuses a URL with too many rights, such as a
// superuser's, with which an attacker of the service could control the server's machine. It logs what will cause
// problems later, with the fix.
func (a *app) selfCheck(ctx context.Context) error {
	if err := a.checkInstallation(ctx); err != nil {
		return err
	}
	for name, server := range a.servers {
		if err := a.checkDirect(ctx, name); err != nil {
			return err
		}
		warnings, err := server.Check(ctx, tenant.CheckOptions{Connections: mostConnections})
		if postgres.Unreachable(err) { // its tenants wait; those of the other servers do not
			a.logger.Warn("cannot reach a server to check it", "server", name, "error", err)
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

// checkDirect refuses a server's URL that leads to a connection pooler. Later steps find other problems.
func (a *app) checkDirect(ctx context.Context, name string) error {
	pool, err := pgxpool.ParseConfig(a.cfg.servers[name].Reveal()) // it knows the settings of pools as well
	if err != nil {
		return fmt.Errorf("%s is not a Postgres URL", a.cfg.serverVariable(name))
	}
	cfg := pool.ConnConfig
	cfg.Database = "postgres"
	postgres.DetectLoss(cfg)
	cfg.RuntimeParams["client_connection_check_interval"] = "250ms" // as for all connections to servers
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

// tooMuch are the warnings about rights that Homeroom should not have, which an operator may allow.
var tooMuch = []string{tenant.WarnSuperuser, tenant.WarnCreateRole}
