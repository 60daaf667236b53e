package auth0test_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
)

// Recordings of Auth0's Ruby SDK, compared with the simulator.

func TestAVerificationMailIsOfAnApplicationThatThereIs(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", `,"verify_email":false`)
	job := func(client string) reply {
		return tn.call("POST", "/api/v2/jobs/verification-email", `{"user_id":"`+id+`","client_id":"`+client+`"}`)
	}
	if rep := job("nobody"); rep.Status != http.StatusBadRequest || rep.Body["errorCode"] != "invalid_body" || len(tn.Mails()) != 0 {
		t.Errorf("an unknown application: %d %s, %d mails", rep.Status, rep.Raw, len(tn.Mails()))
	}
	for _, client := range []string{tn.Config().ClientID, "homeroom-web"} {
		if rep := job(client); rep.Status != http.StatusCreated {
			t.Errorf("%s: %d %s", client, rep.Status, rep.Raw)
		}
	}
}

func TestASearchNeedsNoEngine(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.mustCreate("ada@example.com", "")
	tn.mustCreate("bob@example.com", "")
	rep := tn.call("GET", "/api/v2/users?q=email:bob@example.com", "")
	if rep.Status != http.StatusOK || len(rep.List) != 1 || rep.List[0]["email"] != "bob@example.com" {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}

func TestATicketMayBringTheNewPassword(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	rep := tn.call("POST", "/api/v2/tickets/password-change", `{"user_id":"`+id+`","new_password":"An0ther-secret"}`)
	if rep.Status != http.StatusCreated {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	opens := func(password string) bool {
		form := tn.clientForm()
		form.Set("grant_type", "password")
		form.Del("audience")
		form.Set("username", "ada@example.com")
		form.Set("password", password)
		return tn.grant(form).Status == http.StatusOK
	}
	if opens("An0ther-secret") {
		t.Error("the password is set before the link was opened")
	}
	link := strings.TrimPrefix(strings.TrimSuffix(rep.Body["ticket"].(string), "#"), tn.URL())
	if page := tn.call("GET", link, ""); page.Status != http.StatusOK || !strings.Contains(page.Raw, "Your password is set.") {
		t.Errorf("the page: %d %s", page.Status, page.Raw)
	}
	if !opens("An0ther-secret") || opens("Correct-h0rse") {
		t.Error("the password is not the new one")
	}
	if page := tn.call("GET", link, ""); page.Status != http.StatusBadRequest {
		t.Errorf("the link works twice: %d", page.Status)
	}
}

func TestUsersTellTheirLogins(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	shown := tn.call("GET", userPath(id), "").Body
	for _, name := range []string{"last_login", "last_ip", "logins_count"} {
		if shown[name] != nil {
			t.Errorf("before any login %s is %v", name, shown[name])
		}
	}
	form := tn.clientForm()
	form.Set("grant_type", "password")
	form.Del("audience")
	form.Set("username", "ada@example.com")
	form.Set("password", "Correct-h0rse")
	if rep := tn.grant(form); rep.Status != http.StatusOK {
		t.Fatalf("login: %d %s", rep.Status, rep.Raw)
	}
	byID, byEmail := tn.call("GET", userPath(id), "").Body, tn.call("GET", "/api/v2/users-by-email?email=ada@example.com", "").List[0]
	for _, shown := range []map[string]any{byID, byEmail, tn.call("GET", "/api/v2/users", "").List[0]} {
		if shown["last_login"] == nil || shown["last_ip"] != "127.0.0.1" || shown["logins_count"] != float64(1) {
			t.Errorf("after a login: %v", shown)
		}
	}
}

func TestUserInfoWithoutATokenSaysNothing(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	req := tn.request("GET", "/userinfo", "")
	req.Header.Del("Authorization")
	rep, err := tn.do(req)
	if err != nil || rep.Status != http.StatusUnauthorized || rep.Raw != "" || rep.Header["Content-Type"] != nil {
		t.Errorf("%v, %d %q %v", err, rep.Status, rep.Raw, rep.Header)
	}
}

func TestConnectionsHaveTheFieldsThatAreAskedFor(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	for query, want := range map[string][]string{
		"fields=id,name":                      {"id", "name"},
		"fields=id,name&include_fields=true":  {"id", "name"},
		"fields=id,name&include_fields=false": {"enabled_clients", "is_domain_connection", "options", "realms", "strategy"},
	} {
		list := tn.call("GET", "/api/v2/connections?"+query, "").List
		id := tn.call("GET", "/api/v2/connections", "").List[0]["id"].(string)
		one := tn.call("GET", "/api/v2/connections/"+id+"?"+query, "").Body
		page := tn.call("GET", "/api/v2/connections?take=1&"+query, "").Body["connections"].([]any)[0].(map[string]any)
		for _, shown := range []map[string]any{list[0], one, page} {
			names := []string{}
			for name := range shown {
				names = append(names, name)
			}
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Errorf("%s: %v, want %v", query, names, want)
			}
		}
	}
}
