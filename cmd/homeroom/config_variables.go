package main

import (
	"reflect"
	"strings"

	"homeroom/internal/secret"
	"homeroom/internal/setting"
)

// variable documents an environment variable.
type variable struct {
	Name, Default, Help string
	Secret              bool
	// field and typ are those of the configuration that it fills.
	field string
	typ   reflect.Type
	// is names one of the forms; choices are the possible values, separated by commas. Both may be empty.
	is, choices string
}

// variables returns the documentation of the environment, made from the struct so that the two cannot differ.
func variables() []variable { return variablesOf(reflect.TypeFor[config]()) }

func variablesOf(part reflect.Type) []variable {
	var all []variable
	for field := range part.Fields() {
		if field.Anonymous && field.IsExported() {
			all = append(all, variablesOf(field.Type)...)
			continue
		}
		name, ok := field.Tag.Lookup("env")
		if !ok {
			continue
		}
		all = append(all, variable{
			Name: name, Default: field.Tag.Get("envDefault"), Help: field.Tag.Get("help"),
			Secret: field.Type == reflect.TypeFor[secret.String]() || field.Type == reflect.TypeFor[tenantKey](),
			field:  field.Name, typ: field.Type, is: field.Tag.Get("is"), choices: field.Tag.Get("choices"),
		})
		if name == "HOMEROOM_CATALOG_URL" {
			all = append(all, variable{Name: "HOMEROOM_SERVER_<NAME>_URL", Help: serverHelp, Secret: true, is: "postgres"})
		}
	}
	return all
}

// settingNames are the variables of the fields of a library's Config. Ours have the same names with a prefix.
func settingNames(prefix string) setting.Names {
	return func(field string) string {
		if server, ok := strings.CutPrefix(field, "Servers."); ok {
			return serverVariable(server)
		}
		for _, v := range variables() {
			if v.field == prefix+field {
				return v.Name
			}
		}
		return field
	}
}

// serverVariable is the variable for the URL of a server.
func serverVariable(name string) string { return "HOMEROOM_SERVER_" + strings.ToUpper(name) + "_URL" }
