package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/user"
	"time"

	"homeroom/catalog"
	"homeroom/fleet"
)

type migrateCommand struct {
	Run    migrateRun    `cmd:"" default:"withargs" help:"Bring tenants to the newest version, or to another. The default of migrate."`
	List   migrateList   `cmd:"" help:"List the runs, newest first."`
	Show   migrateShow   `cmd:"" help:"Show a run and its failures."`
	Pause  migratePause  `cmd:"" help:"Stop the open run until it is resumed. Migrations that have begun are cancelled."`
	Resume migrateResume `cmd:"" help:"Resume the paused run."`
	Abort  migrateAbort  `cmd:"" help:"End the open run, and cancel the migrations that have begun. What it has done stays."`
}

type migrateRun struct {
	Plan        bool     `help:"Only print what would be done: which tenants, from and to which version, with which files."`
	Tenant      []string `help:"Only these tenants: id, slug or database. May be repeated." placeholder:"TENANT"`
	To          *uint    `help:"Migrate to this version. Tenants above it are migrated down, if --tenant names them." placeholder:"VERSION"`
	Canaries    *int     `help:"How many tenants are migrated first; 0 migrates all at once. Default: those marked as canaries, or 1." placeholder:"N"`
	MaxFailures *int     `help:"How many tenants may fail before the run stops. Default: a tenth of them, at least 3." placeholder:"N"`
	Concurrency int      `default:"8" help:"How many tenants of a server are migrated at the same time."`
	NoProgress  bool     `help:"Print no progress."`
	output
}

// Run migrates the fleet in the foreground.
func (c migrateRun) Run(ctx context.Context, p program) error {
	if err := c.check(); err != nil {
		return err
	}
	return withFleet(ctx, p, c.Concurrency, c.Plan, func(a *app, all *fleet.Fleet) error {
		names, err := c.choose(ctx, all)
		if err != nil {
			return err
		}
		options := fleet.Options{
			By: operator(), Only: names, To: c.To, Canaries: c.Canaries, MaxFailures: c.MaxFailures, Concurrency: c.Concurrency,
		}
		if c.Plan {
			if err := a.catalog.CheckFiles(ctx, a.cfg.migrations); err != nil {
				return err
			}
			return c.plan(ctx, p, all, options)
		}
		if !c.NoProgress {
			options.Progress = progress(p.stderr)
		}
		report, err := all.Run(ctx, options)
		if ctx.Err() != nil {
			fmt.Fprintln(p.stderr) // the line of the progress bar, and of the terminal's ^C
			return c.interrupted(ctx, a, report)
		}
		if err != nil && report.Run.Total == 0 {
			return err
		}
		if err == nil {
			err = c.takeFingerprints(ctx, p, all)
		}
		var status *fleet.VersionStatus
		if err == nil && (report.Run.Total == 0 || report.Run.State == catalog.RunDone) {
			status, err = c.versionStatus(ctx, p, all, options, report)
		}
		if printed := c.report(p, report, status); err == nil {
			err = printed
		}
		return err
	})
}

// takeFingerprints records fingerprints of the tenants that were migrated. If it is interrupted, a service or the
// next command goes on with it.
func (c migrateRun) takeFingerprints(ctx context.Context, p program, all *fleet.Fleet) error {
	var tell func(int)
	if !c.NoProgress {
		tell = counter(p.stderr, "schemas read")
	}
	if err := all.TakeFingerprints(ctx, tell); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// versionStatus counts the tenants by version after the run.
func (c migrateRun) versionStatus(ctx context.Context, p program, all *fleet.Fleet, options fleet.Options, report fleet.Report) (*fleet.VersionStatus, error) {
	var tell func(int)
	if !c.NoProgress {
		tell = counter(p.stderr, "databases read")
	}
	status, err := all.VersionStatus(ctx, options, report.Outcomes, tell)
	if err != nil {
		return nil, err
	}
	return &status, nil
}

func (c migrateRun) check() error {
	switch {
	case c.Concurrency < 1:
		return errors.New("--concurrency must be at least 1")
	case c.Canaries != nil && *c.Canaries < 0:
		return errors.New("--canaries cannot be negative: 0 migrates all tenants at once")
	case c.MaxFailures != nil && *c.MaxFailures < 0:
		return errors.New("--max-failures cannot be negative: 0 stops at the first failure")
	}
	return nil
}

// choose refuses tenants that no run can take, and versions that cannot be reached, as the API does.
func (c migrateRun) choose(ctx context.Context, all *fleet.Fleet) (names []string, err error) {
	names, wrong, err := all.Choose(ctx, c.Tenant, c.To)
	for _, r := range wrong {
		err = errors.Join(err, c.refusal(r))
	}
	return names, err
}

// refusal says what is wrong with a choice, and what to do.
func (c migrateRun) refusal(r fleet.InvalidChoice) error {
	switch r.Reason {
	case fleet.UnknownVersion:
		return fmt.Errorf("--to %d: %w", *c.To, r.Cause)
	case fleet.NoDownMigration:
		return fmt.Errorf("--to %d: tenant %s cannot be migrated down from version %d: %w", *c.To, c.Tenant[r.Index], r.Tenant.SchemaVersion, r.Cause)
	case fleet.UnknownTenant:
		return fmt.Errorf("there is no tenant %q: homeroom tenant list shows all", c.Tenant[r.Index])
	case fleet.OtherSchema:
		return fmt.Errorf("the schema of tenant %s comes from other migrations than this program has: check HOMEROOM_TENANT_MIGRATIONS", c.Tenant[r.Index])
	case fleet.UnknownServer:
		return fmt.Errorf("tenant %s is on server %s, which is not configured here", c.Tenant[r.Index], r.Tenant.Server)
	case fleet.BeingReplaced:
		return fmt.Errorf("the database of tenant %[1]s is being replaced. If that was interrupted, repeat it: homeroom tenant reprovision %[1]s", c.Tenant[r.Index])
	}
	return fmt.Errorf("tenant %s is %s: a run cannot migrate it", c.Tenant[r.Index], r.Tenant.State)
}

// interrupted pauses a run that was started by this command, since services would go on with it otherwise, and a user
// who interrupts the command wants to stop the run.
func (c migrateRun) interrupted(ctx context.Context, a *app, report fleet.Report) error {
	run := report.Run
	if report.Joined || !run.State.Open() {
		return errors.New("interrupted")
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := a.catalog.ChangeRun(closing, run.ID, catalog.RunPaused, operator())
	if err != nil && !errors.Is(err, catalog.ErrStateChanged) {
		return fmt.Errorf("interrupted, but the run could not be paused, and another process may go on with it: %w", err)
	}
	return fmt.Errorf("interrupted: the run is paused after %d of %d tenants. Resume it with homeroom migrate, or end it with homeroom migrate abort",
		run.Done+run.Failed, run.Total)
}

// withFleet runs f on the fleet. f prints the failures of tenants; they are not logged as well, since that would
// break the progress bar.
func withFleet(ctx context.Context, p program, concurrency int, readOnly bool, f func(a *app, all *fleet.Fleet) error) error {
	cfg, err := readCommandConfig(p)
	if err != nil {
		return err
	}
	cfg.readOnly = readOnly
	a, err := openApp(ctx, cfg, slog.New(slog.DiscardHandler), concurrency+1)
	if err != nil {
		return err
	}
	defer a.close()
	a.warnVersionMismatch(p)
	if !readOnly { // it records what is new
		if err := a.checkInstallation(ctx); err != nil {
			return err
		}
	}
	all, err := a.fleet(concurrency)
	if err != nil {
		return err
	}
	return f(a, all)
}

// operator names the user who runs the command, for the audit log.
func operator() string {
	who, err := user.Current()
	if err != nil {
		return "operator on " + hostname()
	}
	return who.Username + " on " + hostname()
}
