package catalog_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

func TestSignupsAreListedByStatusInPagesTheOldestFirst(t *testing.T) {
	t.Parallel()
	store := setup(t)
	var want []uuid.UUID
	for range 3 {
		r := catalog.ReserveParams{
			SignupID: uuid.New(), UserID: uuid.New(), Email: "ada@lincoln.example", SchoolName: "Lincoln High", GivenName: "Ada",
			RequestHash: []byte("hash"), Steps: json.RawMessage(`[]`), Profile: map[string]string{"phone": "1"},
		}
		if _, err := store.ReserveUnconfirmed(t.Context(), r, true, false, time.Hour); err != nil {
			t.Fatal(err)
		}
		want = append(want, r.SignupID)
	}
	var got []uuid.UUID
	for cursor, more := "", true; more; more = cursor != "" {
		page, err := store.Signups(t.Context(), catalog.AwaitingVerification, cursor, 2)
		if err != nil || len(page.Rows) > 2 {
			t.Fatalf("%d rows, %v", len(page.Rows), err)
		}
		for _, row := range page.Rows {
			got = append(got, row.ID)
			if row.Name != "Ada" || row.Profile["phone"] != "1" || row.ExpiresAt == nil || row.FinishedAt != nil {
				t.Errorf("%+v", row)
			}
		}
		cursor = page.NextCursor
	}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("listed %v, want %v", got, want)
	}
	for status, n := range map[catalog.Status]int{catalog.AwaitingApproval: 0, "": 3} {
		if page, err := store.Signups(t.Context(), status, "", 10); err != nil || len(page.Rows) != n || page.NextCursor != "" {
			t.Errorf("status %q: %d, %v", status, len(page.Rows), err)
		}
	}
}
