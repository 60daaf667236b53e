package main

import (
	"encoding/base64"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

// TestServeRefusesWhatIsNotOfThisInstallation starts the service with another tenant key, and with a server's URL that leads to
// another cluster. Each must be told before anything is changed.
func TestServeRefusesWhatIsNotOfThisInstallation(t *testing.T) {
	t.Parallel()
	postgres, another := pgtest.Private(t, nil), pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	w.start(t).stopWhen(t, w)
	for _, c := range []struct {
		name, env string
		says      []string
	}{
		{
			"another key", "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString([]byte("another key of thirty-two bytes!")),
			[]string{"HOMEROOM_TENANT_KEY is not the key", "homeroom doctor --fix --new-tenant-key"},
		},
		{
			"another cluster", "HOMEROOM_SERVER_MAIN_URL=" + another.URL("postgres"),
			[]string{"HOMEROOM_SERVER_MAIN_URL", "another Postgres cluster", "homeroom doctor --fix"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, args := range [][]string{{"serve"}, {"migrate"}} {
				p := w.run(t, args, c.env)
				<-p.done
				if code := p.cmd.ProcessState.ExitCode(); code != 1 {
					t.Errorf("homeroom %s: exit code %d", args[0], code)
				}
				for _, text := range c.says {
					if !strings.Contains(p.logs.String(), text) {
						t.Errorf("homeroom %s does not say %q:\n%s", args[0], text, p.logs)
					}
				}
			}
		})
	}
	if n := len(databasesOf(t, another.URL("postgres"))); n != 0 {
		t.Errorf("%d databases were made on the other cluster", n)
	}
	p := w.start(t)
	newSchool(1).mustSucceed(t, p.url)
	p.stopWhen(t, w)
	w.audit(t)
}

// databasesOf are the databases with a tenant's or a template's name.
func databasesOf(t *testing.T, url string) (names []string) {
	t.Helper()
	conn := dial(t, url)
	if err := conn.QueryRow(t.Context(), "select coalesce(array_agg(datname::text), '{}') from pg_database where datname ~ '^(t_|homeroom)'").Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}
