package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/display"
	"homeroom/tenant"
)

type tenantDrift struct {
	Tenant []string `help:"Only these tenants: id, slug or database. May be repeated." placeholder:"TENANT"`
	Stored bool     `help:"Compare the fingerprints in the catalog, and open only one database for each fingerprint that differs."`
	output
}

// Run compares tenants' schemas with the schema of their version. It exits with 3 when some differ.
func (c tenantDrift) Run(ctx context.Context, p program) error {
	const concurrency = 8
	return withFleet(ctx, p, concurrency, true, func(a *app, all *fleet.Fleet) error {
		for _, name := range c.Tenant {
			if _, _, err := a.find(ctx, name); err != nil {
				return err
			}
		}
		drift, err := all.Drift(ctx, fleet.DriftOptions{Only: c.Tenant, Stored: c.Stored})
		if err != nil {
			return err
		}
		if err := c.show(p.stdout, drift); err != nil {
			return err
		}
		if drift.Drifted() > 0 || len(drift.Failed) > 0 {
			return exitError(exitFailures)
		}
		return nil
	})
}

// difference is a difference as the lists show it.
type difference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

func (c tenantDrift) show(w io.Writer, drift fleet.Drift) error {
	if c.Output == "table" {
		printDrift(w, drift)
		return nil
	}
	type group struct {
		Version     uint         `json:"version"`
		Differences []difference `json:"differences"`
		Tenants     []tenantRow  `json:"tenants"`
	}
	groups, rows := []group{}, [][]string{}
	for _, g := range drift.Groups {
		item := group{Version: g.Version, Tenants: tenantRows(g.Tenants)}
		for _, d := range g.Differences {
			item.Differences = append(item.Differences, difference(d))
			for _, t := range g.Tenants {
				rows = append(rows, []string{label(t.Slug), t.Database, number(g.Version), d.Kind, d.Name, d.Want, d.Got})
			}
		}
		groups = append(groups, item)
	}
	return c.print(w, []string{"SCHOOL", "DATABASE", "VERSION", "KIND", "NAME", "WANT", "GOT"}, rows, groups)
}

// printDrift shows each kind of difference once, with the tenants that have it.
func printDrift(w io.Writer, drift fleet.Drift) {
	for _, group := range drift.Groups {
		fmt.Fprintf(w, "%s at version %d: %s\n", tenantCount(len(group.Tenants)), group.Version, names(group.Tenants))
		for _, d := range group.Differences {
			printDifference(w, d)
		}
		fmt.Fprintln(w)
	}
	for problem, tenants := range drift.Failed {
		fmt.Fprintf(w, "%s could not be read: %s\n    %s\n\n", tenantCount(len(tenants)), names(tenants), display.Text(problem))
	}
	if drift.Drifted() == 0 {
		fmt.Fprintf(w, "%s compared, and none differs from the schema of its version.\n", tenantCount(drift.Compared))
		return
	}
	fmt.Fprintf(w, "%d of %s differ from the schema of their version.\n", drift.Drifted(), tenantCount(drift.Compared))
}

func printDifference(w io.Writer, d tenant.Difference) {
	for _, text := range []*string{&d.Kind, &d.Name, &d.Want, &d.Got} {
		*text = display.Text(*text)
	}
	switch {
	case d.Got == "":
		fmt.Fprintf(w, "    missing  %s %s  %s\n", d.Kind, d.Name, d.Want)
	case d.Want == "":
		fmt.Fprintf(w, "    extra    %s %s  %s\n", d.Kind, d.Name, d.Got)
	default:
		fmt.Fprintf(w, "    changed  %s %s\n        want %s\n        got  %s\n", d.Kind, d.Name, d.Want, d.Got)
	}
}

// names are the first few of the tenants.
func names(tenants []catalog.Tenant) string {
	const shown = 5
	list := make([]string, 0, shown)
	for _, t := range tenants[:min(shown, len(tenants))] {
		list = append(list, cmp.Or(t.Slug, t.Database))
	}
	text := strings.Join(list, ", ")
	if more := len(tenants) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

type tenantCanary struct {
	Tenant string `arg:"" help:"Id, slug or database."`
	Off    bool   `help:"Remove the mark."`
}

// Run marks a tenant as a canary, or removes the mark.
func (c tenantCanary) Run(ctx context.Context, p program) error {
	return withApp(ctx, p, func(a *app) error {
		t, _, err := a.find(ctx, c.Tenant)
		if err == nil {
			err = a.catalog.SetCanary(ctx, t.ID, !c.Off)
		}
		if err != nil {
			return err
		}
		what := "is a canary: it goes first in every run"
		if c.Off {
			what = "is no longer a canary"
		}
		_, err = fmt.Fprintf(p.stdout, "%s %s.\n", cmp.Or(t.Slug, t.Database), what)
		return err
	})
}
