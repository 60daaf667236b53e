package catalog_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

func survey(t *testing.T, store *catalog.Store) catalog.Survey {
	t.Helper()
	found, err := store.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	w := reserveParams(1)
	reservation, err := store.Reserve(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	found := survey(t, store)
	row, user, signup := found.Tenants[id], found.Users[w.UserID], found.Signups[w.SignupID]
	if row.State != catalog.Reserved || row.Name != w.SchoolName || row.SchemaVersion != 3 || row.Database != reservation.Tenant.Database || row.Idle {
		t.Errorf("tenant %+v", row)
	}
	if user.Active || user.TenantID != id || user.Email != w.Email {
		t.Errorf("user %+v", user)
	}
	if !signup.Held || signup.Unattended || *signup.TenantID != id || signup.Status != catalog.Pending {
		t.Errorf("sign-up %+v", signup)
	}
	if found.Migrating || time.Since(found.At).Abs() > time.Hour {
		t.Errorf("%v, at %v", found.Migrating, found.At)
	}
	exec(t, store, "update signups set check_at = now() - interval '61 s'")
	exec(t, store, "update tenants set updated_at = now() - interval '16 minutes'")
	found = survey(t, store)
	if signup = found.Signups[w.SignupID]; signup.Held || !signup.Unattended || !found.Tenants[id].Idle {
		t.Errorf("%+v", signup)
	}
	start(t, store, newRun())
	if !survey(t, store).Migrating {
		t.Error("it does not know of the run")
	}
	// A sign-up that was undone has nothing, and is omitted.
	if err := store.Undo(t.Context(), reservation.Signup, json.RawMessage(`[]`), json.RawMessage(`{}`)); err != nil {
		t.Fatal(err)
	}
	if found = survey(t, store); len(found.Signups) != 0 || len(found.Users) != 0 || found.Tenants[id].State != catalog.Spare {
		t.Errorf("%+v", found)
	}
	counts, err := store.CountTenants(t.Context())
	if err != nil || counts[catalog.Spare] != 1 || len(counts) != 1 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestSurveyOfPeople(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	w := reserveParams(1)
	w.IdentityID = "google-oauth2|1"
	reservation, err := store.Reserve(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	waits := reserveParams(2)
	waits.Waits = true
	waiting, err := store.Reserve(t.Context(), waits)
	if err != nil {
		t.Fatal(err)
	}
	found := survey(t, store)
	if s := found.Signups[w.SignupID]; s.Kind != catalog.School || s.IdentityID == nil || *s.IdentityID != w.IdentityID {
		t.Errorf("%+v", s)
	}
	if s, ok := found.Signups[waits.SignupID]; !ok || !s.Held || s.TenantID != nil || s.IdentityID != nil {
		t.Errorf("one that waits: %+v", s)
	}
	if len(found.Identities) != 1 || found.Identities[w.IdentityID] != w.UserID || found.Users[w.UserID].Role != "owner" {
		t.Errorf("logins %v, users %v", found.Identities, found.Users)
	}
	// One that needs an operator without a tenant keeps its user, is listed, and begins again from the start.
	if err := store.NeedsOperator(t.Context(), waiting.Signup, json.RawMessage(`[]`), json.RawMessage(`{}`)); err != nil {
		t.Fatal(err)
	}
	exec(t, store, "update users set identity_id = 'auth0|2' where id = $1", waits.UserID)
	if s := survey(t, store).Signups[waits.SignupID]; s.Status != catalog.NeedsOperator || s.Steps == nil {
		t.Errorf("one that needs an operator: %+v", s)
	}
	if resumed, err := resume(t, store, waiting.Signup); err != nil || resumed.Status != catalog.Pending {
		t.Errorf("one that was resumed: %+v, %v", resumed, err)
	}
	identity := catalog.Identity{ID: w.IdentityID, OrganizationID: "org_1"}
	if err := store.Finish(t.Context(), reservation.Signup, identity, catalog.Health{Version: 3}, json.RawMessage(`[]`), json.RawMessage(`{}`)); err != nil {
		t.Fatal(err)
	}
	if err := store.SetOrganization(t.Context(), id, "", "org_2"); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("an organization that was not seen: %v", err)
	}
	if err := store.SetOrganization(t.Context(), id, "org_1", "org_2"); err != nil || survey(t, store).Tenants[id].OrganizationID != "org_2" {
		t.Errorf("%+v, %v", survey(t, store).Tenants[id], err)
	}
}

func TestSurveyCountsWhatIsUndelivered(t *testing.T) {
	t.Parallel()
	store := setup(t)
	if found := survey(t, store).Undelivered; found != (catalog.Undelivered{}) {
		t.Errorf("of nothing: %+v", found)
	}
	webhook := uuid.New()
	exec(t, store, "insert into webhook_endpoints (id, url, created_by) values ($1, 'https://lincoln.example', 'test')", webhook)
	exec(t, store, `insert into outbox_events (type, created_at, relayed_at) values
		('a', now() - interval '11 minutes', null), ('b', now() - interval '11 minutes', now()), ('c', now() - interval '9 minutes', null)`)
	exec(t, store, `insert into mails (event_id, kind, recipient, state, finished_at)
		select gen_random_uuid(), 'x', 'ada@lincoln.example', state, now() - age
		from (values ('failed', interval '1 hour'), ('failed', '25 hours'), ('unknown', '1 hour'),
			('unknown', '2 hours'), ('sent', '1 hour')) as made (state, age)`)
	exec(t, store, `insert into webhook_deliveries (id, event_id, endpoint_id, state, next_attempt_at, ended_at)
		select gen_random_uuid(), id, $1, case type when 'c' then 'delivered' else 'dead' end, null,
			now() - case type when 'b' then interval '25 hours' else interval '1 hour' end
		from outbox_events`, webhook)
	want := catalog.Undelivered{Events: 1, MailsFailed: 1, MailsUnknown: 2, Deliveries: 1, Webhooks: 1}
	if found := survey(t, store).Undelivered; found != want {
		t.Errorf("%+v, want %+v", found, want)
	}
	exec(t, store, "update webhook_endpoints set enabled = false, disabled_because = 'test'")
	want.Deliveries, want.Webhooks = 0, 0
	if found := survey(t, store).Undelivered; found != want {
		t.Errorf("with a webhook that was disabled: %+v, want %+v", found, want)
	}
}

func TestRepairsExpectWhatWasSeen(t *testing.T) {
	t.Parallel()
	store := setup(t)
	id := spare(t, store)
	seen := survey(t, store).Tenants[id]
	if err := store.SetHealth(t.Context(), seen, catalog.Health{Version: 4, Fingerprint: "new"}); err != nil {
		t.Fatal(err)
	}
	if row := survey(t, store).Tenants[id]; row.SchemaVersion != 4 || *row.Fingerprint != "new" || row.State != catalog.Spare {
		t.Errorf("%+v", row)
	}
	if err := store.SetHealth(t.Context(), seen, catalog.Health{Version: 5}); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("of another version: %v", err)
	}
	if err := store.MakeUnclaimable(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if row := survey(t, store).Tenants[id]; row.Claimable || row.State != catalog.Spare {
		t.Errorf("%+v", row)
	}
	if err := store.MakeUnclaimable(t.Context(), id); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("withdrawn again: %v", err)
	}
	if err := store.RebuildSpare(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if row := survey(t, store).Tenants[id]; row.SchemaVersion != 0 || row.State != catalog.Building {
		t.Errorf("%+v", row)
	}
	if err := store.RebuildSpare(t.Context(), id); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("again: %v", err)
	}
}

func TestRestoreFromProvider(t *testing.T) {
	t.Parallel()
	store := setup(t)
	restore := func(n int, id uuid.UUID, database string) catalog.ProviderRestore {
		w := reserveParams(n)
		return catalog.ProviderRestore{
			SignupID: w.SignupID, UserID: w.UserID, TenantID: id, Server: "main", Database: database, Lineage: "lunch",
			Health: catalog.Health{Version: 3, Fingerprint: "f"}, Email: w.Email, SchoolName: w.SchoolName, IdentityID: "auth0|" + w.UserID.String(),
			Slug: w.Slug, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Actor: "test",
			Result: func(slug string) (json.RawMessage, error) { return json.Marshal(map[string]string{"slug": slug}) },
		}
	}
	first := restore(1, uuid.Must(uuid.NewV7()), database(uuid.New()))
	if err := store.RestoreFromProvider(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := store.RestoreFromProvider(t.Context(), first); !errors.Is(err, catalog.ErrStateChanged) && !errors.Is(err, catalog.ErrEmailTaken) {
		t.Errorf("again: %v", err)
	}
	// A spare gets its own slug; another school's row is not changed.
	id := spare(t, store)
	second := restore(2, id, survey(t, store).Tenants[id].Database)
	if err := store.RestoreFromProvider(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	third := restore(3, id, second.Database)
	if err := store.RestoreFromProvider(t.Context(), third); !errors.Is(err, catalog.ErrStateChanged) {
		t.Errorf("another's: %v", err)
	}
	if _, err := store.Signup(t.Context(), third.SignupID); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("what was refused has left a sign-up: %v", err)
	}
	fourth := restore(1, uuid.Must(uuid.NewV7()), database(uuid.New()))
	if err := store.RestoreFromProvider(t.Context(), fourth); !errors.Is(err, catalog.ErrEmailTaken) {
		t.Errorf("an e-mail that is taken: %v", err)
	}
	row, err := store.TenantByID(t.Context(), id)
	if err != nil || row.State != catalog.Ready || row.Slug != "lincoln-high-2" || !row.CreatedAt.Equal(second.CreatedAt) || row.SchemaVersion != 3 {
		t.Errorf("%+v, %v", row, err)
	}
	signup, err := store.Signup(t.Context(), second.SignupID)
	if err != nil || signup.Status != catalog.SignupReady || string(signup.Result) != `{"slug": "lincoln-high-2"}` || signup.CheckAt != nil {
		t.Errorf("%+v, %v", signup, err)
	}
	if user, err := store.UserByIdentity(t.Context(), second.IdentityID); err != nil || user.TenantID != id {
		t.Errorf("%+v, %v", user, err)
	}
	events, err := store.Events(t.Context(), id, 1)
	if err != nil || len(events) != 1 || events[0].Action != "tenant.adopt" || events[0].Actor != "test" {
		t.Errorf("%+v, %v", events, err)
	}
}
