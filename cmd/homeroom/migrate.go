package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"homeroom/catalog"
	"homeroom/fleet"
)

type migrateCommand struct {
	Plan        bool     `help:"Only list the tenants that are behind."`
	Tenant      []string `help:"Only these tenants: id, slug or database. May be repeated." placeholder:"TENANT"`
	Concurrency int      `default:"8" help:"How many tenants are migrated at the same time."`
	NoProgress  bool     `help:"No progress while it runs."`
	output
}

// Run migrates the fleet in the foreground.
func (c migrateCommand) Run(ctx context.Context, p program) error {
	cfg, err := readDevConfig(p)
	if err != nil {
		return err
	}
	// Failures are in the list that is printed at the end; logging them too would only break the progress bar.
	a, err := openApp(ctx, cfg, slog.New(slog.DiscardHandler), c.Concurrency+1)
	if err != nil {
		return err
	}
	defer a.close()
	for _, name := range c.Tenant {
		t, _, err := a.find(ctx, name)
		if err != nil {
			return err
		}
		if t.Lineage != cfg.migrations.Lineage() {
			return fmt.Errorf("the schema of tenant %s comes from other migrations than this program has: look at HOMEROOM_TENANT_MIGRATIONS", name)
		}
	}
	all, err := a.fleet(c.Concurrency)
	if err != nil {
		return err
	}
	if c.Plan {
		return c.plan(ctx, p, all)
	}
	report, err := all.Run(ctx, fleet.Options{By: operator(), Only: c.Tenant, Progress: c.progress(p.stderr)})
	if err != nil && report.Run.Total == 0 {
		return err
	}
	failures := c.report(p, report, all.Version())
	if err != nil {
		return err
	}
	return failures
}

func (c migrateCommand) plan(ctx context.Context, p program, all *fleet.Fleet) error {
	tenants, err := all.Plan(ctx, c.Tenant)
	if err != nil {
		return err
	}
	rows := make([][]string, len(tenants))
	for i, t := range tenants {
		rows[i] = []string{label(t.Slug), t.Database, t.Server, string(t.State), strconv.FormatUint(uint64(t.SchemaVersion), 10), strconv.FormatUint(uint64(all.Version()), 10)}
	}
	if err := c.print(p.stdout, []string{"SCHOOL", "DATABASE", "SERVER", "STATUS", "FROM", "TO"}, rows, entries(tenants)); err != nil {
		return err
	}
	if c.Output == "table" {
		fmt.Fprintf(p.stdout, "%s to migrate to version %d.\n", tenantCount(len(tenants)), all.Version())
	}
	return nil
}

// report prints what went wrong, then the sum. Its error carries the exit code.
func (c migrateCommand) report(p program, report fleet.Report, version uint) error {
	if c.Output != "table" {
		if err := c.print(p.stdout, outcomeHeader, outcomeRows(report.Outcomes), report.Outcomes); err != nil {
			return err
		}
	} else {
		c.summary(p.stdout, report, version)
	}
	if report.Run.Failed > 0 {
		return exitError(exitFailures)
	}
	return nil
}

func (c migrateCommand) summary(w io.Writer, report fleet.Report, version uint) {
	run := report.Run
	if run.Total == 0 {
		fmt.Fprintf(w, "All tenants are at version %d.\n", version)
		return
	}
	took := time.Duration(0)
	if run.FinishedAt != nil {
		took = run.FinishedAt.Sub(run.StartedAt).Round(time.Millisecond)
	}
	if report.Joined {
		fmt.Fprintf(w, "Another process (%s) did this run; these are its results.\n", run.StartedBy)
	}
	for _, outcome := range report.Outcomes {
		if outcome.Problem != nil {
			fmt.Fprintf(w, "failed  %s  (version %d)\n        %s\n", name(outcome), outcome.FromVersion, *outcome.Problem)
		}
	}
	fmt.Fprintf(w, "%s migrated to version %d, %d failed, in %s.\n", tenantCount(run.Done), run.ToVersion, run.Failed, took)
	if run.Failed > 0 {
		fmt.Fprintln(w, "The failed ones are as they were before the file that failed; those whose schema is to blame are quarantined.\n"+
			"Mend the cause and run homeroom migrate again: it takes up just the ones that are behind.")
	}
}

var outcomeHeader = []string{"DATABASE", "SCHOOL", "OUTCOME", "FROM", "TO", "MS", "PROBLEM"}

func outcomeRows(outcomes []catalog.Outcome) [][]string {
	rows := make([][]string, len(outcomes))
	for i, o := range outcomes {
		problem := ""
		if o.Problem != nil {
			problem = *o.Problem
		}
		slug := ""
		if o.Slug != nil {
			slug = *o.Slug
		}
		rows[i] = []string{o.Database, slug, o.State, strconv.FormatUint(uint64(o.FromVersion), 10), strconv.FormatUint(uint64(o.ToVersion), 10), strconv.FormatInt(o.DurationMS, 10), problem}
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

// label is a school's slug, or a dash for a spare.
func label(slug string) string {
	if slug == "" {
		return "-"
	}
	return slug
}

// progress shows how far the run is: a bar on a terminal, a line now and then elsewhere.
func (c migrateCommand) progress(w io.Writer) func(fleet.Progress) {
	switch file, ok := w.(*os.File); {
	case c.NoProgress:
		return nil
	case ok && term.IsTerminal(int(file.Fd())):
		return bar(w)
	default:
		return lines(w)
	}
}

func bar(w io.Writer) func(fleet.Progress) {
	var bar *progressbar.ProgressBar
	return func(p fleet.Progress) {
		if bar == nil {
			bar = progressbar.NewOptions(p.Total,
				progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("tenants"), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(),
				progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionSetPredictTime(true))
		}
		bar.ChangeMax(p.Total)
		if p.Failed > 0 {
			bar.Describe(fmt.Sprintf("migrating (%d failed)", p.Failed))
		} else {
			bar.Describe("migrating")
		}
		_ = bar.Set(p.Done + p.Failed)
	}
}

// lines writes a line every ten seconds, for logs.
func lines(w io.Writer) func(fleet.Progress) {
	const every = 10 * time.Second
	last := time.Now()
	return func(p fleet.Progress) {
		if time.Since(last) < every && p.Done+p.Failed < p.Total {
			return
		}
		last = time.Now()
		rate := float64(p.Done+p.Failed) / max(p.Elapsed.Seconds(), 0.001)
		fmt.Fprintf(w, "%d of %d tenants migrated, %d failed, %.1f a second\n", p.Done, p.Total, p.Failed, rate)
	}
}

// operator is who runs the command, for the record.
func operator() string {
	who, err := user.Current()
	if err != nil {
		return "operator on " + hostname()
	}
	return who.Username + " on " + hostname()
}
