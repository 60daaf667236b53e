package scim_test

import (
	"maps"
	"testing"

	"homeroom/identity"
	"homeroom/scim/scimtest"
)

func TestAnUnreadableFieldIsNamedAndTheUserRemoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field string
		shown map[string]any
	}{
		"an id that is an object":      {"id", map[string]any{"id": map[string]any{"value": "4711"}}},
		"an empty id":                  {"id", map[string]any{"id": ""}},
		"no id":                        {"id", map[string]any{"id": nil}},
		"e-mails that are not strings": {"emails", map[string]any{"emails": true}},
		"e-mails by their types":       {"emails", map[string]any{"emails": map[string]any{"work": "ada.canary@lincoln.example"}}},
		"an externalId that is a list": {"externalId", map[string]any{"externalId": []string{"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := setup(t, scimtest.Config{Quirks: scimtest.Quirks{Reshape: func(user map[string]any) { maps.Copy(user, c.shown) }}})
			_, err := client.Create(t.Context(), newUser())
			misconfigured(t, err, c.field)
			if n := len(server.Users()); n != 0 {
				t.Errorf("%d users are left", n)
			}
		})
	}
}

func TestAnUnreadableUserIsAnError(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Quirks: scimtest.Quirks{Reshape: func(user map[string]any) { user["emails"] = false }}})
	user := newUser()
	server.AddUser(scimtest.User{UserName: "DEFAULT/" + user.Email, Email: user.Email, ExternalID: user.ID.String()})
	_, err := client.LookupEmail(t.Context(), user.Email)
	misconfigured(t, err, "emails")
	if _, err := client.Lookup(t.Context(), user.ID); err != nil {
		t.Errorf("our user is not found by our id: %v", err)
	}
	if err := client.Delete(t.Context(), user.ID); err != nil || len(server.Users()) != 0 {
		t.Errorf("delete: %v, %d are left", err, len(server.Users()))
	}
}

func TestAFailedUndoIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	_, client := setup(t, scimtest.Config{Quirks: scimtest.Quirks{Reshape: func(user map[string]any) { user["id"], user["meta"] = nil, nil }}})
	if _, err := client.Create(t.Context(), newUser()); !identity.OutcomeUnknown(err) {
		t.Errorf("error is %v", err)
	}
}
