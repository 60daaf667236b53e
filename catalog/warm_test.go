package catalog_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
)

// TestAWarmCatalogKnowsTheStatementsOfASignup: a sign-up with a spare and one without prepare no further statements.
func TestAWarmCatalogKnowsTheStatementsOfASignup(t *testing.T) {
	t.Parallel()
	cold := setup(t)
	store, err := catalog.Open(t.Context(), catalog.Config{URL: cold.Pool().Config().ConnString(), MaxConns: 1, Warm: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if n := store.Pool().Stat().TotalConns(); n != 1 {
		t.Errorf("%d connections are open, want as many as there may be", n)
	}
	prepared := func() (n int) {
		t.Helper()
		const sql = "select count(*) from pg_prepared_statements"
		if err := store.Pool().QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	spare(t, cold)
	before := prepared()
	for n := range 2 {
		w := reserveParams(n)
		if _, err := store.TakeAllowance(t.Context(), "somebody", catalog.Allowance{Count: 5, Window: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			w.Slug = "lincoln-high-again"
		}
		reservation, err := store.Reserve(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		known := catalog.Identity{ID: "auth0|" + w.UserID.String()}
		if err := store.Finish(t.Context(), reservation.Signup, known, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if after := prepared(); before < 4 || after != before {
		t.Errorf("%d statements were prepared beforehand, and %d in the end", before, after)
	}
}
