package auth0test_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

// visit opens a page as a browser does, without following redirects.
func (tn *tenant) visit(method, address string, form url.Values) (int, string) {
	tn.t.Helper()
	req, err := http.NewRequestWithContext(tn.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		tn.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		tn.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Location")
}

// mustTicket returns the link's address and its ticket.
func (tn *tenant) mustTicket(kind, body string) (address, ticket string) {
	tn.t.Helper()
	rep := tn.call("POST", "/api/v2/tickets/"+kind, body)
	link, _ := rep.Body["ticket"].(string)
	at, err := url.Parse(link)
	if rep.Status != 201 || err != nil || !strings.HasSuffix(link, "#") {
		tn.t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	return tn.URL() + at.Path, at.Query().Get("ticket")
}

func TestAPasswordTicketWorksOnce(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	page, ticket := tn.mustTicket("password-change", `{"user_id":"`+id+`","result_url":"https://app.test/done?x=1","mark_email_as_verified":true}`)
	for range 2 { // a mail scanner opens it first
		if status, _ := tn.visit("GET", page+"?ticket="+ticket, nil); status != 200 {
			t.Fatalf("the page: %d", status)
		}
	}
	weak := url.Values{"ticket": {ticket}, "password": {"weak"}}
	if status, _ := tn.visit("POST", page, weak); status != 400 {
		t.Errorf("a weak password: %d", status)
	}
	good := url.Values{"ticket": {ticket}, "password": {"N3w-password"}}
	status, to := tn.visit("POST", page, good)
	if status != 302 || !strings.HasPrefix(to, "https://app.test/done?") || !strings.Contains(to, "x=1") || !strings.Contains(to, "success=true") {
		t.Errorf("%d, redirects to %s", status, to)
	}
	if status, _ := tn.visit("POST", page, good); status != 400 {
		t.Errorf("the second time: %d", status)
	}
	if user, _ := tn.User(id); !user.EmailVerified || user.LastPasswordReset.IsZero() {
		t.Errorf("the user is %+v", user)
	}
	form := tn.clientForm()
	form.Set("grant_type", "password")
	form.Set("username", "ada@example.com")
	form.Set("password", "N3w-password")
	form.Del("audience")
	if rep := tn.grant(form); rep.Status != 200 {
		t.Errorf("log in: %d %s", rep.Status, rep.Raw)
	}
}

func TestTicketsEnd(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{Now: clock.Now})
	id := tn.mustCreate("ada@example.com", "")
	short, shortTicket := tn.mustTicket("password-change", `{"user_id":"`+id+`","ttl_sec":60}`)
	usual, usualTicket := tn.mustTicket("password-change", `{"user_id":"`+id+`","ttl_sec":0}`)
	clock.advance(time.Minute)
	if status, _ := tn.visit("GET", short+"?ticket="+shortTicket, nil); status != 400 {
		t.Errorf("after its time: %d", status)
	}
	clock.advance(5*24*time.Hour - 2*time.Minute)
	if status, _ := tn.visit("GET", usual+"?ticket="+usualTicket, nil); status != 200 {
		t.Errorf("within five days: %d", status)
	}
	tn.token = tn.managementToken(time.Hour)
	tn.call("DELETE", userPath(id), "")
	if status, _ := tn.visit("GET", usual+"?ticket="+usualTicket, nil); status != 400 {
		t.Errorf("without its user: %d", status)
	}
}

func TestTicketsAreForKnownUsers(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.mustCreate("ada@example.com", "")
	con := tn.call("GET", "/api/v2/connections?name="+auth0test.DefaultConnection, "").List[0]["id"].(string)
	tn.mustTicket("password-change", `{"email":"ada@example.com","connection_id":"`+con+`"}`)
	const path = "/api/v2/tickets/password-change"
	for _, body := range []string{`{"user_id":"auth0|nobody"}`, `{"email":"bob@example.com","connection_id":"` + con + `"}`, `{"email":"ada@example.com","connection_id":"con_x"}`} {
		wantError(t, tn.call("POST", path, body), 404, "inexistent_user", "The user does not exist.")
	}
	for _, body := range []string{`{}`, `{"user_id":"auth0|x","ttl_sec":-1}`, `{"user_id":"auth0|x","result_url":"nowhere"}`} {
		if rep := tn.call("POST", path, body); rep.Status != 400 {
			t.Errorf("%s: %d %s", body, rep.Status, rep.Raw)
		}
	}
}

func TestAVerificationMailIsAJob(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", `,"verify_email":false`)
	send := func() string {
		t.Helper()
		rep := tn.call("POST", "/api/v2/jobs/verification-email", `{"user_id":"`+id+`"}`)
		if rep.Status != 201 || rep.Body["status"] != "pending" || rep.Body["type"] != "verification_email" {
			t.Fatalf("%d %s", rep.Status, rep.Raw)
		}
		status, _ := tn.call("GET", "/api/v2/jobs/"+rep.Body["id"].(string), "").Body["status"].(string)
		return status
	}
	if status := send(); status != "completed" {
		t.Errorf("the job is %s", status)
	}
	mails := tn.Mails()
	if len(mails) != 1 || mails[0].Kind != auth0test.MailVerification {
		t.Fatalf("mails are %+v", mails)
	}
	for _, want := range []int{200, 400} {
		if status, _ := tn.visit("GET", mails[0].Link, nil); status != want {
			t.Errorf("the link: %d, want %d", status, want)
		}
	}
	if user, _ := tn.User(id); !user.EmailVerified {
		t.Error("the e-mail is not verified")
	}
	if status := send(); status != "failed" || len(tn.Mails()) != 1 {
		t.Errorf("for a verified e-mail the job is %s, with %d mails", status, len(tn.Mails()))
	}
	if rep := tn.call("GET", "/api/v2/jobs/job_0000000000000000", ""); rep.Status != 404 {
		t.Errorf("no such job: %d", rep.Status)
	}
	if rep := tn.call("POST", "/api/v2/jobs/verification-email", `{"user_id":"auth0|nobody"}`); rep.Status != 404 {
		t.Errorf("no such user: %d", rep.Status)
	}
}

func TestPasswordlessUsers(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	rep := tn.call("POST", usersPath, `{"connection":"email","email":"Ada@example.com","user_id":"0199"}`)
	if rep.Status != 201 || rep.Body["user_id"] != "email|0199" ||
		mustJSON(t, rep.Body["identities"]) != `[{"connection":"email","isSocial":false,"provider":"email","user_id":"0199"}]` {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("POST", usersPath, `{"connection":"email","email":"b@example.com","password":"Correct-h0rse"}`); rep.Status != 400 {
		t.Errorf("with a password: %d", rep.Status)
	}
	for _, password := range []string{"", "x"} {
		grant := tn.clientForm()
		grant.Del("audience")
		for name, value := range map[string]string{
			"grant_type": "http://auth0.com/oauth/grant-type/password-realm", "realm": "email", "username": "ada@example.com",
			"password": password,
		} {
			grant.Set(name, value)
		}
		if rep := tn.grant(grant); rep.Status != 403 {
			t.Errorf("log in with %q: %d %s", password, rep.Status, rep.Raw)
		}
	}
	client := tn.Config().ClientID
	started := tn.call("POST", "/passwordless/start", `{"client_id":"`+client+`","connection":"email","email":"Ada@example.com","send":"code"}`)
	if started.Status != 200 || mustJSON(t, started.Body) != `{"_id":"0199","email":"ada@example.com","email_verified":false}` {
		t.Errorf("start: %d %s", started.Status, started.Raw)
	}
	for body, code := range map[string]string{
		`{"client_id":"` + client + `","connection":"sms","email":"a@example.com"}`: "bad.connection",
		`{"client_id":"x","connection":"email","email":"a@example.com"}`:            "bad.client_id",
		`{"client_id":"` + client + `","connection":"email","email":"a"}`:           "bad.email",
	} {
		if rep := tn.call("POST", "/passwordless/start", body); rep.Status != 400 || rep.Body["error"] != code {
			t.Errorf("%s: %d %s", body, rep.Status, rep.Raw)
		}
	}
}

func TestAForgottenPassword(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	tn.mustCreate("ada@example.com", `,"verify_email":false`)
	for _, email := range []string{"Ada@example.com", "nobody@example.com"} {
		rep := tn.call("POST", "/dbconnections/change_password", `{"client_id":"x","connection":"`+auth0test.DefaultConnection+`","email":"`+email+`"}`)
		if rep.Status != 200 || rep.Raw != "We've just sent you an email to reset your password." || !strings.HasPrefix(rep.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", email, rep.Status, rep.Raw)
		}
	}
	mails := tn.Mails()
	if len(mails) != 1 || mails[0].Kind != auth0test.MailPassword {
		t.Fatalf("mails are %+v", mails)
	}
	if status, _ := tn.visit("GET", mails[0].Link, nil); status != 200 {
		t.Errorf("the link: %d", status)
	}
}
