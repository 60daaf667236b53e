package auth0_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

// sentUser returns the body of the create that a client sent.
func sentUser(t *testing.T, recorded *recordingTransport) map[string]any {
	t.Helper()
	for i, r := range recorded.requests {
		if r.Method == http.MethodPost && r.URL.Path == "/api/v2/users" {
			var sent map[string]any
			if err := json.Unmarshal(recorded.bodies[i], &sent); err != nil {
				t.Fatal(err)
			}
			return sent
		}
	}
	t.Fatal("no create was sent")
	return nil
}

func TestPasswordlessUsersHaveNoPassword(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant, func(c *auth0.Config) { c.Login = auth0.LoginEmail })
	if identity.TakesPassword(client) {
		t.Error("it takes passwords")
	}
	user := newUser()
	made, err := client.Create(t.Context(), user)
	if err != nil || made.ID != "email|"+user.ID.String() || made.OurID != user.ID {
		t.Fatalf("made %+v, %v", made, err)
	}
	sent := sentUser(t, recorded)
	if _, has := sent["password"]; has || sent["connection"] != "email" {
		t.Errorf("sent %v", sent)
	}
	if found, err := client.Lookup(t.Context(), user.ID); err != nil || found.Metadata != user.Metadata {
		t.Errorf("found %+v, %v", found, err)
	}
	listed := 0
	err = client.List(t.Context(), func(u identity.User) error {
		if u.OurID == user.ID {
			listed++
		}
		return nil
	})
	if err != nil || listed != 1 {
		t.Errorf("listed %d times, %v", listed, err)
	}
	if err := client.Delete(t.Context(), user.ID); err != nil || len(tenant.Users()) != 0 {
		t.Errorf("delete: %v; %d users are left", err, len(tenant.Users()))
	}
}

func TestAPasswordChosenByALink(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{Connections: []auth0test.Connection{
		{Name: auth0test.DefaultConnection, Policy: auth0test.PolicyExcellent},
	}})
	client, recorded := newRecordingClient(t, tenant, func(c *auth0.Config) { c.Login = auth0.LoginTicket })
	if identity.TakesPassword(client) {
		t.Error("it takes passwords")
	}
	made, err := client.Create(t.Context(), newUser())
	if err != nil {
		t.Fatal(err)
	}
	first, _ := sentUser(t, recorded)["password"].(string)
	if len(first) < 30 || first == password {
		t.Errorf("the first password has %d characters, or is the person's", len(first))
	}
	link, err := client.PasswordResetLink(t.Context(), made.ID, "https://homeroom.test/welcome", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(recorded.bodies[len(recorded.bodies)-1]),
		`{"user_id":"`+made.ID+`","result_url":"https://homeroom.test/welcome","ttl_sec":3600}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	choose(t, link.Reveal(), password)
	if _, err := newSessionClient(t, tenant).OpenSession(t.Context(), email, password, ""); err != nil {
		t.Errorf("the password that was chosen: %v", err)
	}
}

// choose sets a password on Auth0's page as a person does, and returns where the page redirects.
func choose(t *testing.T, link, chosen string) {
	t.Helper()
	address, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	look, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := browser.Do(look)
	if err != nil {
		t.Fatal(err)
	}
	html, _ := io.ReadAll(page.Body)
	_ = page.Body.Close()
	if page.StatusCode != http.StatusOK || !strings.Contains(string(html), `name="password"`) {
		t.Fatalf("the page: %d %s", page.StatusCode, html)
	}
	form := url.Values{"ticket": {address.Query().Get("ticket")}, "password": {chosen}}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address.Host+address.Path,
		strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := browser.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || !strings.HasPrefix(to, "https://homeroom.test/welcome?") {
		t.Fatalf("the page redirects to %q with status %d", to, res.StatusCode)
	}
}

func TestARefusedGeneratedPasswordIsMisconfigured(t *testing.T) {
	t.Parallel()
	tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) {
		respond(w, 400, `{"statusCode":400,"error":"Bad Request","message":"PasswordStrengthError: Password is too weak"}`)
	}}
	_, err := tenant.serve(t, func(c *auth0.Config) { c.Login = auth0.LoginTicket }).Create(t.Context(), newUser())
	checkError(t, err, misconfigured)
}

func TestOwnMailsTurnAuth0sMailOff(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant, func(c *auth0.Config) { c.OwnMails = true })
	if _, err := client.Create(t.Context(), newUser()); err != nil {
		t.Fatal(err)
	}
	if sent := sentUser(t, recorded); sent["verify_email"] != false || sent["email_verified"] != false {
		t.Errorf("sent verify_email %v, email_verified %v; want false and false", sent["verify_email"], sent["email_verified"])
	}
	if mails := tenant.Mails(); len(mails) != 0 {
		t.Errorf("Auth0 sent %+v", mails)
	}
}

func TestAProfileIsWhereItsOwnerMayChangeIt(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant)
	user := newUser()
	user.Profile = map[string]string{"company": "Lincoln", "postalCode": "90-001"}
	made, err := client.Create(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	stored, _ := tenant.User(made.ID)
	if len(stored.UserMetadata) != 2 || stored.UserMetadata["postalCode"] != "90-001" || stored.AppMetadata["company"] != nil {
		t.Errorf("user_metadata is %v, app_metadata %v", stored.UserMetadata, stored.AppMetadata)
	}
}

func TestATicketThatIsNoLinkIsRefused(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"ticket":""}`, `{"ticket":"x"}`, `[]`} {
		tenant := &fakeTenant{api: func(w http.ResponseWriter, _ *http.Request) { respond(w, 201, body) }}
		if _, err := tenant.serve(t).PasswordResetLink(t.Context(), "auth0|1", "", time.Hour); !identity.Temporary(err) {
			t.Errorf("%s: %v; want a temporary error", body, err)
		}
	}
}
