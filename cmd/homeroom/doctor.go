package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/term"

	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/internal/jobs"
	"homeroom/tenant"
)

type doctorCommand struct {
	Fix          bool     `help:"Print the plan, then repair what certainly belongs to Homeroom. Databases with data are never dropped."`
	Yes          bool     `help:"With --fix: do not ask. Needed without a terminal."`
	Tenant       []string `help:"Only these tenants: id, slug or database. May be repeated." placeholder:"TENANT"`
	Shallow      bool     `help:"Do not open the tenants' databases."`
	NewTenantKey bool     `help:"With --fix: HOMEROOM_TENANT_KEY was changed on purpose. Records that, then gives every tenant's role its new password."`
	output
}

// Validate refuses a change of the key of all tenants together with options that select some of them.
func (c doctorCommand) Validate() error {
	switch {
	case !c.NewTenantKey:
		return nil
	case !c.Fix:
		return errors.New("--new-tenant-key needs --fix")
	case c.Shallow || len(c.Tenant) > 0:
		return errors.New("--new-tenant-key changes the passwords of all tenants: leave out --shallow and --tenant")
	}
	return nil
}

// Run compares the identity provider, the catalog and the servers. It exits with 3 when problems are left.
func (c doctorCommand) Run(ctx context.Context, p program) error {
	return onApp(ctx, p, !c.Fix, func(a *app) error {
		d, err := a.doctor(operator())
		if err != nil {
			return err
		}
		options := doctor.Options{Open: doctor.All, Only: c.Tenant, NewTenantKey: c.NewTenantKey}
		if c.Shallow {
			options.Open = 0
		}
		report, err := d.Examine(ctx, options)
		if errors.Is(err, catalog.ErrNotFound) {
			return fmt.Errorf("%w: homeroom tenant list shows all", err)
		}
		if err != nil {
			return err
		}
		var repairs []repaired
		if plan := d.Plan(report); c.Fix && len(plan) > 0 {
			if report, repairs, err = c.repair(ctx, p, d, report, plan); err != nil {
				return err
			}
		}
		if err := c.show(p.stdout, report, repairs); err != nil {
			return err
		}
		if report.HasProblems() {
			return exitError(exitFailures)
		}
		return nil
	})
}

// repair prints the plan, carries it out, and examines again.
func (c doctorCommand) repair(ctx context.Context, p program, d *doctor.Doctor, report doctor.Report, plan []doctor.Finding,
) (doctor.Report, []repaired, error) {
	out := p.stdout
	if c.Output != "table" {
		out = p.stderr // the list goes elsewhere
	}
	printPlan(out, plan)
	if !c.Yes && !agreed(out) {
		fmt.Fprint(out, "Nothing was repaired.\n\n")
		return report, nil, nil
	}
	repairs := []repaired{}
	report, err := d.Fix(ctx, report, func(f doctor.Finding, err error) {
		r := repaired{Finding: f, Problem: problemOf(err)}
		repairs = append(repairs, r)
		printRepair(out, r)
	})
	fmt.Fprintln(out)
	return report, repairs, err
}

// agreed asks the user at the terminal. Without a terminal it reports false.
func agreed(w io.Writer) bool {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintln(w, "There is no terminal to ask at: --yes repairs without asking.")
		return false
	}
	fmt.Fprint(w, "Go on? [y/N] ")
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// repaired is a finding after its repair. Problem is empty when the repair succeeded.
type repaired struct {
	doctor.Finding
	Problem string `json:"problem,omitempty"`
}

func problemOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// doctor makes the doctor, which compares everything that the app is connected to.
func (a *app) doctor(actor string) (*doctor.Doctor, error) {
	queue, err := jobs.NewQueue(a.catalog.Pool())
	if err != nil {
		return nil, err
	}
	cfg := doctor.Config{
		Catalog: a.catalog, Servers: a.servers, Identity: a.identity, Jobs: a.unfinishedJobs, CancelJob: queue.Cancel,
		Reconcile: a.signup.ReconcileOnce, Resume: a.resume(actor), KeyCheck: tenant.KeyCheck(a.cfg.TenantKey), Spares: a.cfg.Spares, Actor: actor,
		Settings: settingNames(""), Logger: a.logger,
	}
	if _, missing := a.identity.(unconfigured); missing {
		cfg.Identity, cfg.Reconcile, cfg.Resume = nil, nil, nil // without a provider, no sign-up can be resumed
	}
	if a.cfg.AllowSuperuser {
		cfg.Tolerate = tooMuch
	}
	return doctor.New(cfg)
}

// resume returns the function by which the doctor resumes a sign-up that needs an operator.
func (a *app) resume(actor string) func(ctx context.Context, id uuid.UUID) error {
	return func(ctx context.Context, id uuid.UUID) error {
		resolved, err := a.signup.ResolveFinish(ctx, id, catalog.Actor{Name: actor})
		return cmp.Or(err, resolved.Cause)
	}
}

func (a *app) unfinishedJobs(ctx context.Context) ([]doctor.Job, error) {
	unfinished, err := jobs.ListUnfinished(ctx, a.catalog.Pool())
	list := make([]doctor.Job, len(unfinished))
	for i, job := range unfinished {
		list[i] = doctor.Job(job)
	}
	return list, err
}
