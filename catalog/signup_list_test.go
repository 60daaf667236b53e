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
			SignupID: uuid.New(), UserID: uuid.New(), Email: "ada@lincoln.example", SchoolName: "Lincoln High",
			RequestHash: []byte("hash"), Steps: json.RawMessage(`[]`), Person: catalog.Person{GivenName: "Ada", Profile: map[string]string{"phone": "1"}},
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

// TestANotificationIsTheSameInSQLAndInGo: the package mail reads both.
func TestANotificationIsTheSameInSQLAndInGo(t *testing.T) {
	t.Parallel()
	store := setup(t)
	for name, r := range map[string]catalog.ReserveParams{
		"all that can be told": {Person: catalog.Person{GivenName: "Ada", FamilyName: "Lovelace", Name: "Countess Ada"}, Locale: "de"},
		"only a name":          {Person: catalog.Person{Name: "Countess Ada"}},
		"no more than needed":  {},
	} {
		r.SignupID, r.UserID, r.RequestHash, r.Steps = uuid.New(), uuid.New(), []byte("hash"), json.RawMessage(`[]`)
		r.Email, r.SchoolName = "ada@lincoln.example", "Lincoln High"
		reservation, err := store.ReserveUnconfirmed(t.Context(), r, true, true, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Wait(t.Context(), reservation.Signup, catalog.Identity{ID: "auth0|" + r.UserID.String()}, catalog.AwaitingApproval, r.Steps, time.Hour); err != nil {
			t.Fatal(err)
		}
		user, err := store.UserByID(t.Context(), r.UserID)
		if err != nil {
			t.Fatal(err)
		}
		signup, err := store.Signup(t.Context(), r.SignupID)
		if err != nil {
			t.Fatal(err)
		}
		for kind, expires := range map[string]*time.Time{
			catalog.SignupAwaitingVerification: reservation.Signup.CheckAt, catalog.SignupAwaitingApproval: signup.CheckAt,
		} {
			signup.CheckAt = expires
			var equal bool
			event := catalog.NotifySignup(kind, signup, user)
			err := store.Pool().QueryRow(t.Context(), `
				select data - 'expiresAt' = $3::jsonb - 'expiresAt' and (data ->> 'expiresAt')::timestamptz = ($3::jsonb ->> 'expiresAt')::timestamptz
				from outbox_events
				where signup_id = $1 and type = $2`, r.SignupID, kind, event.Data).Scan(&equal)
			if err != nil || !equal {
				t.Errorf("%s, %s: not %s, %v", name, kind, event.Data, err)
			}
		}
	}
}
