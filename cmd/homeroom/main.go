// Command homeroom runs and operates a product in which every school has its own Postgres database.
//
// It wires the packages together and contains no rules itself. `homeroom dev` runs everything on one machine; `serve`
// runs the service; `migrate` migrates all tenants' databases; `tenant` shows and repairs single tenants; `signup`
// approves sign-ups and invites people; `webhook` manages the addresses that receive events; `doctor` compares
// identity provider, catalog and servers.
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

// Exit codes, which callers rely on.
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
	Tenant     tenantCommand     `cmd:"" help:"Show single tenants, and repair them."`
	Signup     signupCommand     `cmd:"" help:"Approve sign-ups, and invite people."`
	Webhook    webhookCommand    `cmd:"" help:"Manage the webhooks, which receive events."`
	Doctor     doctorCommand     `cmd:"" help:"Find problems in provider, catalog and servers, and repair them on request."`
	Config     configCommand     `cmd:"" help:"Check and show the settings."`
	Completion completionCommand `cmd:"" help:"Print the script with which a shell completes the command line."`
	Help       helpCommand       `cmd:"" help:"Explain a command, or all settings: help config."`
	Version    versionCommand    `cmd:"" help:"Print the version, as --version and -v do."`

	Complete completeCommand `cmd:"" name:"__complete" hidden:"" help:"Called by a shell while a command line is typed."`
}

// program is the environment of a command: its variables and outputs, so that tests can replace them.
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

// withoutReading keeps the parser from reading psql's arguments as Homeroom's: `tenant psql SCHOOL -Atc …`.
func withoutReading(args []string) []string {
	if len(args) < 4 || args[0] != "tenant" || args[1] != "psql" || strings.HasPrefix(args[2], "-") || args[3] == "--" {
		return args
	}
	return slices.Insert(slices.Clone(args), 3, "--")
}

// logger writes JSON lines to standard error, as log collectors expect.
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
