package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"homeroom/internal/secret"
)

type configCommand struct {
	Check configCheck `cmd:"" help:"Find everything that is wrong with the settings of the service. It connects to nothing."`
	Show  configShow  `cmd:"" help:"Show every setting. Secrets are not shown."`
}

type configCheck struct{}

// Run checks the environment as serve does, and warns of names that Homeroom does not know.
func (configCheck) Run(p program) error {
	for _, warning := range unknownVariables(p.environ) {
		fmt.Fprintln(p.stdout, warning)
	}
	cfg, err := readServiceConfig(p.environ)
	for _, name := range cfg.old {
		fmt.Fprintf(p.stdout, "%s is called %s now; the old name still works.\n", name, present(name))
	}
	for _, name := range cfg.removed {
		fmt.Fprintf(p.stdout, "%s has no effect any more: remove it.\n", name)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "The settings are complete. `homeroom doctor` checks what they refer to.")
	return err
}

// unknownVariables returns warnings about variables whose names look like Homeroom's and are not. They are warnings
// only, since other programs have variables too.
func unknownVariables(environ []string) (warnings []string) {
	from, _ := readEnvironment(environ)
	known := map[string]bool{}
	for _, v := range append(variables(), developmentVariables...) {
		known[v.Name] = true
		if v.Secret {
			known[v.Name+"_FILE"] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(from.values)) {
		if known[name] || serverName.MatchString(strings.TrimSuffix(name, "_FILE")) || !strings.HasPrefix(name, "HOMEROOM_") ||
			strings.HasPrefix(name, "HOMEROOM_SERVER_") { // their names are checked with the settings
			continue
		}
		warning := name + " is no setting of Homeroom."
		if plain, isFile := strings.CutSuffix(name, "_FILE"); isFile && known[plain] {
			warning = name + " is no setting of Homeroom: only secrets may be files. Set " + plain + "."
		} else if near := nearest(name, known); near != "" {
			warning = name + " is no setting of Homeroom. Did you mean " + near + "?"
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// nearest returns the known name that differs by at most three letters, or an empty one.
func nearest(name string, known map[string]bool) (found string) {
	least := 4
	for _, other := range slices.Sorted(maps.Keys(known)) {
		if d := distance(name, other); d < least {
			least, found = d, other
		}
	}
	return found
}

// distance is the Levenshtein distance: how many letters must be added, removed or replaced to turn one text into the
// other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

type configShow struct {
	Sources bool `help:"Show also where each value comes from."`
	output
}

// shownSetting is a variable as `config show` prints it.
type shownSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Run shows every variable, and afterwards what is wrong with them.
func (c configShow) Run(p program) error {
	cfg, err := readCommandConfig(p)
	settings := cfg.settings(p.environ)
	header, rows := []string{"NAME", "VALUE"}, make([][]string, len(settings))
	for i, s := range settings {
		rows[i] = []string{s.Name, cmp.Or(s.Value, "-")}
		if c.Sources {
			rows[i] = append(rows[i], s.Source)
		}
	}
	if c.Sources {
		header = append(header, "SOURCE")
	}
	if printed := c.print(p.stdout, header, rows, settings); printed != nil {
		return printed
	}
	return err
}

// settings returns all variables with their values. own is the environment of this process, without the settings that
// homeroom dev has added.
func (c config) settings(own []string) []shownSetting {
	mine, _ := readEnvironment(own)
	var all []shownSetting
	add := func(v variable) {
		s := shownSetting{Name: v.Name, Value: v.Default, Source: "default"}
		if value, set := c.values[v.Name]; set {
			s.Value, s.Source = value, c.sources[v.Name]
			if _, here := mine.values[v.Name]; !here {
				s.Source = "homeroom dev"
			}
		}
		if c.sources[v.Name] == sourceWrong {
			s.Value, s.Source = "?", sourceWrong
		}
		if v.Secret && s.Value != "" && s.Value != "?" {
			s.Value = secret.Redacted
		}
		if s.Value == "" {
			s.Source = "not set"
		}
		all = append(all, s)
	}
	for _, v := range variables() {
		if !strings.Contains(v.Name, "<") {
			add(v)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.values)) {
			if serverName.MatchString(name) {
				add(variable{Name: name, Secret: true})
			}
		}
	}
	return all
}
