package signup_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/internal/jobs"
	"homeroom/internal/logtest"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/signup"
	"homeroom/tenant"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var key = bytes.Repeat([]byte{7}, 32)

// password is a canary too: only the provider may have it.
const password = "Canary-Pass-123"

// bundle is a service with its own catalog and simulator, and a server for tenants that all tests share.
type bundle struct {
	service *signup.Service
	catalog *catalog.Store
	server  *tenant.Server
	auth0   *auth0test.Server
	logs    *logtest.Buffer
}

// setup creates a bundle with this many spares in stock.
func setup(t *testing.T, spares int, change ...func(*signup.Config)) *bundle {
	t.Helper()
	url := pgtest.Clone(t, "catalog", func(ctx context.Context, url string) error {
		store, err := catalog.Open(ctx, catalog.Config{URL: url})
		if err != nil {
			return err
		}
		defer store.Close()
		return jobs.Migrate(ctx, store.Pool())
	})
	b := &bundle{logs: &logtest.Buffer{}, auth0: auth0test.Start(t, auth0test.Config{})}
	var err error
	if b.catalog, err = catalog.Open(t.Context(), catalog.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.catalog.Close)
	b.server, err = tenant.Open(tenant.Config{URL: secret.String(pgtest.Server(t).URL("postgres")), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.server.Close)
	if err := b.catalog.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	b.service = b.newService(t, append(change, func(c *signup.Config) { c.Spares = spares })...)
	if err := b.service.RefillSpares(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// newService is another process on the same catalog.
func (b *bundle) newService(t *testing.T, change ...func(*signup.Config)) *signup.Service {
	t.Helper()
	client, err := auth0.New(auth0.Config{BaseURL: b.auth0.URL(), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret"})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(b.catalog.Pool())
	if err != nil {
		t.Fatal(err)
	}
	cfg := signup.Config{
		Catalog: b.catalog, Servers: signup.TenantServers(tenant.Servers{"main": b.server}), Identity: client, Queue: queue, Key: key,
		Logger: slog.New(slog.NewTextHandler(b.logs, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	service, err := signup.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

var count atomic.Int64

// request returns a request for a new school.
func request() signup.Request {
	n := count.Add(1)
	return signup.Request{
		Email: fmt.Sprintf("ada%d@lincoln.example", n), Password: password, SchoolName: "Lincoln High",
		IdempotencyKey: uuid.NewString(),
	}
}

// begin signs up a school; it must be ready at once.
func (b *bundle) begin(t *testing.T, req signup.Request) *signup.Result {
	t.Helper()
	outcome, err := b.service.Begin(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Result == nil {
		t.Fatalf("not ready: %+v", outcome)
	}
	return outcome.Result
}

// usable checks that a school can use its database.
func (b *bundle) usable(t *testing.T, database string) {
	t.Helper()
	id, err := tenant.ParseDatabase(database)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, b.server.URL(id, 0).Reveal(), "insert into lunch_weeks (starts_on) values ('2026-11-23') on conflict do nothing")
}

// exec runs a statement in the catalog.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.catalog.Pool().Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// number reads a number from the catalog.
func (b *bundle) number(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.catalog.Pool().QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// creates counts the calls that asked the provider to make a user.
func (b *bundle) creates() int { return b.auth0.CountCalls("POST", "/api/v2/users") }
