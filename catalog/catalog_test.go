package catalog_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
)

func TestOpenMakesTheDatabaseThatIsMissing(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/catalog_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	var group sync.WaitGroup
	for range 4 { // processes that start at the same time
		group.Go(func() {
			store, err := catalog.Open(t.Context(), catalog.Config{URL: u.String()})
			if err != nil {
				t.Error(err)
				return
			}
			defer store.Close()
			if err := store.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestOpenClosesTheCatalogToPublic(t *testing.T) {
	t.Parallel()
	store := setup(t)
	if value[bool](t, store, "select has_database_privilege('public', current_database(), 'connect')") {
		t.Error("every role of the server may enter the catalog")
	}
}

func TestOpenNeverQuotesThePassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:canary@127.0.0.1:1/c", "postgres://u:canary@127.0.0.1:port/c", "canary", "postgres://u:canary@%zz/c",
	} {
		_, err := catalog.Open(t.Context(), catalog.Config{URL: address})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v", err)
		}
	}
}
