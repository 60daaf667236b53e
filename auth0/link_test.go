package auth0_test

import (
	"encoding/json"
	"errors"
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/internal/flaky"
)

// unmanaged is an account that its owner created on Auth0's own page, with metadata of others.
func unmanaged(t *testing.T, tenant *auth0test.Server) string {
	t.Helper()
	const id = "google-oauth2|115"
	err := tenant.Seed(auth0test.User{
		ID: id, Email: "grace@lincoln.example", EmailVerified: true,
		AppMetadata: map[string]any{"plan": "gold", "nested": map[string]any{"a": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func appMetadata(t *testing.T, tenant *auth0test.Server, id string) string {
	t.Helper()
	user, ok := tenant.User(id)
	if !ok {
		t.Fatalf("%s does not exist", id)
	}
	raw, err := json.Marshal(user.AppMetadata)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAnAccountIsLinkedAndUnlinked(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant)
	id := unmanaged(t, tenant)
	found, err := client.Find(t.Context(), id)
	if err != nil || found.ID != id || !found.EmailVerified || found.Metadata != (identity.Metadata{}) {
		t.Fatalf("found %+v, %v", found, err)
	}
	managed := identity.Metadata{TenantID: "t", Database: "d", SchoolName: "s", SignupID: "u"}
	for range 2 {
		linked, err := client.LinkAccount(t.Context(), id, managed)
		if err != nil || linked.Metadata != managed {
			t.Fatalf("linked %+v, %v", linked, err)
		}
	}
	const all = `{"database":"d","nested":{"a":"b"},"plan":"gold","school_name":"s","signup_id":"u","tenant_id":"t"}`
	if got := appMetadata(t, tenant, id); got != all {
		t.Errorf("app_metadata is %s, want %s", got, all)
	}
	if err := client.UnlinkAccount(t.Context(), id, "another"); err != nil || appMetadata(t, tenant, id) != all {
		t.Errorf("unlinked for another sign-up: %v; app_metadata is %s", err, appMetadata(t, tenant, id))
	}
	for range 2 {
		if err := client.UnlinkAccount(t.Context(), id, "u"); err != nil {
			t.Fatal(err)
		}
	}
	if got := appMetadata(t, tenant, id); got != `{"nested":{"a":"b"},"plan":"gold"}` {
		t.Errorf("app_metadata is %s after the unlink, want the metadata of others", got)
	}
	for i, r := range recorded.requests {
		if want := "/api/v2/users/google-oauth2%7C115"; r.URL.EscapedPath() != want {
			t.Errorf("sent %s, want %s", r.URL.EscapedPath(), want)
		}
		var sent map[string]map[string]any
		if r.Method == "PATCH" && (json.Unmarshal(recorded.bodies[i], &sent) != nil || len(sent["app_metadata"]) != 4) {
			t.Errorf("a change is sent as %s, want our four members and no others", recorded.bodies[i])
		}
	}
}

func TestALateLinkKeepsTheTenant(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant)
	id := unmanaged(t, tenant)
	whole := identity.Metadata{TenantID: "t", Database: "d", SchoolName: "s", SignupID: "u"}
	for _, m := range []identity.Metadata{whole, {SchoolName: "s", SignupID: "u"}} {
		linked, err := client.LinkAccount(t.Context(), id, m)
		if err != nil || linked.Metadata != whole {
			t.Errorf("linked %+v, %v; want %+v", linked.Metadata, err, whole)
		}
	}
}

func TestAnEmailIsMarkedAsVerified(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant)
	made, err := client.Create(t.Context(), newUser())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []flaky.Kind{flaky.LostAnswer, flaky.StatusAfter} {
		tenant.Inject(flaky.Fault{Method: "PATCH", Kind: kind})
		if err := client.Verify(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	if user, _ := tenant.User(made.ID); !user.EmailVerified {
		t.Error("it is not")
	}
	if got := string(recorded.bodies[len(recorded.bodies)-1]); got != `{"email_verified":true}` {
		t.Errorf("sent %s", got)
	}
}

func TestADeletedUserIsNotFound(t *testing.T) {
	t.Parallel()
	client, _ := newRecordingClient(t, startTenant(t))
	const id = "auth0|nobody"
	_, errFind := client.Find(t.Context(), id)
	_, errLink := client.LinkAccount(t.Context(), id, identity.Metadata{SignupID: "u"})
	_, errTicket := client.PasswordResetLink(t.Context(), id, "", 0)
	for _, err := range []error{errFind, errLink, errTicket, client.Verify(t.Context(), id)} {
		if !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%v; want that it does not exist", err)
		}
	}
	if err := client.UnlinkAccount(t.Context(), id, "u"); err != nil {
		t.Errorf("an unlink of a removed account: %v", err)
	}
}
