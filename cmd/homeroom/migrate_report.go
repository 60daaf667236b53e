package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"homeroom/catalog"
	"homeroom/fleet"
	"homeroom/internal/display"
)

// plan prints what a run would do.
func (c migrateRun) plan(ctx context.Context, p program, all *fleet.Fleet, options fleet.Options) error {
	plan, err := all.Plan(ctx, options)
	if err != nil {
		return err
	}
	rows := make([][]string, len(plan.Tenants))
	for i, t := range plan.Tenants {
		rows[i] = []string{
			label(t.Slug), t.Database, t.Server, string(t.State), number(t.SchemaVersion), number(plan.To),
			strings.Join(plan.Files[t.SchemaVersion], " "),
		}
	}
	items := struct {
		To          uint              `json:"to"`
		Down        bool              `json:"down"`
		Waves       []int             `json:"waves"`
		Canaries    int               `json:"canaries"`
		MaxFailures int               `json:"maxFailures"`
		Files       map[uint][]string `json:"files"`
		Others      int               `json:"otherMigrations"`
		Tenants     []tenantRow       `json:"tenants"`
	}{plan.To, plan.Down, plan.Waves, plan.Canaries, plan.MaxFailures, plan.Files, plan.Status.Others, tenantRows(plan.Tenants)}
	header := []string{"SCHOOL", "DATABASE", "SERVER", "STATUS", "FROM", "TO", "FILES"}
	if c.Output != "table" {
		return c.print(p.stdout, header, rows, items)
	}
	if len(rows) > 0 {
		if err := c.print(p.stdout, header[:6], cut(rows, 6), items); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout)
	}
	for _, from := range slices.Sorted(maps.Keys(plan.Files)) {
		fmt.Fprintf(p.stdout, "From version %d: %s\n", from, orDash(strings.Join(plan.Files[from], ", ")))
	}
	fmt.Fprintf(p.stdout, "%s to migrate to version %d.%s\n", tenantCount(len(plan.Tenants)), plan.To, waveSentence(plan))
	if !plan.Down && plan.Status.At+len(plan.Tenants) < plan.Status.Total() {
		c.printVersionStatus(p.stdout, plan.Status)
	}
	return nil
}

// waveSentence says in which waves a run migrates, and when it stops.
func waveSentence(plan fleet.Plan) string {
	if len(plan.Tenants) == 0 {
		return ""
	}
	stops := fmt.Sprintf(" The run stops when more than %d fail", plan.MaxFailures)
	if len(plan.Waves) == 1 {
		return stops + "."
	}
	sizes := make([]string, len(plan.Waves))
	for i, size := range plan.Waves {
		sizes[i] = strconv.Itoa(size)
	}
	return fmt.Sprintf(" In waves of %s.", strings.Join(sizes, ", ")) + stops + ", or a canary does."
}

// cut keeps the first columns.
func cut(rows [][]string, columns int) [][]string {
	short := make([][]string, len(rows))
	for i, row := range rows {
		short[i] = row[:columns]
	}
	return short
}

// report prints the failures, then the totals, then the versions of all tenants, where they are known. Its error
// carries the exit code.
func (c migrateRun) report(p program, report fleet.Report, status *fleet.VersionStatus) error {
	run, out := report.Run, p.stdout
	if c.Output != "table" {
		out = p.stderr // the list goes elsewhere
		if err := c.print(p.stdout, outcomeHeader, outcomeRows(report.Outcomes), report.Outcomes); err != nil {
			return err
		}
	} else if run.Total > 0 {
		summary(p.stdout, report)
	}
	if status != nil && (!status.AllCurrent() || run.Total == 0 && c.Output == "table") {
		c.printVersionStatus(out, *status)
	}
	switch {
	case run.Failed > 0 || run.State == catalog.RunStopped:
		return exitError(exitFailures)
	case run.Total > 0 && run.State != catalog.RunDone:
		return exitError(exitCannot)
	case status != nil && status.Incomplete():
		return exitError(exitFailures)
	}
	return nil
}

func summary(w io.Writer, report fleet.Report) {
	run := report.Run
	if report.Joined {
		fmt.Fprintf(w, "This is the run that %s had started.\n", run.StartedBy)
	}
	printFailures(w, report.Outcomes)
	took := time.Since(run.StartedAt)
	if run.FinishedAt != nil {
		took = run.FinishedAt.Sub(run.StartedAt)
	}
	fmt.Fprintf(w, "%s migrated to version %d, %d failed, in %s.\n", tenantCount(run.Done), run.ToVersion, run.Failed, took.Round(time.Millisecond))
	switch run.State {
	case catalog.RunPaused:
		fmt.Fprintf(w, "The run was paused by %s. Go on with homeroom migrate resume.\n", *run.ChangedBy)
	case catalog.RunAborted:
		fmt.Fprintf(w, "The run was %s; %s as before.\n", *run.Problem, left(run))
	case catalog.RunStopped:
		fmt.Fprintf(w, "The run stopped: %s\n%s as before.\n", *run.Problem, left(run))
	}
	if run.Failed > 0 {
		fmt.Fprintln(w, "The failed ones are as they were before the file that failed, unless its cause says that something stays; those that failed because of their schema are quarantined.\n"+
			"Correct the cause and run homeroom migrate again: it only migrates the ones that are behind.")
	}
}

// left says how many tenants a run has not processed.
func left(run catalog.Run) string {
	n := run.Total - run.Done - run.Failed
	if n == 1 {
		return "1 tenant is"
	}
	return fmt.Sprintf("%d tenants are", n)
}

// printFailures prints each cause once, with the tenants that failed with it.
func printFailures(w io.Writer, outcomes []catalog.Outcome) {
	const shown = 5
	byCause := map[string][]catalog.Outcome{}
	var causes []string
	for _, outcome := range outcomes {
		if outcome.Problem == nil {
			continue
		}
		if byCause[*outcome.Problem] == nil {
			causes = append(causes, *outcome.Problem)
		}
		byCause[*outcome.Problem] = append(byCause[*outcome.Problem], outcome)
	}
	slices.SortStableFunc(causes, func(a, b string) int { return len(byCause[b]) - len(byCause[a]) })
	for _, cause := range causes {
		failed := byCause[cause]
		cause = display.Text(cause)
		if len(failed) == 1 {
			fmt.Fprintf(w, "failed  %s  (version %d)\n        %s\n", name(failed[0]), failed[0].ToVersion, cause)
			continue
		}
		fmt.Fprintf(w, "failed  %s, for the same cause:\n        %s\n", tenantCount(len(failed)), cause)
		for _, outcome := range failed[:min(shown, len(failed))] {
			fmt.Fprintf(w, "        %s  (version %d)\n", name(outcome), outcome.ToVersion)
		}
		if len(failed) > shown {
			fmt.Fprintf(w, "        and %d more: homeroom migrate show\n", len(failed)-shown)
		}
	}
}

var outcomeHeader = []string{"DATABASE", "SCHOOL", "OUTCOME", "FROM", "TO", "TRIES", "MS", "PROBLEM"}

func outcomeRows(outcomes []catalog.Outcome) [][]string {
	rows := make([][]string, len(outcomes))
	for i, o := range outcomes {
		rows[i] = []string{
			o.Database, deref(o.Slug), o.State, number(o.FromVersion), number(o.ToVersion), strconv.Itoa(o.Attempts),
			strconv.FormatInt(o.DurationMS, 10), deref(o.Problem),
		}
	}
	return rows
}

func name(o catalog.Outcome) string {
	if o.Slug != nil {
		return *o.Slug + "  " + o.Database
	}
	return o.Database
}

func tenantCount(n int) string {
	if n == 1 {
		return "1 tenant"
	}
	return strconv.Itoa(n) + " tenants"
}

func number(n uint) string { return strconv.FormatUint(uint64(n), 10) }

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// label returns a school's slug, or a dash for a spare.
func label(slug string) string { return orDash(slug) }

func orDash(text string) string { return cmp.Or(text, "-") }
