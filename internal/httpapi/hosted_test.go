package httpapi_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/browsertest"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

// front is where people reach the service that a test runs: the simulator knows the callback there.
const (
	front   = "http://127.0.0.1:8080"
	welcome = "https://app.lincoln.example/welcome"
)

// visit is a service with registration at the simulator, and a person's browser.
type visit struct {
	*world
	browser *browsertest.Browser
}

func setupHosted(t *testing.T, o options, change func(*hosted.Config)) *visit {
	t.Helper()
	api := o.api
	o.api = func(c *config) {
		cfg := hosted.Config{
			Issuer: c.Issuer, ClientID: "homeroom-web", ClientSecret: "homeroom-web-secret", RedirectURL: front + "/callback", Key: key,
			ReturnURLs: []string{welcome},
		}
		if change != nil {
			change(&cfg)
		}
		var err error
		c.Hosted, err = hosted.New(cfg)
		check(t, err)
		if api != nil {
			api(c)
		}
	}
	v := &visit{world: setup(t, o)}
	v.browser = v.newBrowser()
	return v
}

func (v *visit) newBrowser() *browsertest.Browser {
	b := browsertest.New(v.t, "https://app.lincoln.example/")
	b.ConnectTo("127.0.0.1:8080", strings.TrimPrefix(v.url, "http://"))
	return b
}

// register walks to the provider's page, and through it.
func (v *visit) register(query, email string) browsertest.Page {
	v.t.Helper()
	page := v.browser.Get(front + "/register?" + query)
	if page.Heading() != "Sign up" {
		v.t.Fatalf("came to %s (%d): %s", page.URL, page.Status, page.Text())
	}
	return v.browser.Submit(page, "Continue", map[string]string{"email": email, "password": password})
}

// wantPage is a page of ours.
func wantPage(t *testing.T, page browsertest.Page, status int, title string) {
	t.Helper()
	if page.Status != status || page.Heading() != title {
		t.Fatalf("came to %s (%d): %s; want %d, %s", page.URL, page.Status, page.Text(), status, title)
	}
	page.CheckAccessible(t)
}

// wantReturn is the application's address, with what it is told.
func (v *visit) wantReturn(page browsertest.Page) (signupID, status string) {
	v.t.Helper()
	if page.Status != 0 || !strings.HasPrefix(page.URL.String(), welcome+"?") {
		v.t.Fatalf("came to %s (%d): %s", page.URL, page.Status, page.Text())
	}
	return page.URL.Query().Get("signup_id"), page.URL.Query().Get("status")
}

func TestASchoolSignsUpOnTheProvidersPage(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	id, status := v.wantReturn(v.register("school_name=Lincoln+High&return_to="+url.QueryEscape(welcome+"?plan=a"), "ada@lincoln.example"))
	equal(t, "ready", status)
	view := v.call("GET", "/signups/"+id, "")
	equal(t, http.StatusOK, view.Status)
	body := view.json(t)
	user := v.auth0.Users()[0]
	equal(t, "Lincoln High", body["school"].(map[string]any)["name"])
	equal(t, user.ID, body["user"].(map[string]any)["identityId"])
	equal(t, "lincoln-high", body["school"].(map[string]any)["slug"])
	if user.AppMetadata["tenant_id"] != body["school"].(map[string]any)["id"] {
		t.Errorf("the login's metadata is %v", user.AppMetadata)
	}
	if cookies := v.browser.Cookies(front); len(cookies) != 2 { // the simulator's, on the same host, and that it is finished
		t.Errorf("the browser still has %v", cookies)
	}

	// The same person comes again: their session at the provider answers, and they have a school.
	page := v.browser.Get(front + "/register?school_name=Lincoln+High+2")
	if page.Status != http.StatusConflict {
		t.Errorf("came to %s (%d): %s", page.URL, page.Status, page.Text())
	}
	page.CheckAccessible(t)
}

func TestTheSchoolsNameIsAskedForWhereItIsMissing(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	page := v.register("", "ada@lincoln.example")
	wantPage(t, page, http.StatusOK, "Almost done")
	if !strings.Contains(page.Text(), "ada@lincoln.example") {
		t.Errorf("the page says %s", page.Text())
	}
	for name, wrong := range map[string]string{"": "", "x": "x", "invisible": "\u200b\u200b"} {
		page = v.browser.Submit(page, "Continue", map[string]string{"schoolName": wrong})
		wantPage(t, page, map[bool]int{true: http.StatusOK, false: http.StatusUnprocessableEntity}[wrong == ""], "Almost done")
		if wrong == "x" && page.Value("schoolName") != "x" {
			t.Errorf("%s: the form holds %q", name, page.Value("schoolName"))
		}
	}
	school := `Söhne & "Töchter" <b>學校</b>`
	_, status := v.wantReturn(v.browser.Submit(page, "Continue", map[string]string{"schoolName": school}))
	equal(t, "ready", status)
}

func TestTheFormIsNobodyElses(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	page := v.register("", "ada@lincoln.example")
	form := url.Values{"state": {page.Value("state")}, "schoolName": {"Evil High"}}
	answer := v.browser.Post(front+"/register/finish", "https://evil.example", form)
	wantPage(t, answer, http.StatusBadRequest, "This page does not belong to your sign-up")
	// Another browser that knows the state has not the cookie.
	answer = v.newBrowser().Post(front+"/register/finish", front, form)
	wantPage(t, answer, http.StatusBadRequest, "This page does not belong to your sign-up")
	form.Set("state", strings.Repeat("x", 43))
	answer = v.browser.Post(front+"/register/finish", front, form)
	wantPage(t, answer, http.StatusBadRequest, "This page does not belong to your sign-up")
	equal(t, http.StatusBadRequest, v.call("POST", "/register/finish", "{}").Status)
	v.wantReturn(v.browser.Submit(page, "Continue", map[string]string{"schoolName": "Lincoln High"}))
}

func TestWithoutAnApplicationPeopleSeeTheirSchoolComeIntoBeing(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{noSpare: true, wait: time.Nanosecond, api: func(c *config) { c.pages.AppURL = "https://app.lincoln.example" }},
		func(c *hosted.Config) { c.ReturnURLs = nil })
	page := v.register("school_name=Lincoln+High&ui_locales=en", "ada@lincoln.example")
	if page.Heading() != "Lincoln High is ready" {
		wantPage(t, page, http.StatusOK, "Your school is being set up")
		if !regexp.MustCompile(`<meta http-equiv="refresh" content="3">`).MatchString(page.Body) {
			t.Errorf("the page does not look again: %s", page.Body)
		}
		again := page.Link(t, "Try again")
		for deadline := time.Now().Add(20 * time.Second); page.Heading() != "Lincoln High is ready" && time.Now().Before(deadline); {
			page = v.browser.Get(again)
		}
	}
	wantPage(t, page, http.StatusOK, "Lincoln High is ready")
	holds(t, page.Body, `href="https://app.lincoln.example"`)
	equal(t, http.StatusNotFound, v.browser.Get(front+"/register/status/x").Status)
}

func TestPeopleReadTheirOwnLanguage(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	page := v.browser.Submit(v.browser.Get(front+"/register?ui_locales=de-AT+en"), "Weiter",
		map[string]string{"email": "ada@lincoln.example", "password": password})
	wantPage(t, page, http.StatusOK, "Fast fertig")
	equal(t, "de", page.Language())
	v.wantReturn(v.browser.Submit(page, "Weiter", map[string]string{"schoolName": "Lincoln High"}))
	user, err := v.catalog.UserByEmail(t.Context(), "ada@lincoln.example")
	check(t, err)
	equal(t, "de-AT", user.Locale)
}

func TestWhatASignupNeedsBesidesIsAskedFor(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{signup: func(c *signup.Config) {
		c.Rules.Fields = signup.Fields{"givenName": signup.Required, "phone": signup.Required, "company": signup.Optional}
	}}, nil)
	page := v.register("school_name=Lincoln+High", "ada@lincoln.example")
	wantPage(t, page, http.StatusUnprocessableEntity, "Almost done")
	equal(t, "Lincoln High", page.Value("schoolName"))
	page = v.browser.Submit(page, "Continue", map[string]string{"givenName": "Ada", "phone": "12", "company": "Engines"})
	wantPage(t, page, http.StatusUnprocessableEntity, "Almost done")
	if !strings.Contains(page.Text(), "country code") || page.Value("givenName") != "Ada" || page.Value("company") != "Engines" {
		t.Errorf("the page says %s", page.Text())
	}
	v.wantReturn(v.browser.Submit(page, "Continue", map[string]string{"phone": "+44 1632 960961"}))
	user, err := v.catalog.UserByEmail(t.Context(), "ada@lincoln.example")
	check(t, err)
	equal(t, "Ada", user.GivenName)
}

func TestAnInvitedPersonJoinsTheirSchool(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	school := v.signUp("ada@lincoln.example", "Lincoln High").School.ID
	made, err := v.signup.Invite(t.Context(), signup.InviteRequest{Tenant: &school, Email: "grace@lincoln.example", Role: identity.RoleMember})
	check(t, err)
	page := v.browser.Get(front + "/register?invitation=" + url.QueryEscape(v.signup.InvitationToken(made.ID)))
	equal(t, "grace@lincoln.example", page.Value("email")) // the hint
	_, status := v.wantReturn(v.browser.Submit(page, "Continue", map[string]string{"password": password}))
	equal(t, "ready", status)
	user, err := v.catalog.UserByEmail(t.Context(), "grace@lincoln.example")
	check(t, err)
	if user.TenantID != school {
		t.Errorf("they are at %v", user.TenantID)
	}
}

func TestAnAnswerThatIsLostIsGivenAgain(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{signup: func(c *signup.Config) {
		c.IdentityTimeout, c.Lease = 200*time.Millisecond, 400*time.Millisecond
	}}, nil)
	// The provider's management is away while the saga runs, and back later: the button goes on.
	page := v.browser.Get(front + "/register?school_name=Lincoln+High")
	v.auth0.Inject(flaky.Fault{Path: "/api/v2/", Kind: flaky.StatusBefore, Times: -1})
	page = v.browser.Submit(page, "Continue", map[string]string{"email": "ada@lincoln.example", "password": password})
	wantPage(t, page, http.StatusServiceUnavailable, "We cannot process your request now")
	if page.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	v.auth0.ClearFaults()
	eventually(t, func() bool {
		page = v.browser.Submit(page, "Try again", nil)
		return page.Status == 0
	}, "the button never went on")
	_, status := v.wantReturn(page)
	equal(t, "ready", status)
	equal(t, 1, len(v.auth0.Users()))
}

func TestAProviderThatIsAwayIsNobodysFault(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	v.auth0.Inject(flaky.Fault{Path: "/.well-known/", Kind: flaky.StatusBefore})
	page := v.browser.Get(front + "/register?school_name=Lincoln+High")
	wantPage(t, page, http.StatusServiceUnavailable, "We cannot process your request now")
	page = v.browser.Get(page.Link(t, "Begin again"))
	equal(t, "Sign up", page.Heading())
}

// The log has the cause of a mistyped application id. People read that registration does not work now.
func TestAWrongClientIDIsToldToTheOperatorAlone(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, func(c *hosted.Config) { c.ClientSecret = "canary-secret" })
	page := v.register("school_name=Lincoln+High", "ada@lincoln.example")
	wantPage(t, page, http.StatusServiceUnavailable, "We cannot process your request now")
	if strings.Contains(page.Text(), "ClientID") || !strings.Contains(v.log.String(), "look at ClientID") {
		t.Errorf("the page says %s, the log %s", page.Text(), v.log)
	}
	if strings.Contains(v.log.String(), "canary") {
		t.Error("the secret is in the log")
	}
}

func TestBeginningIsLimitedByAddress(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{api: func(c *config) { c.pages.HostedRate = &catalog.Allowance{Count: 2, Window: time.Hour} }}, nil)
	for range 2 {
		equal(t, "Sign up", v.browser.Get(front+"/register").Heading())
	}
	page := v.browser.Get(front + "/register")
	wantPage(t, page, http.StatusTooManyRequests, "Too many requests")
	if page.Header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
	for range 2 { // the way back has an allowance of its own
		equal(t, http.StatusBadRequest, v.browser.Get(front+"/callback").Status)
	}
	equal(t, http.StatusTooManyRequests, v.browser.Get(front+"/callback").Status)
}

func TestWithoutAProviderThereIsNoSuchWay(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	for _, path := range []string{"/register", "/callback", "/register/status/x"} {
		equal(t, http.StatusNotFound, w.call("GET", path, "").Status)
	}
}

// Nothing that was on its way between browser, provider and service is in the log.
func TestNothingOfARegistrationIsInTheLog(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	page := v.browser.Get(front + "/register?school_name=Canary+School&login_hint=canary@lincoln.example")
	secrets := []string{"canary", "Canary", password, "homeroom-web-secret"}
	for _, hop := range page.Hops {
		for name, values := range hop.Query() {
			if name == "state" || name == "nonce" || name == "code_challenge" {
				secrets = append(secrets, values...)
			}
		}
	}
	for _, cookie := range v.browser.Cookies(front) {
		secrets = append(secrets, cookie.Value)
	}
	page = v.browser.Submit(page, "Continue", map[string]string{"password": password})
	var callback *url.URL
	for _, hop := range page.Hops {
		if hop.Path == "/callback" {
			callback = hop
			secrets = append(secrets, hop.Query().Get("code"))
		}
	}
	v.wantReturn(page)
	v.browser.Get(callback.String()) // once more
	for _, secret := range secrets {
		if secret == "" || strings.Contains(v.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(v.log.String(), `"route":"/callback"`) {
		t.Error("the log does not tell of it at all")
	}
}
