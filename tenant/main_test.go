package tenant_test

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// key is the server key of the tests.
var key = bytes.Repeat([]byte{7}, 32)

// open returns a tenant server on the Postgres that all tests of this package share.
func open(t *testing.T, change func(*tenant.Config)) *tenant.Server {
	t.Helper()
	return openAt(t, pgtest.Server(t).URL("postgres"), change)
}

func openAt(t *testing.T, url string, change func(*tenant.Config)) *tenant.Server {
	t.Helper()
	cfg := tenant.Config{URL: secret.String(url), Key: key, Parallel: 8}
	if change != nil {
		change(&cfg)
	}
	server, err := tenant.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// ensure creates a tenant.
func ensure(t *testing.T, server *tenant.Server) tenant.ID {
	t.Helper()
	id := tenant.NewID()
	if _, err := server.Ensure(t.Context(), id, 0, nil); err != nil {
		t.Fatal(err)
	}
	return id
}

// exec runs a statement that must work.
func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// refused checks that Postgres refuses with this SQLSTATE.
func refused(t *testing.T, what string, err error, code string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != code {
		t.Errorf("%s: got %v, want SQLSTATE %s", what, err, code)
	}
}

// in returns the same URL with another database.
func in(t *testing.T, address secret.String, database string) string {
	t.Helper()
	u, err := url.Parse(address.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

// rootURL returns a superuser's URL of a database.
func rootURL(t *testing.T, database string) string {
	t.Helper()
	return pgtest.Server(t).URL(database)
}

// withUser returns the same URL with another user.
func withUser(t *testing.T, address, user, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// value2026 is a time for names that contain one.
var value2026 = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// value reads one value.
func value[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// read returns the content of a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
