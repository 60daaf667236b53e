package main

import (
	"bytes"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

// makeSecrets runs examples/compose/make-secrets in a copy of its folder, and returns the folder of the secrets.
func makeSecrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join(root, "examples/compose/make-secrets"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "examples/compose/make-secrets")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second run keeps the existing files
		if out, err := exec.CommandContext(t.Context(), "/bin/sh", path).CombinedOutput(); err != nil {
			t.Fatalf("make-secrets: %v\n%s", err, out)
		}
	}
	return filepath.Join(dir, "secrets")
}

// own starts a server, creates the provisioner's role on it as documented, and returns the role's URL.
func own(t *testing.T) (superuser func(database string) string, provisioner string) {
	t.Helper()
	postgres := pgtest.Private(t, nil)
	for range 2 { // the script may run twice
		pgtest.Script(t, postgres.URL, filepath.Join(root, "examples/provisioner.sql"))
	}
	conn := pgtest.Connect(t, postgres.URL("postgres"))
	if _, err := conn.Exec(t.Context(), "alter role homeroom password 'secret'"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(postgres.URL("homeroom"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("homeroom", "secret")
	return postgres.URL, u.String()
}

func TestTheProvisionersRoleIsEnough(t *testing.T) {
	t.Parallel()
	superuser, address := own(t)
	var log bytes.Buffer
	store, err := catalog.Open(t.Context(), catalog.Config{URL: address})
	if err != nil {
		t.Fatalf("the role cannot make its catalog: %v", err)
	}
	t.Cleanup(store.Close)
	server, err := tenant.Open(tenant.Config{
		URL: secret.String(address), Key: bytes.Repeat([]byte{1}, 32), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	id := tenant.NewID()
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Fatalf("the role cannot make a tenant: %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("there is something to warn of: %s", &log)
	}
	pgtest.Connect(t, server.URL(id, 0).Reveal()) // Archive must end this session first
	var kept string
	conn := pgtest.Connect(t, superuser("postgres"))
	if err := conn.QueryRow(t.Context(), "select $1 || '_kept_20261120100000'", id.Database()).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if err := server.Archive(t.Context(), id, kept); err != nil {
		t.Errorf("the role cannot archive a database: %v", err)
	}
}

func TestTheExampleSchemaWorks(t *testing.T) {
	t.Parallel()
	set, err := migrations.Load(os.DirFS(filepath.Join(root, "examples/own-schema")))
	if err != nil {
		t.Fatal(err)
	}
	_, address := own(t)
	server, err := tenant.Open(tenant.Config{URL: secret.String(address), Key: bytes.Repeat([]byte{1}, 32), Migrations: set})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	id := tenant.NewID()
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, server.URL(id, 0).Reveal())
	_, err = conn.Exec(t.Context(), `with book as (insert into books (title) values ('Anna Karenina') returning id)
		insert into loans (book_id, borrower) select id, 'Ada' from book`)
	if err != nil {
		t.Errorf("the tenant's role cannot lend a book: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "drop table loans"); err == nil || !strings.Contains(err.Error(), "must be owner") {
		t.Errorf("the tenant's role may change the schema: %v", err)
	}
}
