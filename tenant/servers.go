package tenant

import (
	"fmt"
	"maps"
	"slices"

	"homeroom/internal/setting"
	"homeroom/migrations"
)

// Servers are the configured servers, by name. All of them have the same migrations.
type Servers map[string]*Server

// Names returns their names, sorted.
func (s Servers) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Migrations returns the migrations of the tenants: those of the first server by name. There must be a server.
func (s Servers) Migrations() *migrations.Set { return s[s.Names()[0]].Migrations() }

// Get returns the server with this name of the catalog.
func (s Servers) Get(name string) (*Server, error) {
	server, ok := s[name]
	if !ok {
		var settings setting.Names
		for _, other := range s { // all name them in the same way
			settings = other.cfg.Settings
		}
		return nil, fmt.Errorf("server %q is in the catalog, but not configured here: set %s", name, settings.Of("Servers."+name))
	}
	return server, nil
}

// Close closes all of them.
func (s Servers) Close() {
	for _, server := range s {
		server.Close()
	}
}
