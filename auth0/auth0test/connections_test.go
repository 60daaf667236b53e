package auth0test_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"homeroom/auth0/auth0test"
)

const connectionsPath = "/api/v2/connections"

func TestConnectionsAreMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	cfg := auth0test.Config{StateFile: filepath.Join(t.TempDir(), "state.json")}
	tn := setup(t, cfg)
	made := tn.call("POST", connectionsPath, `{"name":"pupils","strategy":"auth0","options":{"passwordPolicy":"low"},"display_name":"Pupils"}`)
	if made.Status != http.StatusCreated || made.Body["display_name"] != "Pupils" || made.Body["name"] != "pupils" {
		t.Fatalf("made: %d %s", made.Status, made.Raw)
	}
	at := connectionsPath + "/" + made.Body["id"].(string)
	user := func(email, password string) reply {
		return tn.call("POST", usersPath, `{"connection":"pupils","email":"`+email+`","password":"`+password+`"}`)
	}
	first := user("ada@example.com", "simple")
	if first.Status != http.StatusCreated {
		t.Errorf("its policy has no effect: %d %s", first.Status, first.Raw)
	}
	kept := tn.mustCreate("ada@example.com", "")

	changed := tn.call("PATCH", at, `{"options":{"passwordPolicy":"good","disable_signup":true}}`)
	if changed.Status != http.StatusOK || changed.Body["display_name"] != "Pupils" || changed.Body["options"].(map[string]any)["passwordPolicy"] != "good" {
		t.Errorf("changed: %d %s", changed.Status, changed.Raw)
	}
	if rep := user("bob@example.com", "simple"); rep.Status != http.StatusBadRequest {
		t.Errorf("its new policy has no effect: %d %s", rep.Status, rep.Raw)
	}
	tn.Close()
	tn = setup(t, cfg)
	if rep := tn.call("GET", at, ""); rep.Status != http.StatusOK || rep.Body["display_name"] != "Pupils" {
		t.Errorf("after a restart: %d %s", rep.Status, rep.Raw)
	}

	gone := tn.call("DELETE", at, "")
	if gone.Status != http.StatusAccepted || gone.Body["deleted_at"] == nil {
		t.Errorf("deleted: %d %s", gone.Status, gone.Raw)
	}
	if _, there := tn.User(first.Body["user_id"].(string)); there {
		t.Error("its user still exists")
	}
	if _, there := tn.User(kept); !there {
		t.Error("another connection's user is gone")
	}
	wantError(t, tn.call("GET", at, ""), 404, "inexistent_connection", "The connection does not exist")
	wantError(t, tn.call("PATCH", at, `{"show_as_button":true}`), 404, "inexistent_connection", "The connection does not exist")
	if rep := tn.call("DELETE", at, ""); rep.Status != http.StatusNoContent {
		t.Errorf("deleted again: %d %s", rep.Status, rep.Raw)
	}
}

func TestConnectionsThatCannotBe(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	for body, status := range map[string]int{
		`{"name":"` + auth0test.DefaultConnection + `","strategy":"auth0"}`: 409,
		`{"name":"a b","strategy":"auth0"}`:                                 400,
		`{"name":"-a","strategy":"auth0"}`:                                  400,
		`{"strategy":"auth0"}`:                                              400,
		`{"name":"a"}`:                                                      400,
		`{"name":"a","strategy":"auth0","more":1}`:                          400,
		`{"name":"a","strategy":"auth0","options":{"passwordPolicy":"x"}}`:  400,
	} {
		if rep := tn.call("POST", connectionsPath, body); rep.Status != status {
			t.Errorf("%s: %d %s", body, rep.Status, rep.Raw)
		}
	}
}
