// Command homeroom is the front door of a product in which every school has its own Postgres database.
//
// It wires the packages together and decides nothing itself. `homeroom dev` runs everything on one machine; `serve` runs
// the service; `migrate` brings all tenants' databases up to date; `tenant` looks at and repairs single ones; `signup` lets
// people in; `webhook` says who is told of what happens; `doctor` compares everything with everything.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"homeroom/internal/display"
)

// The exit codes that callers rely on.
const (
	exitOK       = 0
	exitCannot   = 1 // it could not run
	exitUsage    = 2 // the command line is wrong
	exitFailures = 3 // it ran, and some tenants failed
)

// commands is the command line.
type commands struct {
	developmentCommands

	Serve      serveCommand      `cmd:"" help:"Run the service."`
	Migrate    migrateCommand    `cmd:"" help:"Bring tenants' databases up to date."`
	Tenant     tenantCommand     `cmd:"" help:"Look at single tenants, and repair them."`
	Signup     signupCommand     `cmd:"" help:"Approve sign-ups, and invite people."`
	Webhook    webhookCommand    `cmd:"" help:"Look after the addresses that are told of what happens."`
	Doctor     doctorCommand     `cmd:"" help:"Find what is wrong anywhere, and repair it on request."`
	Config     configCommand     `cmd:"" help:"Check and show the settings."`
	Completion completionCommand `cmd:"" help:"Print what makes a shell complete the command line."`
	Help       helpCommand       `cmd:"" help:"Explain a command, or all settings: help config."`
	Version    versionCommand    `cmd:"" help:"Print the version, as --version and -v do."`

	Complete completeCommand `cmd:"" name:"__complete" hidden:"" help:"What a shell asks while a command line is written."`
}

// program is what a command is given: the world outside, so that tests can give another.
type program struct {
	environ        []string
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], program{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}

// exitError ends the program with a code. Its message, if any, has been printed.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, p program) int {
	p.stdout, p.stderr = display.Writer(p.stdout), display.Writer(p.stderr)
	exit := -1
	parser := newParser(p, func(code int) { exit = code }, kong.BindTo(ctx, (*context.Context)(nil)))
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if args[0] == "--version" || args[0] == "-v" {
		args = []string{"version"}
	}
	parsed, err := parser.Parse(withoutReading(args))
	if exit >= 0 { // help was asked for and printed
		return exit
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "homeroom:", err)
		return exitUsage
	}
	err = parsed.Run()
	var code exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(p.stderr, "homeroom: stopped before it was done:", context.Cause(ctx))
		return exitCannot
	default:
		fmt.Fprintln(p.stderr, "homeroom:", err)
		return exitCannot
	}
}

// newParser makes the parser of the command line.
func newParser(p program, exit func(code int), options ...kong.Option) *kong.Kong {
	parser, err := kong.New(&commands{}, append(options,
		kong.Name("homeroom"),
		kong.Description("Every school signs up with one request and gets a Postgres database of its own."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(exit),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: helpWidth}),
		kong.Bind(p),
	)...)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	return parser
}

// withoutReading keeps the arguments that are psql's from being read as ours: `tenant psql SCHOOL -Atc …`.
func withoutReading(args []string) []string {
	if len(args) < 4 || args[0] != "tenant" || args[1] != "psql" || strings.HasPrefix(args[2], "-") || args[3] == "--" {
		return args
	}
	return slices.Insert(slices.Clone(args), 3, "--")
}

// logger writes JSON lines to standard error, as log collectors want them.
func (p program) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(p.stderr, nil)) }

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(p program) error {
	_, err := fmt.Fprintln(p.stdout, "homeroom", version())
	return err
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "devel"
}
