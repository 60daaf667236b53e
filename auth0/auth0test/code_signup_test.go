package auth0test_test

import (
	"net/http"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
)

// publicSignup sends a request to the endpoint that needs no token.
func (tn *tenant) publicSignup(body string) reply {
	tn.t.Helper()
	req := tn.request("POST", "/dbconnections/signup", body)
	req.Header.Del("Authorization")
	rep, err := tn.do(req)
	if err != nil {
		tn.t.Fatal(err)
	}
	return rep
}

func TestPublicSignup(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	good := `{"client_id":"homeroom-web","connection":"Username-Password-Authentication","email":"Ada@Lincoln.example","password":"Correct-h0rse","user_metadata":{"plan":"free"}}`
	rep := tn.publicSignup(good)
	id, _ := rep.Body["_id"].(string)
	if rep.Status != http.StatusOK || len(id) != 24 || rep.Body["email"] != "ada@lincoln.example" || rep.Body["email_verified"] != false {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	if user, ok := tn.User("auth0|" + id); !ok || user.UserMetadata["plan"] != "free" || len(tn.Mails()) != 1 {
		t.Errorf("the user is %+v, the mails are %v", user, tn.Mails())
	}
	rep = tn.publicSignup(good)
	if rep.Status != http.StatusBadRequest || rep.Raw != `{"name":"BadRequestError","code":"invalid_signup","description":"Invalid sign up","statusCode":400}`+"\n" {
		t.Errorf("an e-mail that exists: %d %s", rep.Status, rep.Raw)
	}
	rep = tn.publicSignup(strings.NewReplacer("Ada@", "grace@", "Correct-h0rse", "short").Replace(good))
	description, _ := rep.Body["description"].(map[string]any)
	rules, _ := description["rules"].([]any)
	if rep.Status != http.StatusBadRequest || rep.Body["name"] != "PasswordStrengthError" || rep.Body["code"] != "invalid_password" ||
		rep.Body["message"] != "Password is too weak" || description["verified"] != false || len(rules) != 2 ||
		!strings.HasPrefix(rep.Body["policy"].(string), "* At least 8 characters") || strings.Contains(rep.Raw, "short") {
		t.Errorf("a weak password: %d %s", rep.Status, rep.Raw)
	}
	for name, bad := range map[string]string{
		"an unknown client":     strings.Replace(good, "homeroom-web", "nobody", 1),
		"an unknown connection": strings.Replace(good, "Username-", "Nowhere-", 1),
		"no e-mail address":     strings.Replace(good, "Ada@Lincoln.example", "ada", 1),
		"no JSON":               "{",
	} {
		if rep := tn.publicSignup(bad); rep.Status != http.StatusBadRequest || rep.Body["code"] == nil || len(tn.Users()) != 1 {
			t.Errorf("%s: %d %s", name, rep.Status, rep.Raw)
		}
	}
}

func TestPublicSignupMayBeOff(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{{Name: "db", NoSignup: true}}})
	rep := tn.publicSignup(`{"client_id":"homeroom-web","connection":"db","email":"ada@lincoln.example","password":"Correct-h0rse"}`)
	if rep.Status != http.StatusBadRequest || rep.Body["description"] != "public signup is disabled" || len(tn.Users()) != 0 {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}
