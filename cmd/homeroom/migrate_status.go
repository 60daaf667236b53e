package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"homeroom/fleet"
	"homeroom/internal/display"
)

// versionSentence says at which versions the tenants are. chosen reports whether they were chosen by name.
func versionSentence(s fleet.VersionStatus, chosen bool) string {
	all, of := "All tenants are", "Of "+tenantCount(s.Total())
	if chosen {
		all, of = "All chosen tenants are", "Of "+tenantCount(s.Total())+" that were chosen"
	}
	if s.AllCurrent() {
		return fmt.Sprintf("%s at version %d.", all, s.To)
	}
	parts := []string{fmt.Sprintf("%s at version %d", areIs(s.At), s.To)}
	for _, group := range []struct {
		counts map[uint]int
		what   string
	}{{s.Behind, "behind it, at version"}, {s.Ahead, "above it, at version"}, {s.Held, "held at version"}} {
		for _, version := range slices.Sorted(maps.Keys(group.counts)) {
			parts = append(parts, fmt.Sprintf("%s %s %d", areIs(group.counts[version]), group.what, version))
		}
	}
	if s.Others > 0 {
		parts = append(parts, fmt.Sprintf("%s another set of migrations", haveHas(s.Others)))
	}
	if s.Quarantined > 0 {
		parts = append(parts, fmt.Sprintf("%s quarantined", areIs(s.Quarantined)))
	}
	if len(s.Mismatches) > 0 {
		parts = append(parts, fmt.Sprintf("%s a schema whose version is unclear", haveHas(len(s.Mismatches))))
	}
	return of + ", " + strings.Join(parts, "; ") + "."
}

// printVersionStatus prints at which versions the tenants are, and what to do where not all are at the version.
func (c migrateRun) printVersionStatus(w io.Writer, s fleet.VersionStatus) {
	fmt.Fprintln(w, versionSentence(s, len(c.Tenant) > 0))
	if len(s.Ahead) > 0 && c.To != nil {
		fmt.Fprintln(w, "Those above it are migrated down only by name: add --tenant.")
	} else if len(s.Ahead) > 0 {
		fmt.Fprintln(w, "Those above it were migrated by a newer program, or with a folder that has more files; they work as they are.")
	}
	if s.Others > 0 {
		fmt.Fprintln(w, "A set of migrations is identified by its first file. Tenants of another set are not migrated here: if that file was changed, restore it, "+
			"otherwise run homeroom migrate with their folder in HOMEROOM_TENANT_MIGRATIONS.")
	}
	if s.Quarantined > 0 {
		fmt.Fprintln(w, "Causes of quarantine: homeroom tenant list --status quarantined -o json.")
	}
	const shown = 20
	for _, u := range s.Mismatches[:min(shown, len(s.Mismatches))] {
		fmt.Fprintf(w, "unclear %s  %s\n        %s\n", cmp.Or(u.Tenant.Slug, u.Tenant.Database), u.Tenant.Database, display.Text(u.Problem))
	}
	if more := len(s.Mismatches) - shown; more > 0 {
		fmt.Fprintf(w, "        and %d more: homeroom doctor lists all\n", more)
	}
}

func areIs(n int) string { return verb(n, "is", "are") }

func haveHas(n int) string { return verb(n, "has", "have") }

func verb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
