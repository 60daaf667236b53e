package tenant_test

import (
	"bytes"
	"testing"

	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

func TestTheSchemaOfAllServersIsThatOfTheFirstByName(t *testing.T) {
	t.Parallel()
	schema := map[string]*migrations.Set{"a": migrations.Tenant(), "b": migrations.Catalog(), "c": migrations.Catalog()}
	servers := tenant.Servers{}
	for name, set := range schema {
		server, err := tenant.Open(tenant.Config{
			Name: name, URL: secret.String("postgres://homeroom@127.0.0.1:1/postgres"), Key: bytes.Repeat([]byte{7}, 32), Migrations: set,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		servers[name] = server
	}
	for range 50 {
		if servers.Migrations() != schema["a"] {
			t.Fatal("it belongs to another server")
		}
	}
}
