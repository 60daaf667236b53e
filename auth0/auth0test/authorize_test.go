package auth0test_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"homeroom/auth0/auth0test"
	"homeroom/internal/browsertest"
)

const callback = "http://127.0.0.1:8080/callback"

// web is a tenant, and a browser of a person who is redirected to it by the tenant's default application.
type web struct {
	*tenant
	browser  *browsertest.Browser
	verifier string
}

func setupWeb(t *testing.T, cfg auth0test.Config) *web {
	t.Helper()
	return visit(setup(t, cfg))
}

// visit opens another browser.
func visit(tn *tenant) *web {
	return &web{tenant: tn, browser: browsertest.New(tn.t, "http://127.0.0.1:8080/"), verifier: oauth2.GenerateVerifier()}
}

// authorizeURL returns a valid request with changes: an empty value removes a parameter.
func (w *web) authorizeURL(changes map[string]string) string {
	params := map[string]string{
		"response_type": "code", "client_id": "homeroom-web", "redirect_uri": callback, "scope": "openid profile email",
		"state": "state-1", "nonce": "nonce-1", "code_challenge": oauth2.S256ChallengeFromVerifier(w.verifier),
		"code_challenge_method": "S256",
	}
	maps.Copy(params, changes)
	query := url.Values{}
	for name, value := range params {
		if value != "" {
			query.Set(name, value)
		}
	}
	return w.URL() + "/authorize?" + query.Encode()
}

func (w *web) authorize(changes map[string]string) browsertest.Page {
	w.t.Helper()
	return w.browser.Get(w.authorizeURL(changes))
}

// signUp signs up on the page, and returns the code.
func (w *web) signUp(email string, changes map[string]string) string {
	w.t.Helper()
	page := w.authorize(merged(map[string]string{"screen_hint": "signup"}, changes))
	page.CheckAccessible(w.t)
	return w.code(w.browser.Submit(page, "Continue", map[string]string{"email": email, "password": "Correct-h0rse"}))
}

func merged(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, m := range all {
		maps.Copy(sum, m)
	}
	return sum
}

// code returns the code in the browser's redirect.
func (w *web) code(page browsertest.Page) string {
	w.t.Helper()
	query := page.URL.Query()
	if page.Status != 0 || query.Get("code") == "" || query.Get("state") != "state-1" || query.Has("error") {
		w.t.Fatalf("the flow ended at %s (%d): %s", page.URL, page.Status, page.Text())
	}
	return query.Get("code")
}

// wantRefused checks that the application gets this error.
func wantRefused(t *testing.T, page browsertest.Page, code string) {
	t.Helper()
	query := page.URL.Query()
	if page.Status != 0 || query.Get("error") != code || query.Get("state") != "state-1" || query.Get("error_description") == "" || query.Has("code") {
		t.Errorf("was redirected to %s (%d), want the error %s there", page.URL, page.Status, code)
	}
}

// exchange sends a valid request for tokens, with changes.
func (w *web) exchange(code string, changes map[string]string) reply {
	w.t.Helper()
	form := url.Values{}
	for name, value := range merged(map[string]string{
		"grant_type": "authorization_code", "client_id": "homeroom-web", "client_secret": "homeroom-web-secret",
		"code": code, "redirect_uri": callback, "code_verifier": w.verifier,
	}, changes) {
		if value != "" {
			form.Set(name, value)
		}
	}
	return w.grant(form)
}

func TestACodeIsExchangedForWhoSignedUp(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	rep := w.exchange(w.signUp("Ada@Lincoln.example", nil), nil)
	if rep.Status != http.StatusOK {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	access := rep.Body["access_token"].(string)
	if len(access) != 32 || strings.Contains(access, ".") {
		t.Errorf("without an audience the access token is %q", access)
	}
	user := w.Users()[0]
	claims := w.verify(rep.Body["id_token"].(string))
	for name, want := range map[string]any{
		"iss": w.URL() + "/", "aud": "homeroom-web", "sub": user.ID, "nonce": "nonce-1", "email": "ada@lincoln.example",
		"email_verified": false,
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if claims["exp"].(float64)-claims["iat"].(float64) != 36000 {
		t.Errorf("the ID token is valid from %v to %v", claims["iat"], claims["exp"])
	}
	if user.LoginsCount != 1 || len(w.Mails()) != 1 || w.Mails()[0].Kind != auth0test.MailVerification {
		t.Errorf("the user is %+v, the mails are %+v", user, w.Mails())
	}
	info := w.userInfo("Bearer " + access)
	if info.Status != http.StatusOK || info.Body["sub"] != user.ID || info.Body["email"] != user.Email {
		t.Errorf("userinfo: %d %s", info.Status, info.Raw)
	}
	if bad := w.userInfo("Bearer x"); bad.Status != http.StatusUnauthorized || bad.Raw != "Unauthorized" ||
		!strings.Contains(bad.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("userinfo of a bad token: %d %s %v", bad.Status, bad.Raw, bad.Header)
	}
}

func (w *web) userInfo(authorization string) reply {
	w.t.Helper()
	req := w.request("GET", "/userinfo", "")
	req.Header.Set("Authorization", authorization)
	rep, err := w.do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

func TestAudienceMakesTheAccessTokenOneForTheAPI(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	rep := w.exchange(w.signUp("ada@lincoln.example", map[string]string{"audience": w.Config().Audience}), nil)
	claims := w.verify(rep.Body["access_token"].(string))
	audiences, ok := claims["aud"].([]any)
	if !ok || len(audiences) != 2 || audiences[0] != w.Config().Audience || audiences[1] != w.URL()+"/userinfo" || claims["azp"] != "homeroom-web" {
		t.Errorf("the access token has %v", claims)
	}
	wantRefused(t, w.authorize(map[string]string{"audience": "https://other.example"}), "access_denied")
}

func TestACodeIsGoodOnceAndForItsOwnApplication(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{Applications: []auth0test.Application{
		auth0test.DefaultApplication(), {ClientID: "spa", Callbacks: []string{callback}},
	}})
	w.signUp("ada@lincoln.example", nil)
	fresh := func() string { return w.code(w.authorize(nil)) } // the session is used
	other := oauth2.GenerateVerifier()
	for name, bad := range map[string]struct {
		changes map[string]string
		status  int
		code    string
	}{
		"another verifier":         {map[string]string{"code_verifier": other}, 401, "invalid_grant"},
		"no verifier":              {map[string]string{"code_verifier": ""}, 401, "invalid_grant"},
		"another redirect_uri":     {map[string]string{"redirect_uri": callback + "2"}, 403, "invalid_grant"},
		"no redirect_uri":          {map[string]string{"redirect_uri": ""}, 403, "invalid_grant"},
		"another application":      {map[string]string{"client_id": "spa", "client_secret": ""}, 403, "invalid_grant"},
		"a wrong secret":           {map[string]string{"client_secret": "x"}, 401, "access_denied"},
		"no secret":                {map[string]string{"client_secret": ""}, 401, "access_denied"},
		"an unknown application":   {map[string]string{"client_id": "nobody"}, 401, "access_denied"},
		"an unknown code":          {map[string]string{"code": "made-up"}, 403, "invalid_grant"},
		"the machine's credential": {map[string]string{"client_id": "homeroom-dev", "client_secret": "homeroom-dev-secret"}, 401, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			rep := w.exchange(fresh(), bad.changes)
			if rep.Status != bad.status || rep.Body["error"] != bad.code || rep.Body["access_token"] != nil {
				t.Errorf("%d %s, want %d %s", rep.Status, rep.Raw, bad.status, bad.code)
			}
		})
	}
	code := fresh()
	if rep := w.exchange(code, map[string]string{"code_verifier": other}); rep.Status != 401 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	if rep := w.exchange(code, nil); rep.Status != http.StatusOK {
		t.Fatalf("a wrong guess used the code up: %d %s", rep.Status, rep.Raw)
	}
	rep := w.exchange(code, nil)
	if rep.Status != http.StatusForbidden || rep.Body["error"] != "invalid_grant" || rep.Body["error_description"] != "Invalid authorization code" {
		t.Errorf("the second use: %d %s", rep.Status, rep.Raw)
	}
}

func TestAPublicApplicationMustProveItself(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{Applications: []auth0test.Application{{ClientID: "homeroom-web", Callbacks: []string{callback}}}})
	wantRefused(t, w.authorize(map[string]string{"code_challenge": ""}), "invalid_request")
	code := w.signUp("ada@lincoln.example", nil)
	if rep := w.exchange(code, map[string]string{"client_secret": ""}); rep.Status != http.StatusOK || rep.Body["id_token"] == nil {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}

func TestCodesEnd(t *testing.T) {
	t.Parallel()
	clock := newClock()
	w := setupWeb(t, auth0test.Config{Now: clock.Now})
	code := w.signUp("ada@lincoln.example", nil)
	clock.advance(10 * time.Minute)
	if rep := w.exchange(code, nil); rep.Status != http.StatusForbidden || rep.Body["error"] != "invalid_grant" {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}

func TestNobodyIsSentToAnAddressThatIsNotRegistered(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	for name, changes := range map[string]map[string]string{
		"another host":      {"redirect_uri": "https://evil.example/callback"},
		"another path":      {"redirect_uri": callback + "/more"},
		"another case":      {"redirect_uri": "http://127.0.0.1:8080/Callback"},
		"a query":           {"redirect_uri": callback + "?x=1"},
		"an unknown client": {"client_id": "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			page := w.authorize(changes)
			page.CheckAccessible(t)
			if page.Status != http.StatusForbidden || len(page.Hops) != 1 || strings.Contains(page.Body, "evil") {
				t.Errorf("was redirected to %s: %d %s", page.URL, page.Status, page.Text())
			}
		})
	}
}

func TestErrorsOfTheRequestGoBack(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	for name, bad := range map[string]struct {
		changes map[string]string
		code    string
	}{
		"no response type":      {map[string]string{"response_type": ""}, "invalid_request"},
		"another response type": {map[string]string{"response_type": "token"}, "unsupported_response_type"},
		"a plain challenge":     {map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		"prompt none and login": {map[string]string{"prompt": "none login"}, "invalid_request"},
		"nobody is logged in":   {map[string]string{"prompt": "none"}, "login_required"},
		"an unknown connection": {map[string]string{"connection": "nowhere"}, "invalid_request"},
		"no such organization":  {map[string]string{"organization": "org_0000000000000000"}, "invalid_request"},
		"a lonely invitation":   {map[string]string{"invitation": "x"}, "invalid_request"},
		"none, and a sign-up":   {map[string]string{"prompt": "none", "screen_hint": "signup"}, "login_required"},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, w.authorize(bad.changes), bad.code) })
	}
	page := w.authorize(nil)
	wantRefused(t, w.browser.Submit(page, "Cancel", nil), "access_denied")
	if page = w.browser.Submit(page, "Continue", nil); page.Status != http.StatusBadRequest || page.Heading() != "Invalid state" {
		t.Errorf("an answered request continues: %d %s", page.Status, page.Text())
	}
}

func TestTheSessionAnswersUnlessTheLoginIsWanted(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	w.signUp("ada@lincoln.example", nil)
	for _, changes := range []map[string]string{nil, {"prompt": "none"}, {"screen_hint": "signup"}} {
		if page := w.authorize(changes); w.code(page) == "" || len(page.Hops) != 2 {
			t.Errorf("%v redirected through %v", changes, page.Hops)
		}
	}
	if page := w.authorize(map[string]string{"prompt": "login"}); page.Heading() != "Log in" {
		t.Errorf("prompt=login shows %q", page.Heading())
	}
	if page := w.authorize(map[string]string{"prompt": "login", "screen_hint": "signup"}); page.Heading() != "Sign up" {
		t.Errorf("prompt=login with screen_hint=signup shows %q", page.Heading())
	}
}

func TestLogoutEndsTheSessionAndGoesOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	w := setupWeb(t, auth0test.Config{})
	w.signUp("ada@lincoln.example", nil)
	if page := w.browser.Get(w.URL() + "/v2/logout?returnTo=https://evil.example/"); page.Status != http.StatusBadRequest {
		t.Errorf("was redirected to %s (%d)", page.URL, page.Status)
	}
	if w.code(w.authorize(nil)) == "" {
		t.Error("a refused logout ended the session")
	}
	page := w.browser.Get(w.URL() + "/v2/logout?client_id=homeroom-web&returnTo=" + url.QueryEscape("http://127.0.0.1:8080/docs"))
	if page.URL.String() != "http://127.0.0.1:8080/docs" {
		t.Errorf("came to %s", page.URL)
	}
	wantRefused(t, w.authorize(map[string]string{"prompt": "none"}), "login_required")
	if page := w.browser.Get(w.URL() + "/v2/logout"); page.Status != http.StatusOK || page.Body != "OK" {
		t.Errorf("%d %q", page.Status, page.Body)
	}
}
