package auth0test_test

import (
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
)

func TestStateOutlivesTheServer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "auth0.json")
	first := setup(t, auth0test.Config{StateFile: file})
	id := first.mustCreate("ada@example.com", `,"app_metadata":{"a":1}`)
	user, _ := first.User(id)
	first.Close()

	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "Correct-h0rse") || strings.Contains(string(raw), first.Config().ClientSecret) {
		t.Error("the file contains a secret in plain text")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}

	second := setup(t, auth0test.Config{StateFile: file, BaseURL: first.URL()})
	if again, ok := second.User(id); !ok || mustJSON(t, again) != mustJSON(t, user) {
		t.Errorf("found %+v, want %+v", again, user)
	}
	if len(second.Mails()) != 1 {
		t.Error("the mail is lost")
	}
	second.token = first.token
	req := second.request("GET", usersPath, "")
	recorder := httptest.NewRecorder()
	second.ServeHTTP(recorder, req) // its URL is that of the first one, which is closed
	if recorder.Code != 200 {
		t.Errorf("an old token: %d %s", recorder.Code, recorder.Body.String())
	}
}

func TestBrokenStateIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "auth0.json")
	for _, content := range []string{"{", "{}"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := auth0test.New(auth0test.Config{BaseURL: "http://x", StateFile: file}); err == nil {
			t.Errorf("%s was taken", content)
		}
	}
}

func TestOrganizationsOutliveTheServer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "auth0.json")
	first := setup(t, auth0test.Config{StateFile: file})
	id := first.mustCreate("ada@example.com", "")
	path := first.mustCreateOrganization(`{"name":"lincoln","metadata":{"a":"1"}}`)
	role := first.Roles()[0].ID
	first.call("POST", path+"/members", `{"members":["`+id+`"]}`)
	first.call("POST", path+"/members/"+url.PathEscape(id)+"/roles", `{"roles":["`+role+`"]}`)
	first.call("POST", userPath(id)+"/roles", `{"roles":["`+role+`"]}`)
	_, ticket := first.mustTicket("password-change", `{"user_id":"`+id+`"}`)
	want := mustJSON(t, first.Organizations())
	first.Close()

	second := setup(t, auth0test.Config{StateFile: file, Roles: []string{"not again"}})
	if got := mustJSON(t, second.Organizations()); got != want || !strings.Contains(got, id) {
		t.Errorf("organizations are %s, want %s", got, want)
	}
	if got := second.RolesOf(id); !slices.Equal(got, []string{"owner"}) || len(second.Roles()) != 3 {
		t.Errorf("the user's roles are %v, the tenant's %v", got, second.Roles())
	}
	if status, _ := second.visit("GET", second.URL()+"/u/reset-password?ticket="+ticket, nil); status != 200 {
		t.Errorf("the ticket: %d", status)
	}
	second.DeleteAll()
	if len(second.Organizations()) != 0 || len(second.RolesOf(id)) != 0 || len(second.Roles()) != 3 {
		t.Error("DeleteAll left organizations, or removed roles")
	}
}
