package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/auth0/auth0test"
	"homeroom/internal/pgtest"
)

// TestServeWithAnOrdinaryRole runs the service as it runs in production: its role may create databases and roles, and
// nothing else.
func TestServeWithAnOrdinaryRole(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	root := pgtest.Connect(t, postgres.URL("postgres"))
	if _, err := root.Exec(t.Context(), "create role homeroom login createdb createrole password 'secret'"); err != nil {
		t.Fatal(err)
	}
	as := func(database string) string {
		u, err := url.Parse(postgres.URL(database))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("homeroom", "secret")
		return u.String()
	}
	w := newWorld(t, as("catalog"), as("postgres"), 1)
	if olderThan16(t, root) { // there a role with CREATEROLE can become a superuser, and must be allowed explicitly
		p := w.start(t, "HOMEROOM_ALLOW_SUPERUSER=false")
		if p.url != "" || !strings.Contains(p.logs.String(), "use Postgres 16") {
			t.Fatalf("it serves, or does not say why not: %s", p.logs)
		}
	}
	p := w.start(t)
	w.waitIdle(t)
	newSchool(1).mustSucceed(t, p.url)
	w.waitIdle(t)
	w.audit(t)
	auditServer(t, postgres.URL("postgres"), w.known(t))
}

func olderThan16(t *testing.T, conn *pgx.Conn) bool {
	t.Helper()
	var older bool
	if err := conn.QueryRow(t.Context(), "select current_setting('server_version_num')::int < 160000").Scan(&older); err != nil {
		t.Fatal(err)
	}
	return older
}

func TestServeRefusesASuperuser(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, map[string]string{"max_connections": "100"})
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	p := w.start(t, "HOMEROOM_ALLOW_SUPERUSER=false")
	if p.url != "" {
		t.Fatal("it serves")
	}
	if !strings.Contains(p.logs.String(), "belongs to a superuser") {
		t.Errorf("it says %s", p.logs)
	}
	if p := w.start(t); !strings.Contains(p.logs.String(), `"fix":"alter system set max_connections`) {
		t.Errorf("it does not warn of too few connections: %s", p.logs)
	}
}

// TestReplicasStartTogether: several processes on a catalog that does not exist yet create one, and one set of
// spares.
func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 3)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	replicas := make([]*process, 3)
	for i := range replicas {
		replicas[i] = w.launch(t, path)
	}
	for i, p := range replicas {
		p.await(t)
		if p.url == "" {
			t.Fatalf("replica %d does not serve: %s", i, p.logs)
		}
	}
	w.waitIdle(t)
	if n, err := w.number(t.Context(), "select count(*) from tenants"); err != nil || n != 3 {
		t.Errorf("%d tenants, %v; want the 3 spares", n, err)
	}
	school := newSchool(1)
	first := school.mustSucceed(t, replicas[0].url)
	if again := school.mustSucceed(t, replicas[2].url); again != first {
		t.Errorf("another replica answers the same key with\n%s\ninstead of\n%s", again, first)
	}
	w.waitIdle(t)
	w.audit(t)
}

// TestServeEndsInOrder: on SIGTERM the running request is answered, and the exit code is 0.
func TestServeEndsInOrder(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	w.timeScale = 1 // the request below takes longer than the scaled timeout of the identity step
	p := w.start(t)
	w.waitIdle(t)
	resp, err := http.Get(p.url + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("readyz: %+v, %v", resp, err)
	}
	_ = resp.Body.Close()
	answers := make(chan int, 1)
	slowly := w.slowCreate()
	go func() {
		status, _, _ := newSchool(1).post(context.WithoutCancel(t.Context()), p.url)
		answers <- status
	}()
	slowly(t)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := <-answers; status != http.StatusCreated {
		t.Errorf("the request that ran was answered %d", status)
	}
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.logs)
	}
}

// TestAnOperatorRepairsATenant deletes a tenant's database and role by hand, and has them created again over HTTP.
func TestAnOperatorRepairsATenant(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	p := w.start(t)
	w.waitIdle(t)
	newSchool(1).mustSucceed(t, p.url)
	database := w.databases(t, "state = 'ready'")[0]
	root := pgtest.Connect(t, postgres.URL("postgres"))
	for _, damage := range []string{"drop database " + database + " with (force)", "drop role " + database} {
		if _, err := root.Exec(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	operator := w.auth0.IssueToken(auth0test.TokenRequest{Permissions: []string{"read:tenants", "update:tenants"}})
	call := func(method, path string) (status int, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+operator)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(raw)
	}
	if status, body := call(http.MethodPost, "/tenants/lincoln-high/reprovision"); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	eventually(t, "the last step", func() (bool, error) {
		_, body := call(http.MethodGet, "/tenants/lincoln-high")
		var tenant struct {
			Steps []struct{ Name, Status, Changed string }
		}
		if err := json.Unmarshal([]byte(body), &tenant); err != nil {
			return false, err
		}
		n := len(tenant.Steps)
		return n > 0 && tenant.Steps[n-1].Name == "schema" && tenant.Steps[n-1].Status == "done", errors.New(body)
	})
	w.audit(t)
}
