package auth0test_test

import (
	"net/http"
	"testing"

	"homeroom/auth0/auth0test"
)

func TestUpdateMergesMetadataAtTheFirstLevel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ patch, user, app string }{
		"adds and keeps":                   {`{"app_metadata":{"foo":1}}`, `{"a":1}`, `{"foo":1,"n":{"x":1,"y":2},"o":1}`},
		"replaces what is nested":          {`{"app_metadata":{"n":{"x":2}}}`, `{"a":1}`, `{"n":{"x":2},"o":1}`},
		"removes with null":                {`{"app_metadata":{"n":null}}`, `{"a":1}`, `{"o":1}`},
		"removes all with an empty object": {`{"app_metadata":{},"user_metadata":{}}`, `{}`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{})
			path := userPath(tn.mustCreate("ada@example.com", `,"user_metadata":{"a":1},"app_metadata":{"o":1,"n":{"x":1,"y":2}}`))
			if rep := tn.call("PATCH", path, c.patch); rep.Status != http.StatusOK {
				t.Fatalf("%d %s", rep.Status, rep.Raw)
			}
			rep := tn.call("GET", path, "")
			if user := mustJSON(t, rep.Body["user_metadata"]); user != c.user {
				t.Errorf("user_metadata is %s, want %s", user, c.user)
			}
			if app := mustJSON(t, rep.Body["app_metadata"]); app != c.app {
				t.Errorf("app_metadata is %s, want %s", app, c.app)
			}
		})
	}
}

func TestUpdateReplacesAndUnsets(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", `,"given_name":"Ada","family_name":"Lovelace"`)
	rep := tn.call("PATCH", userPath(id), `{"given_name":null,"family_name":"King","blocked":true,"email_verified":true}`)
	_, has := rep.Body["given_name"]
	if rep.Status != 200 || has || rep.Body["family_name"] != "King" || rep.Body["blocked"] != true || rep.Body["email_verified"] != true {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if user, _ := tn.User(id); user.FamilyName != "King" || user.GivenName != "" {
		t.Errorf("stored %+v", user)
	}
}

func TestUpdateRefusesPairs(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	path := userPath(tn.mustCreate("ada@example.com", ""))
	values := map[string]string{"password": `"Other-h0rse"`, "email": `"b@example.com"`, "email_verified": `true`, "username": `"ada"`}
	for _, pair := range [][2]string{
		{"password", "email"}, {"password", "email_verified"}, {"username", "email"}, {"username", "email_verified"}, {"username", "password"},
	} {
		rep := tn.call("PATCH", path, `{"`+pair[0]+`":`+values[pair[0]]+`,"`+pair[1]+`":`+values[pair[1]]+`}`)
		wantError(t, rep, 400, "", "Cannot update "+pair[0]+" and "+pair[1]+" simultaneously.")
	}
}

func TestUpdateFreesTheFormerEmail(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	if rep := tn.call("PATCH", userPath(id), `{"email":"Countess@example.com","verify_email":true}`); rep.Body["email"] != "countess@example.com" {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if mails := tn.Mails(); len(mails) != 2 || mails[1].To != "countess@example.com" {
		t.Errorf("mails are %+v", mails)
	}
	tn.mustCreate("ada@example.com", "")
	wantError(t, tn.create("countess@example.com", ""), 409, "auth0_idp_error", "The user already exists.")
}

func TestUpdateIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.mustCreate("bob@example.com", "")
	id := tn.mustCreate("ada@example.com", "")
	if rep := tn.call("PATCH", userPath(id), `{"email":"Ada@example.com"}`); rep.Status != 200 {
		t.Errorf("the user's own e-mail: %d %s", rep.Status, rep.Raw)
	}
	before, _ := tn.User(id)
	if rep := tn.call("PATCH", userPath(id), `{"email":"BOB@example.com","name":"x"}`); rep.Status != 400 {
		t.Errorf("a taken e-mail: %d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("PATCH", userPath(id), `{"password":"weak","name":"x"}`); rep.Status != 400 {
		t.Errorf("a weak password: %d %s", rep.Status, rep.Raw)
	}
	after, _ := tn.User(id)
	if mustJSON(t, before) != mustJSON(t, after) {
		t.Errorf("a refused update changed %+v to %+v", before, after)
	}
}
