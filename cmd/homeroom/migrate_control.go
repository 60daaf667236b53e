package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

type migrateList struct {
	Limit int `default:"20" help:"How many."`
	output
}

// Run lists runs.
func (c migrateList) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		page, err := a.catalog.Runs(ctx, "", c.Limit)
		if err != nil {
			return err
		}
		runs := page.Rows
		if len(runs) == 0 && c.Output == "table" {
			_, err := fmt.Fprintln(p.stdout, "No runs yet.")
			return err
		}
		rows := make([][]string, len(runs))
		for i, run := range runs {
			rows[i] = []string{
				run.ID.String(), run.StartedAt.UTC().Format(time.RFC3339), string(run.State), number(run.ToVersion),
				fmt.Sprintf("%d/%d", run.Done, run.Total), strconv.Itoa(run.Failed), run.StartedBy,
			}
		}
		return c.print(p.stdout, []string{"RUN", "STARTED", "STATE", "TO", "DONE", "FAILED", "BY"}, rows, runs)
	})
}

type migrateShow struct {
	ID string `arg:"" optional:"" name:"run" help:"Id of the run; the newest when empty."`
	output
}

// Run shows a run: its figures, then every failure.
func (c migrateShow) Run(ctx context.Context, p program) error {
	return withReadOnlyApp(ctx, p, func(a *app) error {
		run, err := a.findRun(ctx, c.ID)
		if err != nil {
			return err
		}
		outcomes, err := a.catalog.Outcomes(ctx, run.ID)
		if err != nil {
			return err
		}
		if c.Output != "table" {
			return c.print(p.stdout, outcomeHeader, outcomeRows(outcomes), struct {
				catalog.Run
				Outcomes []catalog.Outcome
			}{run, outcomes})
		}
		rows := [][]string{
			{"run", run.ID.String()},
			{"state", string(run.State)},
			{"to version", number(run.ToVersion) + " (" + run.Direction + ")"},
			{"tenants", fmt.Sprintf("%d done, %d failed, of %d", run.Done, run.Failed, run.Total)},
			{"started", run.StartedAt.UTC().Format(time.RFC3339) + " by " + run.StartedBy},
		}
		if eta := run.ETA(); eta > 0 {
			rows = append(rows, []string{"to go", fmt.Sprintf("%s, at %.1f a second", eta.Round(time.Second), run.Rate)})
		}
		if run.Problem != nil {
			rows = append(rows, []string{"problem", *run.Problem})
		}
		if err := printTable(p.stdout, rows); err != nil {
			return err
		}
		failed := outcomes[:0:0]
		for _, outcome := range outcomes {
			if outcome.Problem != nil {
				failed = append(failed, outcome)
			}
		}
		if len(failed) == 0 {
			return nil
		}
		fmt.Fprintln(p.stdout)
		return printTable(p.stdout, append([][]string{outcomeHeader}, outcomeRows(failed)...))
	})
}

// findRun returns the run with this id, or the newest.
func (a *app) findRun(ctx context.Context, id string) (catalog.Run, error) {
	if id != "" {
		parsed, err := uuid.Parse(id)
		if err == nil {
			return a.catalog.RunByID(ctx, parsed)
		}
		return catalog.Run{}, fmt.Errorf("%q is not the id of a run: homeroom migrate list shows all", id)
	}
	newest, err := a.catalog.Runs(ctx, "", 1)
	if err == nil && len(newest.Rows) == 0 {
		err = errors.New("there has been no run yet")
	}
	if err != nil {
		return catalog.Run{}, err
	}
	return newest.Rows[0], nil
}

type migratePause struct{}

// Run pauses the open run.
func (migratePause) Run(ctx context.Context, p program) error {
	return changeRun(ctx, p, catalog.RunPaused, "paused")
}

type migrateResume struct{}

// Run resumes the paused run. A service works on it; so does homeroom migrate.
func (migrateResume) Run(ctx context.Context, p program) error {
	return changeRun(ctx, p, catalog.RunRunning, "running again: a service continues it within seconds, and so does homeroom migrate")
}

type migrateAbort struct{}

// Run aborts the open run.
func (migrateAbort) Run(ctx context.Context, p program) error {
	return changeRun(ctx, p, catalog.RunAborted, "aborted")
}

// changeRun changes the open run, and prints its progress.
func changeRun(ctx context.Context, p program, to catalog.RunState, what string) error {
	return withApp(ctx, p, func(a *app) error {
		run, err := a.catalog.OpenRun(ctx)
		if errors.Is(err, catalog.ErrNotFound) {
			return errors.New("no run is open")
		}
		if err != nil {
			return err
		}
		err = a.catalog.ChangeRun(ctx, run.ID, to, operator())
		if errors.Is(err, catalog.ErrStateChanged) {
			return fmt.Errorf("the run is %s", run.State)
		}
		if err == nil {
			_, err = fmt.Fprintf(p.stdout, "The run to version %d, with %d of %d tenants processed, is %s.\n", run.ToVersion, run.Done+run.Failed, run.Total, what)
		}
		return err
	})
}
