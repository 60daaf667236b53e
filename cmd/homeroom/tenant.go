package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"homeroom/catalog"
	"homeroom/internal/display"
	"homeroom/lifecycle"
	"homeroom/signup"
	"homeroom/tenant"
)

type tenantCommand struct {
	List        tenantList        `cmd:"" help:"List tenants, newest first."`
	Show        tenantShow        `cmd:"" help:"Show everything about a tenant."`
	Reprovision tenantReprovision `cmd:"" help:"Run every provisioning step again, adding what is missing."`
	Rotate      tenantRotate      `cmd:"" help:"Give the tenant's role a new password."`
	Drift       tenantDrift       `cmd:"" help:"Find tenants whose schema differs from the schema of their version. Exits with 3 when there are some."`
	Canary      tenantCanary      `cmd:"" help:"Mark a tenant as a canary, which every run migrates first."`
	Psql        tenantPsql        `cmd:"" help:"Open a tenant's database in psql, with the tenant's own role."`
}

// withApp runs f on the app, for commands that change something in the catalog or on the servers.
func withApp(ctx context.Context, p program, f func(a *app) error) error {
	return onApp(ctx, p, false, f)
}

// withReadOnlyApp runs f on the app, for commands that only read: they do not migrate the catalog.
func withReadOnlyApp(ctx context.Context, p program, f func(a *app) error) error {
	return onApp(ctx, p, true, f)
}

func onApp(ctx context.Context, p program, readOnly bool, f func(a *app) error) error {
	cfg, err := readCommandConfig(p)
	if err != nil {
		return err
	}
	cfg.readOnly = readOnly
	a, err := openApp(ctx, cfg, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), 2)
	if err != nil {
		return err
	}
	defer a.close()
	a.warnVersionMismatch(p)
	return f(a)
}

// warnVersionMismatch prints a warning when the catalog's version is not this program's.
func (a *app) warnVersionMismatch(p program) {
	if differs := a.catalog.VersionMismatch(); differs != "" {
		fmt.Fprintln(p.stderr, "homeroom:", differs)
	}
}

// tenantRow is a tenant as the lists show it.
type tenantRow struct {
	ID            string  `json:"id"`
	Name          string  `json:"name"`
	Slug          string  `json:"slug"`
	Database      string  `json:"database"`
	Server        string  `json:"server"`
	Status        string  `json:"status"`
	SchemaVersion uint    `json:"schemaVersion"`
	CreatedAt     string  `json:"createdAt"`
	Problem       *string `json:"problem,omitempty"`
}

func tenantRows(tenants []catalog.Tenant) []tenantRow {
	list := make([]tenantRow, len(tenants))
	for i, t := range tenants {
		list[i] = tenantRow{
			ID: t.ID.String(), Name: t.Name, Slug: t.Slug, Database: t.Database, Server: t.Server, Status: string(t.State),
			SchemaVersion: t.SchemaVersion, CreatedAt: t.CreatedAt.UTC().Format(time.RFC3339), Problem: t.QuarantineCause,
		}
	}
	return list
}

type tenantList struct {
	Q       string `help:"Part of the name, the slug or the database."`
	Status  string `help:"Only this status: ready, spare, quarantined, …"`
	Server  string `help:"Only this server."`
	Version *uint  `help:"Only this schema version."`
	output
}

// Run lists tenants, all pages of them.
func (c tenantList) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		filter := catalog.Filter{Search: c.Q, State: catalog.State(c.Status), Server: c.Server, Version: c.Version, Limit: pageSize}
		tenants, err := allPages(func(cursor string) (catalog.Page[catalog.Tenant], error) {
			filter.Cursor = cursor
			return a.catalog.Tenants(ctx, filter)
		})
		if err != nil {
			return err
		}
		rows := make([][]string, len(tenants))
		for i, e := range tenantRows(tenants) {
			rows[i] = []string{label(e.Slug), e.Name, e.Status, strconv.FormatUint(uint64(e.SchemaVersion), 10), e.Server, e.Database, e.CreatedAt}
		}
		if len(rows) == 0 && c.Output == "table" {
			_, err := fmt.Fprintln(p.stdout, "No tenants.")
			return err
		}
		return c.print(p.stdout, []string{"SLUG", "NAME", "STATUS", "VERSION", "SERVER", "DATABASE", "CREATED"}, rows, tenantRows(tenants))
	})
}

type tenantShow struct {
	Tenant string `arg:"" help:"Id, slug or database."`
	output
}

// Run shows a tenant, with what its server reports about it.
func (c tenantShow) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		t, server, err := a.find(ctx, c.Tenant)
		if err != nil {
			return err
		}
		facts, err := server.Stats(ctx, tenant.ID(t.ID))
		if err != nil {
			return err
		}
		e := tenantRows([]catalog.Tenant{t})[0]
		rows := [][]string{
			{"id", e.ID},
			{"name", e.Name},
			{"slug", e.Slug},
			{"status", e.Status},
			{"server", e.Server},
			{"database", e.Database},
			{"schema version", strconv.FormatUint(uint64(e.SchemaVersion), 10)},
			{"created", e.CreatedAt},
			{"database exists", strconv.FormatBool(facts.Exists)},
			{"size", strconv.FormatInt(facts.SizeBytes/1024, 10) + " kB"},
			{"connections", strconv.Itoa(facts.Connections)},
		}
		if e.Problem != nil {
			rows = append(rows, []string{"problem", *e.Problem})
		}
		return c.print(p.stdout, []string{"FIELD", "VALUE"}, rows, struct {
			tenantRow
			Exists      bool            `json:"databaseExists"`
			SizeBytes   int64           `json:"sizeBytes"`
			Connections int             `json:"connections"`
			Steps       json.RawMessage `json:"steps"`
		}{e, facts.Exists, facts.SizeBytes, facts.Connections, t.Steps})
	})
}

// find returns a tenant and its server.
func (a *app) find(ctx context.Context, name string) (catalog.Tenant, *tenant.Server, error) {
	t, err := a.catalog.Tenant(ctx, name)
	if errors.Is(err, catalog.ErrNotFound) {
		return t, nil, fmt.Errorf("there is no tenant %q: homeroom tenant list shows all", name)
	}
	if err != nil {
		return t, nil, err
	}
	server, err := a.servers.Get(t.Server)
	return t, server, err
}

type tenantReprovision struct {
	Tenant  string `arg:"" help:"Id, slug or database."`
	Fresh   bool   `help:"Archive the old database, and create a new, empty one."`
	Confirm string `help:"With --fresh: the tenant's slug, to show that you mean it."`
}

// Run provisions a tenant again, in the foreground.
func (c tenantReprovision) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		request := signup.ReprovisionRequest{Tenant: c.Tenant, Fresh: c.Fresh, Confirm: c.Confirm, By: operatorActor()}
		t, kept, err := a.signup.ReprovisionNow(ctx, request, func(steps []tenant.Step) {
			if last := steps[len(steps)-1]; last.Status != tenant.Running {
				fmt.Fprintf(p.stdout, "%-10s %-6s %5d ms  %s\n", last.Name, last.Status, last.DurationMS, display.Text(cmp.Or(last.Changed, "in order")))
			}
		})
		switch {
		case errors.Is(err, signup.ErrWrongConfirmation):
			return fmt.Errorf("--fresh gives %s a new, empty database: repeat it with --confirm %s", t.Name, t.Slug)
		case errors.Is(err, catalog.ErrNotFound):
			return fmt.Errorf("there is no tenant %q: homeroom tenant list shows all", c.Tenant)
		case err != nil:
			return err
		}
		if kept != "" {
			fmt.Fprintf(p.stdout, "The old database is archived as %s; it accepts no connections.\n", kept)
		}
		return nil
	})
}

type tenantRotate struct {
	Tenant      string `arg:"" help:"Id, slug or database."`
	EndSessions bool   `help:"End the sessions of the tenant's role too, as after a theft of the password."`
}

// Run gives the tenant's role a new password.
func (c tenantRotate) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		request := lifecycle.Rotation{Tenant: c.Tenant, EndSessions: c.EndSessions, By: operatorActor()}
		t, err := lifecycle.Rotate(ctx, a.catalog, a.servers, a.queue, request)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			return fmt.Errorf("there is no tenant %q: homeroom tenant list shows all", c.Tenant)
		case err != nil && t.PasswordRotation > 0:
			return fmt.Errorf("%w; the catalog already has rotation %d: repeat the command, or run homeroom tenant reprovision %s", err, t.PasswordRotation, c.Tenant)
		case err != nil:
			return err
		}
		fmt.Fprintf(p.stdout, "The role of %s has the password of rotation %d. The former one is no longer valid.\n",
			display.Text(cmp.Or(t.Name, t.Database)), t.PasswordRotation)
		return nil
	})
}
