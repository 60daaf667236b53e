package auth0test_test

import (
	"net/http"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
)

func TestTheFormsSayWhatIsWrongAndKeepTheAddress(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	w.mustCreate("ada@lincoln.example", "")
	page := w.authorize(map[string]string{"screen_hint": "signup", "login_hint": "ada@lincoln.example"})
	if page.Value("email") != "ada@lincoln.example" {
		t.Errorf("the hint is %q", page.Value("email"))
	}
	page = w.browser.Submit(page, "Continue", map[string]string{"password": "weak"})
	page.CheckAccessible(t)
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Text(), "Password is too weak") || page.Value("email") != "ada@lincoln.example" ||
		strings.Contains(page.Body, "weak\"") {
		t.Errorf("%d %s", page.Status, page.Text())
	}
	page = w.browser.Submit(page, "Continue", map[string]string{"password": "Correct-h0rse"})
	if !strings.Contains(page.Text(), "The user already exists.") {
		t.Errorf("%d %s", page.Status, page.Text())
	}
	page = w.browser.Get(page.Link(t, "Log in"))
	page.CheckAccessible(t)
	page = w.browser.Submit(page, "Continue", map[string]string{"email": "ada@lincoln.example", "password": "wrong"})
	page.CheckAccessible(t)
	if !strings.Contains(page.Text(), "Wrong email or password") {
		t.Errorf("%d %s", page.Status, page.Text())
	}
	page = w.browser.Submit(page, "Continue", map[string]string{"password": "Correct-h0rse"})
	if w.code(page) == "" {
		t.Error("no code")
	}
}

func TestPagesEscapeWhatTheyShow(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	page := w.authorize(map[string]string{"login_hint": `"><script>alert(1)</script>`})
	page.CheckAccessible(t)
	if strings.Contains(page.Body, "<script") || page.Value("email") != `"><script>alert(1)</script>` {
		t.Errorf("the page contains %s", page.Body)
	}
}

func TestTheFirstLanguageThatIsThereCounts(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	for locales, want := range map[string]string{"": "en", "tlh de-AT es": "de", "es": "es", "tlh": "en"} {
		if page := w.authorize(map[string]string{"ui_locales": locales}); page.Language() != want {
			t.Errorf("%q is shown in %q, want %q", locales, page.Language(), want)
		}
	}
}

func TestASocialConnectionBringsAVerifiedAddress(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	page := w.authorize(map[string]string{"connection": "google-oauth2"})
	page.CheckAccessible(t)
	rep := w.exchange(w.code(w.browser.Submit(page, "Continue", map[string]string{"email": "ada@lincoln.example"})), nil)
	claims := w.verify(rep.Body["id_token"].(string))
	sub := claims["sub"].(string)
	if !strings.HasPrefix(sub, "google-oauth2|") || claims["email_verified"] != true {
		t.Errorf("the ID token has %v", claims)
	}
	// A second login gives the same person, also from the login page.
	page = w.browser.Submit(w.authorize(map[string]string{"prompt": "login"}), "Continue with google-oauth2", nil)
	rep = w.exchange(w.code(w.browser.Submit(page, "Continue", map[string]string{"email": "ADA@lincoln.example"})), nil)
	if again := w.verify(rep.Body["id_token"].(string))["sub"]; again != sub {
		t.Errorf("is %v now, was %v", again, sub)
	}
	user, _ := w.User(sub)
	if len(w.Users()) != 1 || !user.Identities[0].IsSocial || user.Identities[0].Connection != "google-oauth2" {
		t.Errorf("the users are %+v", w.Users())
	}
	page = w.browser.Submit(w.authorize(map[string]string{"connection": "github"}), "Cancel", nil)
	wantRefused(t, page, "access_denied")
}

func TestWhereSignupIsOffThePageSaysSo(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection, NoSignup: true}}})
	page := w.browser.Submit(w.authorize(map[string]string{"screen_hint": "signup"}), "Continue",
		map[string]string{"email": "ada@lincoln.example", "password": "Correct-h0rse"})
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Text(), "Public signup is disabled") || len(w.Users()) != 0 {
		t.Errorf("%d %s", page.Status, page.Text())
	}
	if strings.Contains(w.authorize(nil).Text(), "No account yet?") {
		t.Error("the login offers to sign up")
	}
}

func TestAnInvitationMakesAMember(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{
		Scopes: []string{"create:organizations", "create:organization_invitations", "create:users"},
	})
	org := w.call("POST", "/api/v2/organizations", `{"name":"lincoln-high"}`).Body["id"].(string)
	invitation := w.call("POST", "/api/v2/organizations/"+org+"/invitations",
		`{"client_id":"homeroom-web","inviter":{"name":"Ada"},"invitee":{"email":"grace@lincoln.example"}}`)
	ticket, ok := invitation.Body["ticket_id"].(string)
	if !ok {
		t.Fatalf("%d %s", invitation.Status, invitation.Raw)
	}
	answer := map[string]string{"organization": org, "invitation": ticket}
	page := w.authorize(answer)
	page.CheckAccessible(t)
	if page.Heading() != "Sign up" || page.Value("email") != "grace@lincoln.example" {
		t.Errorf("the page is %q for %q", page.Heading(), page.Value("email"))
	}
	rep := w.exchange(w.code(w.browser.Submit(page, "Continue", map[string]string{"password": "Correct-h0rse"})), nil)
	claims := w.verify(rep.Body["id_token"].(string))
	members := w.Organizations()[0].Members
	if claims["org_id"] != org || len(members) != 1 || members[0].UserID != claims["sub"] {
		t.Errorf("the ID token has %v, the members are %v", claims, members)
	}
	wantRefused(t, w.authorize(answer), "invalid_request")
	if w.code(w.authorize(map[string]string{"organization": "Lincoln-High"})) == "" { // by its name, and with the session
		t.Error("the member cannot log in")
	}
	stranger := visit(w.tenant)
	wantRefused(t, stranger.browser.Submit(stranger.authorize(map[string]string{"organization": org, "screen_hint": "signup"}), "Continue",
		map[string]string{"email": "eve@evil.example", "password": "Correct-h0rse"}), "access_denied")
}
