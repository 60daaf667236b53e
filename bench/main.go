// Command bench measures Homeroom's speed, side by side and in one run: sign-ups against the way that
// tutorials show and against Postgres's own CREATE DATABASE; sign-ups and the start-up check at 10, 100 and 1,000 tenants; the
// memory of a process that uses all of them; the start-up and the migration of many tenants against golang-migrate's stock
// driver and against bare SQL.
//
// Machines differ, and are shared, so milliseconds mean little by themselves: the variants take turns on one Postgres
// server with fsync on (one server for each number of tenants), and the ratio of their medians is the result. It fails on
// errors, never on speed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	rounds, signups  int
	tenants, catalog int
	tries, spares    int
	scale            []int
	only             []string
	json             bool
	migrations, dir  string
}

// runs reports whether any of these sections was requested.
func (o options) runs(sections ...string) bool {
	return len(o.only) == 0 || slices.ContainsFunc(sections, func(name string) bool { return slices.Contains(o.only, name) })
}

// section is a part of the run with its own variants.
type section struct {
	name string
	run  func(context.Context, *testbed) (results, error)
}

// The fleet's section comes last: it leaves the tenants with migrations that the others do not expect.
var sections = []section{
	{"signups", signups},
	{"service", service},
	{"startup", startup},
	{"scale", scale},
	{"memory", memory},
	{"conceal", conceal},
	{"fleet", migrateFleet},
}

func main() {
	if name := os.Getenv(childEnv); name != "" {
		if err := serveChild(name); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this process and Postgres at once
	exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(130)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// run measures, and prints the results to out and the progress to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := readOptions(args, progress)
	if err != nil {
		return err
	}
	b, err := newTestbed(ctx, o, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r := report{Machine: b.machine(ctx)}
	for _, s := range sections {
		if !o.runs(s.name) {
			continue
		}
		found, err := s.run(ctx, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.add(found)
	}
	if o.json {
		return r.writeJSON(out)
	}
	return r.writeText(out)
}

func readOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var only, levels string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.rounds, "rounds", 6, "how often every variant has its turn, after one round that is not counted; with 500 tenants or more the fleet's section has half as many, at least 3")
	flags.IntVar(&o.signups, "signups", 16, "sign-ups in a turn of 8 clients; one client makes a third of them")
	flags.IntVar(&o.tenants, "tenants", 1000, "tenants whose databases are checked, used and migrated; each takes 8 to 12 MB of disk meanwhile")
	flags.StringVar(&levels, "scale", "10,100,1000", "`numbers` of tenants at which sign-ups and the start-up check are compared")
	flags.IntVar(&o.catalog, "catalog", 10_000, "tenants in the catalog of the large start-up check, as rows only")
	flags.IntVar(&o.tries, "tries", 6000, "sign-ups with which the conceal section tries to find out whether an e-mail has an account")
	flags.IntVar(&o.spares, "spares", 64, "spares that the running service keeps")
	flags.StringVar(&only, "only", "", "`sections` to run, separated by commas: signups, service, startup, scale, memory, conceal, fleet (default all)")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.StringVar(&o.migrations, "migrations", "migrations/tenant", "`folder` of the tenants' migrations")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "`folder` on the disk to measure; all that is put there is removed again")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return o, fmt.Errorf("there is no section %q: see -help", name)
		}
	}
	for level := range strings.SplitSeq(levels, ",") {
		n, err := strconv.Atoi(level)
		if err != nil {
			return o, fmt.Errorf("-scale is %q, not numbers separated by commas", levels)
		}
		o.scale = append(o.scale, n)
	}
	slices.Sort(o.scale)
	o.scale = slices.Compact(o.scale)
	if flags.NArg() > 0 || min(o.rounds, o.signups, o.spares, o.tenants, o.catalog, o.scale[0]) < 1 {
		return o, errors.New("all numbers must be at least 1, and there are no arguments besides the flags: see -help")
	}
	return o, nil
}
