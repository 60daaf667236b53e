//go:build dev

package main

import (
	"path/filepath"
	"slices"
	"strings"

	"homeroom/internal/devpg"
)

// developmentCommands run or ask the Auth0 simulator, which gives a token for anything to whoever reaches it. Only a build
// with the tag dev has them.
type developmentCommands struct {
	Dev      devCommand      `cmd:"" help:"Run everything on this machine, to try it. It needs no settings."`
	Auth0sim auth0simCommand `cmd:"" name:"auth0sim" help:"Run the Auth0 simulator by itself."`
	Token    tokenCommand    `cmd:"" help:"Get an access token from the simulator."`
}

// readCommandConfig is readConfig, except that without a catalog in the environment the settings of the development server
// count. It serves commands in another terminal.
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
