package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// setup creates a catalog with one server.
func setup(t *testing.T) *catalog.Store {
	t.Helper()
	url := pgtest.Clone(t, "catalog", func(ctx context.Context, url string) error {
		store, err := catalog.Open(ctx, catalog.Config{URL: url})
		if err == nil {
			store.Close()
		}
		return err
	})
	store, err := catalog.Open(t.Context(), catalog.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	return store
}

// database returns a database name in the form of package tenant.
func database(id uuid.UUID) string {
	hex := strings.NewReplacer("-", "", "0", "g", "1", "h", "8", "i", "9", "j").Replace(id.String())
	return "t_" + hex[:26]
}

// spare inserts a spare.
func spare(t *testing.T, store *catalog.Store) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	// The last characters of a UUIDv7 are random, the first ones are the time.
	random := uuid.New()
	if err := store.InsertSpare(t.Context(), catalog.NewSpare{ID: id, Server: "main", Database: database(random), Lineage: "lunch"}); err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSpareBuilt(t.Context(), id, catalog.Health{Version: 3}, json.RawMessage(`[]`)); err != nil {
		t.Fatal(err)
	}
	return id
}

// reserveParams returns the parameters of a sign-up for this school.
func reserveParams(n int) catalog.ReserveParams {
	return catalog.ReserveParams{
		SignupID: uuid.New(), UserID: uuid.Must(uuid.NewV7()), TenantID: uuid.Must(uuid.NewV7()), Database: database(uuid.New()),
		IdempotencyKey: fmt.Sprintf("key-of-sixteen-and-more-%d", n), RequestHash: []byte("hash"),
		Email: fmt.Sprintf("ada%d@lincoln.example", n), SchoolName: "Lincoln High", Slug: "lincoln-high",
		Lineage: "lunch", SchemaVersion: 3, Servers: []string{"main"}, Steps: json.RawMessage(`[]`), Lease: time.Minute,
	}
}

// exec runs a statement that must succeed.
func exec(t *testing.T, store *catalog.Store, sql string, args ...any) {
	t.Helper()
	if _, err := store.Pool().Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// value reads one value.
func value[T any](t *testing.T, store *catalog.Store, sql string) T {
	t.Helper()
	var v T
	if err := store.Pool().QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
