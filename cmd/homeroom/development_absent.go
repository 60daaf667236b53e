//go:build !dev

package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// developmentCommands have the names only, so that a user who calls one learns where it is. The commands themselves,
// and the Auth0 simulator, are not in this build: see development.go.
type developmentCommands struct {
	Dev      absentCommand `cmd:"" hidden:"" passthrough:"" help:"Not in this build."`
	Auth0sim absentCommand `cmd:"" name:"auth0sim" hidden:"" passthrough:"" help:"Not in this build."`
	Token    absentCommand `cmd:"" hidden:"" passthrough:"" help:"Not in this build."`
}

type absentCommand struct {
	Args []string `arg:"" optional:"" help:"Not used."`
}

// Run returns an error that says that the command is missing.
func (absentCommand) Run(parsed *kong.Context) error {
	return fmt.Errorf("this build has no `homeroom %s`: it is for development; build with -tags dev, as make build does", parsed.Selected().Name)
}

// readCommandConfig reads the configuration of commands that are used next to a running service.
func readCommandConfig(p program) (config, error) { return readConfig(p.environ) }
