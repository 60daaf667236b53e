package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database returns the URL of a new, empty database, which is dropped when the test ends, even if sessions are connected.
func Database(t testing.TB) string {
	t.Helper()
	return create(t, "template1")
}

// Clone returns the URL of a new copy of a database that build filled: build runs once per process for each name, and every
// test gets its own copy of the result, in a fraction of the time that migrating takes.
func Clone(t testing.TB, name string, build func(ctx context.Context, url string) error) string {
	t.Helper()
	a := connected(t)
	template, err := a.template(name, build)
	if err != nil {
		t.Fatalf("pgtest: build database %s: %v", name, err)
	}
	return create(t, template)
}

// create makes a database for one test.
func create(t testing.TB, template string) string {
	t.Helper()
	a := connected(t)
	name := "test_" + strings.ToLower(rand.Text())
	if err := a.create(t.Context(), name, template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout) // t's own context has ended
		defer cancel()
		if err := a.exec(ctx, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name); err != nil {
			t.Errorf("pgtest: drop database %s: %v", name, err)
		}
	})
	return a.url(name)
}

// admins creates and drops databases.
type admins struct {
	pool *pgxpool.Pool
	url  func(database string) string

	mu        sync.Mutex
	templates map[string]func() (string, error)
}

// connected connects to the shared server, once.
func connected(t testing.TB) *admins {
	t.Helper()
	url := external(os.Getenv(EnvURL))
	if url == nil {
		url = Server(t).URL
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.admins != nil {
		return shared.admins
	}
	cfg, err := pgxpool.ParseConfig(url("postgres"))
	if err != nil {
		t.Fatalf("pgtest: read address of the server: %v", err)
	}
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("pgtest: connect to the server: %v", err)
	}
	shared.admins = &admins{pool: pool, url: url, templates: map[string]func() (string, error){}}
	return shared.admins
}

// external returns a function from database names to URLs of the external server, nil if there is none.
func external(address string) func(database string) string {
	u, err := url.Parse(address)
	if address == "" || err != nil {
		return nil
	}
	return func(database string) string {
		other := *u
		other.Path = "/" + database
		return other.String()
	}
}

func (a *admins) create(ctx context.Context, name, template string) error {
	if err := a.exec(ctx, "CREATE DATABASE %s TEMPLATE %s", name, template); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// exec runs a statement with identifiers.
func (a *admins) exec(ctx context.Context, format string, names ...string) error {
	quoted := make([]any, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	_, err := a.pool.Exec(ctx, fmt.Sprintf(format, quoted...))
	return err
}

// close drops the templates of a server that keeps running.
func (a *admins) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	defer a.pool.Close()
	var errs []error
	for _, once := range a.templates {
		if name, _ := once(); name != "" { // also after a failed build
			errs = append(errs, a.exec(ctx, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
		}
	}
	return errors.Join(errs...)
}

// template builds the database behind [Clone], once per process; tests that ask meanwhile wait for it.
func (a *admins) template(name string, build func(ctx context.Context, url string) error) (string, error) {
	a.mu.Lock()
	once, ok := a.templates[name]
	if !ok {
		once = sync.OnceValues(func() (string, error) { return a.buildTemplate(build) })
		a.templates[name] = once
	}
	a.mu.Unlock()
	return once()
}

// buildTemplate does not use a test's context: the next test needs the result too.
func (a *admins) buildTemplate(build func(ctx context.Context, url string) error) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := "template_" + strings.ToLower(rand.Text())
	if err := a.create(ctx, name, "template1"); err != nil {
		return "", err
	}
	if err := build(ctx, a.url(name)); err != nil {
		return name, err
	}
	// A database with connections cannot be cloned, so further connections are refused.
	if err := a.exec(ctx, "ALTER DATABASE %s ALLOW_CONNECTIONS false", name); err != nil {
		return name, fmt.Errorf("close template: %w", err)
	}
	return name, nil
}
