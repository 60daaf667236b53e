//go:build dev

package main

import (
	"path/filepath"
	"slices"
	"strings"

	"homeroom/internal/devpg"
)

// developmentCommands run or call the Auth0 simulator, which gives a token with any permission to everybody who can
// reach it. Only a build with the tag dev has them.
type developmentCommands struct {
	Dev      devCommand      `cmd:"" help:"Run everything on this machine, to try it. It needs no settings."`
	Auth0sim auth0simCommand `cmd:"" name:"auth0sim" help:"Run the Auth0 simulator by itself."`
	Token    tokenCommand    `cmd:"" help:"Get an access token from the simulator."`
}

// readCommandConfig reads the configuration of commands that are used next to a running service. Without a catalog in
// the environment it uses the settings of the development server.
func readCommandConfig(p program) (config, error) {
	cfg, err := readConfig(p.environ)
	if err == nil || slices.ContainsFunc(p.environ, func(v string) bool { return strings.HasPrefix(v, "HOMEROOM_CATALOG_URL") }) {
		return cfg, err
	}
	dir, look := devpg.StateDir()
	if look != nil {
		return cfg, err
	}
	s, look := readSettings(filepath.Join(dir, settingsFile))
	if look != nil {
		return cfg, err
	}
	cfg, err = readConfig(s.under(p.environ))
	cfg.ofDev = true
	return cfg, err
}
