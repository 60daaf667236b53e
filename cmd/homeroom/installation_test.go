package main

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

// TestServeRefusesAnotherKeyOrCluster starts the service with another tenant key, and with a server's URL that leads
// to another cluster. Each must be reported before anything is changed.
func TestServeRefusesAnotherKeyOrCluster(t *testing.T) {
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

// TestANewTenantKey changes the key on purpose, with a process that dies while it sets the roles' new passwords.
func TestANewTenantKey(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	before := w.start(t)
	newSchool(1).mustSucceed(t, before.url)
	w.me(t, before)
	before.stopWhen(t, w)
	key := []byte("another key of thirty-two bytes!")
	env := "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(key)

	if p := w.start(t, env); p.url != "" {
		t.Fatal("it serves with another key")
	}
	code, out := w.output(t, env, "doctor", "--fix", "--yes")
	if code != exitFailures || !strings.Contains(out, "tenant_key_differs") ||
		!strings.Contains(out, "Set the former HOMEROOM_TENANT_KEY again") || !strings.Contains(out, "--new-tenant-key") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, args := range [][]string{
		{"doctor", "--new-tenant-key"}, {"doctor", "--fix", "--new-tenant-key", "--shallow"}, {"doctor", "--fix", "--new-tenant-key", "--tenant", "x"},
	} {
		if code, out := w.output(t, env, args...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
	code, out = w.output(t, env, "doctor", "--fix", "--new-tenant-key") // there is no terminal
	if code != exitFailures || !strings.Contains(out, "Nothing was repaired.") {
		t.Errorf("exit code %d: %s", code, out)
	}
	w.audit(t) // with the former key

	w.run(t, []string{"doctor", "--fix", "--yes", "--new-tenant-key"}, env, "HOMEROOM_KILL_AT=doctor.repaired:2").waitDead(t)
	if code, out := w.output(t, env, "doctor"); code != exitFailures || strings.Contains(out, "login_refused") || !strings.Contains(out, "spare_unusable") {
		t.Errorf("after its death: exit code %d: %s", code, out)
	}
	if code, out := w.output(t, env, "doctor", "--fix", "--yes"); code != exitOK {
		t.Errorf("exit code %d: %s", code, out)
	}
	if n, err := w.number(t.Context(), "select count(*) from audit_events where action = 'tenant_key.change'"); err != nil || n != 1 {
		t.Errorf("%d changes of the key are recorded, %v", n, err)
	}
	if p := w.start(t); p.url != "" {
		t.Error("it serves with the former key")
	}
	after := w.start(t, env)
	w.me(t, after)
	after.stopWhen(t, w)
	var err error
	if w.server, err = tenant.Open(tenant.Config{URL: secret.String(w.serverURL), Key: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	w.audit(t)
}

// TestTenantsMovedToAnotherCluster moves everything on a server with Postgres's own tools.
func TestTenantsMovedToAnotherCluster(t *testing.T) {
	t.Parallel()
	former, now := pgtest.Private(t, nil), pgtest.Private(t, nil)
	w := newWorld(t, former.URL("catalog"), former.URL("postgres"), 1)
	p := w.start(t)
	newSchool(1).mustSucceed(t, p.url)
	p.stopWhen(t, w)
	env := "HOMEROOM_SERVER_MAIN_URL=" + now.URL("postgres")
	code, out := w.output(t, env, "doctor", "--fix", "--yes")
	if code != exitFailures || !strings.Contains(out, "server_is_another_cluster") || !strings.Contains(out, "0 of 2 tenants") {
		t.Errorf("exit code %d: %s", code, out)
	}
	dump := exec.CommandContext(t.Context(), "sh", "-c",
		`pg_dumpall --exclude-database=catalog -d "$1" | grep -v "ROLE postgres" | psql -q -d "$2"`, "sh", former.URL("postgres"), now.URL("postgres"))
	at, err := url.Parse(former.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := at.User.Password()
	dump.Env = append(dump.Environ(), "PGPASSWORD="+password) // pg_dumpall calls pg_dump without the one in the URL
	if out, err := dump.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, database := range []string{"postgres", "template1"} { // whose rights pg_dumpall leaves behind
		pgtest.Exec(t, now.URL("postgres"), "revoke connect, temporary on database "+database+" from public, homeroom_tenant")
	}
	if p := w.start(t, env); p.url != "" {
		t.Error("it serves before the move is recorded")
	}
	if code, out := w.output(t, env, "doctor", "--fix", "--yes"); code != exitOK || !strings.Contains(out, "repaired  main (server_is_another_cluster)") {
		t.Errorf("exit code %d: %s", code, out)
	}
	p = w.start(t, env)
	w.me(t, p)
	p.stopWhen(t, w)
	if p := w.start(t); p.url != "" {
		t.Error("it serves with the former cluster")
	}
	w.serverURL = now.URL("postgres")
	if w.server, err = tenant.Open(tenant.Config{URL: secret.String(w.serverURL), Key: testKey}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	w.audit(t)
}

// output runs a command in a process of its own, and returns all that it wrote.
func (w *world) output(t *testing.T, env string, args ...string) (code int, text string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(w.environ(), env)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// me calls /me as the owner of the only school, which connects to its database.
func (w *world) me(t *testing.T, p *process) {
	t.Helper()
	var login string
	if err := w.pool.QueryRow(t.Context(), "select identity_id from users").Scan(&login); err != nil {
		t.Fatal(err)
	}
	token := w.auth0.IssueToken(auth0test.TokenRequest{Subject: login})
	status, body, err := request(t.Context(), p.url, http.MethodGet, "/me", "", "Authorization", "Bearer "+token)
	if err != nil || status != http.StatusOK {
		t.Errorf("/me: %d, %s, %v; it logged\n%s", status, body, err, p.logs)
	}
}

// databasesOf returns the databases with a tenant's or a template's name.
func databasesOf(t *testing.T, url string) (names []string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	if err := conn.QueryRow(t.Context(), "select coalesce(array_agg(datname::text), '{}') from pg_database where datname ~ '^(t_|homeroom)'").Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}
