package main

import (
	"reflect"

	"homeroom/internal/secret"
)

// variable is a line of the documentation.
type variable struct {
	Name, Default, Help string
	Secret              bool
	// field and typ are those of the configuration that it fills.
	field string
	typ   reflect.Type
	// is names one of the forms, choices are the values there are, separated by commas; empty where neither says more.
	is, choices string
}

// variables documents the environment from the struct itself, so that the two cannot differ.
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
