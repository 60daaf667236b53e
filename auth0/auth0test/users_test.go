package auth0test_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

func TestCreateGivesTheDefaults(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{Now: clock.Now})
	rep := tn.create("MyEmailAddress@Example.com", `,"user_id":"0199-abc"`)
	if rep.Status != http.StatusCreated || rep.Header.Get("Location") != "" || rep.Header.Get("Cache-Control") != "no-cache" || rep.Header.Get("X-Ratelimit-Remaining") == "" {
		t.Fatalf("%d %v %s", rep.Status, rep.Header, rep.Raw)
	}
	want := `{"created_at":"2026-11-20T10:00:00.000Z","email":"myemailaddress@example.com","email_verified":false,` +
		`"identities":[{"connection":"Username-Password-Authentication","isSocial":false,"provider":"auth0","user_id":"0199-abc"}],` +
		`"name":"myemailaddress@example.com","nickname":"myemailaddress",` +
		`"picture":"https://s.gravatar.com/avatar/0bc83cb571cd1c50ba6f3e8a78ef1346?s=480\u0026r=pg\u0026d=https%3A%2F%2Fcdn.auth0.com%2Favatars%2Fmy.png",` +
		`"updated_at":"2026-11-20T10:00:00.000Z","user_id":"auth0|0199-abc"}`
	if got := mustJSON(t, rep.Body); got != want {
		t.Errorf("answered %s\nwant %s", got, want)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{
		{Name: "db"},
		{Name: "names", RequiresUsername: true},
		{Name: "google-oauth2", Strategy: "google-oauth2"},
		{Name: "off", Disabled: true},
	}})
	invalid := func(reason string) string { return "Payload validation error: '" + reason + "'." }
	for name, c := range map[string]struct{ body, code, message string }{
		"an unknown member": {`{"connection":"db","x":1,"a":2}`, "invalid_body", invalid("Additional properties not allowed: a,x")},
		"no connection":     {`{"email":"a@example.com"}`, "invalid_body", invalid("Missing required property: connection")},
		"no e-mail":         {`{"connection":"db","password":"Correct-h0rse"}`, "invalid_body", invalid("Missing required property: email")},
		"no password":       {`{"connection":"db","email":"a@example.com"}`, "invalid_body", invalid("Missing required property: password")},
		"a bad e-mail":      {`{"connection":"db","email":"a@b","password":"Correct-h0rse"}`, "invalid_body", "Payload validation error: 'Object didn't pass validation for format email: a@b' on property email (The user's email)."},
		"an empty name":     {`{"connection":"db","email":"a@example.com","password":"Correct-h0rse","given_name":""}`, "invalid_body", "Payload validation error: 'String is too short (0 chars), minimum 1' on property given_name (The user's given name(s))."},
		"a long name":       {`{"connection":"db","email":"a@example.com","password":"Correct-h0rse","name":"` + strings.Repeat("x", 301) + `"}`, "invalid_body", "Payload validation error: 'String is too long (301 chars), maximum 300' on property name (The user's full name)."},
		"another type":      {`{"connection":"db","email":null}`, "invalid_body", "Payload validation error: 'Expected type string but found type null' on property email (The user's email)."},
		"a bad phone":       {`{"connection":"db","phone_number":"12"}`, "invalid_body", `Payload validation error: 'String does not match pattern ^\+[0-9]{1,15}$: 12' on property phone_number (The user's phone number (following the E.164 recommendation)).`},
		"not an object":     {`[]`, "invalid_body", invalid("Expected type object but found type array")},
		"no JSON":           {`{`, "", "Invalid request payload JSON format"},
		"a dotted key":      {`{"connection":"db","email":"a@example.com","password":"Correct-h0rse","user_metadata":{"a.b":1}}`, "invalid_body", invalid("Property names of user_metadata must not contain '.' or '$': a.b")},
		"a reserved key":    {`{"connection":"db","email":"a@example.com","password":"Correct-h0rse","app_metadata":{"email":1}}`, "invalid_body", invalid("Additional properties not allowed in app_metadata: email")},
		"no such database":  {`{"connection":"x","email":"a@example.com","password":"Correct-h0rse"}`, "inexistent_connection", "The connection does not exist."},
		"not a database":    {`{"connection":"google-oauth2","email":"a@example.com"}`, "", "Connection does not support user creation through the API. It must either be a database or passwordless connection."},
		"a database off":    {`{"connection":"off","email":"a@example.com","password":"Correct-h0rse"}`, "", "Connection is disabled."},
		"a username":        {`{"connection":"db","email":"a@example.com","password":"Correct-h0rse","username":"a"}`, "", "Cannot set username for connection without requires_username."},
		"an e-mail":         {`{"connection":"names","email":"a@example.com","password":"Correct-h0rse","username":"a@b.example"}`, "invalid_body", invalid("Object didn't pass validation for format username: a@b.example")},
		"no username":       {`{"connection":"names","email":"a@example.com","password":"Correct-h0rse"}`, "invalid_body", invalid("Missing required property: username")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, tn.call("POST", "/api/v2/users", c.body), http.StatusBadRequest, c.code, c.message)
		})
	}
	t.Cleanup(func() {
		if n := len(tn.Users()) + len(tn.Mails()); n != 0 {
			t.Errorf("refused creates made %d users and mails", n)
		}
	})
}

func TestCreateMindsTheConnection(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{
		{Name: auth0test.DefaultConnection}, {Name: "names", RequiresUsername: true},
	}})
	tn.mustCreate("ada@example.com", "")
	wantError(t, tn.create("ADA@example.com", ""), 409, "auth0_idp_error", "The user already exists.")
	other := func(email, username string) reply {
		return tn.call("POST", "/api/v2/users", `{"connection":"names","email":"`+email+`","password":"Correct-h0rse","username":"`+username+`"}`)
	}
	if rep := other("ada@example.com", "Ada"); rep.Status != 201 || rep.Body["username"] != "ada" {
		t.Errorf("the same e-mail in another database: %d %s", rep.Status, rep.Raw)
	}
	wantError(t, other("bob@example.com", "ada"), 400, "", "The username provided is in use already.")
}

func TestCreateTakesAnIDOnce(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	if id := tn.mustCreate("ada@example.com", `,"user_id":"auth0|x"`); id != "auth0|x" {
		t.Errorf("id is %s", id)
	}
	wantError(t, tn.create("bob@example.com", `,"user_id":"x"`), 409, "auth0_idp_error", "The user already exists.")
	if id := tn.mustCreate("bob@example.com", ""); !regexp.MustCompile(`^auth0\|[0-9a-f]{24}$`).MatchString(id) {
		t.Errorf("id is %s", id)
	}
}

func TestConcurrentCreatesOfOneEmail(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	statuses := make([]int, 20)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i] = tn.create("ada@example.com", "").Status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if count[201] != 1 || count[409] != 19 || len(tn.Users()) != 1 {
		t.Errorf("answers are %v, with %d users", count, len(tn.Users()))
	}
}

func TestCreateAsAForm(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	req := tn.request("POST", "/api/v2/users", url.Values{
		"connection": {auth0test.DefaultConnection}, "email": {"ada@example.com"}, "password": {"Correct-h0rse"},
		"email_verified": {"true"}, "app_metadata": {`{"a":1}`}, "name": {"7"},
	}.Encode())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rep, err := tn.do(req)
	if err != nil || rep.Status != 201 || rep.Body["email_verified"] != true || rep.Body["name"] != "7" || mustJSON(t, rep.Body["app_metadata"]) != `{"a":1}` {
		t.Errorf("%v %d %s", err, rep.Status, rep.Raw)
	}
}

func TestCustomDomainConflict(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{CustomDomainConflict: true})
	wantError(t, tn.create("ada@example.com", ""), 409, "custom_domain_conflict", "The tenant has multiple verified custom domains.")
	req := tn.request("POST", "/api/v2/users", `{"connection":"`+auth0test.DefaultConnection+`","email":"ada@example.com","password":"Correct-h0rse"}`)
	req.Header.Set("auth0-custom-domain", "login.example.com")
	if rep, err := tn.do(req); err != nil || rep.Status != 201 {
		t.Errorf("with a domain: %v %d %s", err, rep.Status, rep.Raw)
	}
}

func TestVerificationMail(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]bool{
		``:                        true,
		`,"email_verified":false`: true,
		`,"email_verified":true`:  false,
		`,"verify_email":false`:   false,
		`,"email_verified":true,"verify_email":true`: true,
	} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{})
			id := tn.mustCreate("ada@example.com", more)
			mails := tn.Mails()
			if (len(mails) == 1) != want {
				t.Fatalf("%d mails", len(mails))
			}
			if want && (mails[0].To != "ada@example.com" || mails[0].UserID != id || mails[0].Kind != auth0test.MailVerification) {
				t.Errorf("mail is %+v", mails[0])
			}
		})
	}
}

func TestReadAndDelete(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	if rep := tn.call("GET", userPath(id), ""); rep.Status != 200 || rep.Body["user_id"] != id || !strings.Contains(userPath(id), "%7C") {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		wantError(t, tn.call(method, "/api/v2/users/nobar", "{}"), 400, "invalid_uri",
			"Path validation error: 'Object didn't pass validation for format user-id: nobar' on property id (The user_id of the user to retrieve.).")
	}
	for range 2 {
		if rep := tn.call("DELETE", userPath(id), ""); rep.Status != 204 || rep.Raw != "" {
			t.Errorf("%d %s", rep.Status, rep.Raw)
		}
	}
	for _, method := range []string{"GET", "PATCH"} {
		wantError(t, tn.call(method, userPath(id), "{}"), 404, "inexistent_user", "The user does not exist.")
	}
	tn.mustCreate("ada@example.com", "")
}

func TestUsersByEmail(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{SearchDelay: time.Hour})
	id := tn.mustCreate("Ada@example.com", "")
	byEmail := func(email string) reply {
		return tn.call("GET", "/api/v2/users-by-email?email="+url.QueryEscape(email), "")
	}
	if rep := byEmail("ada@example.com"); len(rep.List) != 1 || rep.List[0]["user_id"] != id {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("GET", "/api/v2/users-by-email?fields=email,user_id&email=ada@example.com", ""); len(rep.List) != 1 || len(rep.List[0]) != 2 {
		t.Errorf("two fields: %s", rep.Raw)
	}
	if rep := tn.call("GET", userPath(id)+"?fields=email&include_fields=false", ""); rep.Body["email"] != nil || rep.Body["user_id"] != id {
		t.Errorf("all but one field: %s", rep.Raw)
	}
	if rep := byEmail("Ada@example.com"); strings.TrimSpace(rep.Raw) != "[]" {
		t.Errorf("in another letter case: %d %s", rep.Status, rep.Raw)
	}
	if rep := byEmail(""); rep.Status != 400 || rep.Body["errorCode"] != "invalid_query_string" {
		t.Errorf("without an e-mail: %d %s", rep.Status, rep.Raw)
	}
}
