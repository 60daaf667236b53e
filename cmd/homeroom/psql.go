package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"

	"homeroom/internal/display"
	"homeroom/tenant"
)

type tenantPsql struct {
	Tenant string   `arg:"" help:"Id, slug or database."`
	Args   []string `arg:"" optional:"" passthrough:"" help:"Arguments for psql, such as -c 'select 1'."`
}

// Run starts psql with the tenant's own credentials. They are passed in the environment, since every user can see a
// command line.
func (c tenantPsql) Run(ctx context.Context, p program) error {
	var address string
	err := withReadOnlyApp(ctx, p, func(a *app) error {
		t, server, err := a.find(ctx, c.Tenant)
		if err == nil {
			address = server.URL(tenant.ID(t.ID), t.PasswordRotation).Reveal()
		}
		return err
	})
	if err != nil {
		return err
	}
	psql, err := exec.LookPath("psql")
	if err != nil {
		return errors.New("psql is not installed: apt-get install postgresql-client, or brew install libpq")
	}
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("the server's URL is not valid")
	}
	args := c.Args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	command := exec.CommandContext(ctx, psql, args...) //nolint:gosec // the operator's own psql and arguments
	command.Env = psqlEnviron(p.environ, u)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, display.Unwrap(p.stdout), display.Unwrap(p.stderr)
	var failed *exec.ExitError
	if err := command.Run(); errors.As(err, &failed) {
		return exitError(failed.ExitCode())
	} else if err != nil {
		return fmt.Errorf("run psql: %w", err)
	}
	return nil
}

// psqlNeeds are the variables that psql, its editor and its pager need. The others are removed: the user of psql can
// print them (\! env), and so can the files that it reads, and Homeroom's variables include the key to all tenants.
var psqlNeeds = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TERMINFO", "COLUMNS", "LINES", "LANG", "TZ", "TMPDIR", "NO_COLOR",
	"EDITOR", "VISUAL", "PAGER", "LESS", "INPUTRC", "SystemRoot", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGTZ",
}

// psqlEnviron returns the environment of psql: the variables that it needs, and those that connect to the database.
func psqlEnviron(environ []string, u *url.URL) []string {
	ours := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !slices.Contains(psqlNeeds, name) && !strings.HasPrefix(name, "LC_") && !strings.HasPrefix(name, "PSQL")
	})
	password, _ := u.User.Password()
	ours = append(ours, "PGHOST="+u.Hostname(), "PGPORT="+cmp.Or(u.Port(), "5432"), "PGUSER="+u.User.Username(), "PGPASSWORD="+password,
		"PGDATABASE="+strings.TrimPrefix(u.Path, "/"))
	for _, name := range []string{"sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding"} {
		if value := u.Query().Get(name); value != "" {
			ours = append(ours, "PG"+strings.ReplaceAll(strings.ToUpper(name), "_", "")+"="+value)
		}
	}
	return ours
}
