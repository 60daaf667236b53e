package main

import "fmt"

type helpCommand struct {
	Topic string `arg:"" optional:"" enum:"config," default:"config" help:"config: the environment variables."`
}

// Run prints the documentation of the environment.
func (helpCommand) Run(p program) error {
	fmt.Fprint(p.stdout, "Homeroom is configured by environment variables. A secret (*) may be given as a file instead:\n"+
		"NAME_FILE=/run/secrets/name. `homeroom dev` needs none of them.\n\n")
	var rows [][]string
	for _, v := range variables() {
		name := v.Name
		if v.Secret {
			name += " *"
		}
		help := v.Help
		if v.Default != "" {
			help += " (default " + v.Default + ")"
		}
		rows = append(rows, []string{name, help})
	}
	return printTable(p.stdout, rows)
}
