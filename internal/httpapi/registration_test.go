package httpapi_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/internal/browsertest"
	"homeroom/internal/captcha"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

// filledIn is what a person fills in on the registration page.
func filledIn(email string) map[string]string {
	return map[string]string{"email": email, "schoolName": "Lincoln High", "password": password, "confirmPassword": password}
}

func TestASchoolSignsUpOnThePage(t *testing.T) {
	t.Parallel()
	w := setup(t, options{api: func(c *config) { c.pages.AppURL = "https://app.lincoln.example" }})
	b := browsertest.New(t, "https://app.lincoln.example")
	page := b.Get(w.url + "/")
	wantPage(t, page, http.StatusOK, "Sign your school up")
	page = b.Submit(page, "Sign up", filledIn("ada@lincoln.example"))
	wantPage(t, page, http.StatusOK, "Lincoln High is ready")
	equal(t, "https://app.lincoln.example", page.Link(t, "Log in"))
	user := w.auth0.Users()[0]
	equal(t, "ada@lincoln.example", user.Email)
	lacks(t, page.Body, password)

	t.Run("and once more with the same e-mail", func(t *testing.T) {
		page := b.Submit(b.Get(w.url+"/"), "Sign up", filledIn("ada@lincoln.example"))
		wantPage(t, page, http.StatusConflict, "Sign your school up")
		holds(t, page.Text(), "There is an account with your e-mail address.")
		equal(t, "https://app.lincoln.example", page.Link(t, "Log in"))
		equal(t, 1, len(w.auth0.Users()))
	})
	t.Run("in the person's language", func(t *testing.T) {
		page := b.Get(w.url + "/?ui_locales=de")
		wantPage(t, page, http.StatusOK, "Melden Sie Ihre Schule an")
		equal(t, "de", page.Language())
	})
}

func TestAFormThatIsSentTwiceIsOneSignup(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	b := browsertest.New(t)
	empty := b.Get(w.url + "/")
	first := b.Submit(empty, "Sign up", filledIn("ada@lincoln.example"))
	second := b.Submit(empty, "Sign up", filledIn("ada@lincoln.example"))
	wantPage(t, second, http.StatusOK, "Lincoln High is ready")
	equal(t, first.URL.Path, second.URL.Path)
	// Changed after it was sent, it is another sign-up.
	third := b.Submit(empty, "Sign up", filledIn("grace@lincoln.example"))
	wantPage(t, third, http.StatusOK, "Lincoln High is ready")
	truth(t, third.URL.Path != first.URL.Path, third.URL.Path)
	equal(t, 2, len(w.auth0.Users()))
}

func TestTheFormNamesEachWrongField(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, signup: func(c *signup.Config) { c.Rules.Fields = signup.Fields{"phone": signup.Required} }})
	b := browsertest.New(t)
	page := b.Submit(b.Get(w.url+"/"), "Sign up", map[string]string{
		"email": "ada", "schoolName": "x", "password": password, "confirmPassword": "Other-Horse-9", "phone": "",
	})
	wantPage(t, page, http.StatusUnprocessableEntity, "Sign your school up")
	holds(t, page.Text(), "Please correct the marked fields.", "The two passwords differ.")
	equal(t, 4, strings.Count(page.Body, `aria-invalid="true"`), page.Body)
	equal(t, 1, strings.Count(page.Body, " autofocus"), "the first wrong field has the focus")
	equal(t, "ada", page.Value("email"))
	equal(t, "", page.Value("password"))
	lacks(t, page.Body, password, "Other-Horse-9")

	values := filledIn("ada@lincoln.example")
	values["phone"] = "+44 20 7946 0000"
	t.Run("and those that only the provider finds wrong", func(t *testing.T) {
		weak := maps.Clone(values)
		weak["password"], weak["confirmPassword"] = "aaaaaaaaaa", "aaaaaaaaaa"
		page := b.Submit(page, "Sign up", weak)
		wantPage(t, page, http.StatusUnprocessableEntity, "Sign your school up")
		equal(t, 1, strings.Count(page.Body, `aria-invalid="true"`), page.Body)
		page = b.Submit(page, "Sign up", values)
		wantPage(t, page, http.StatusOK, "Lincoln High is ready")
	})
}

func TestThePageInEachMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[signup.Mode]string{
		signup.ByInvitation: "Sign-up by invitation only", signup.Closed: "Sign-up by invitation only", signup.WithApproval: "Sign your school up",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{noSpare: true, signup: func(c *signup.Config) { c.Mode = mode }})
			b := browsertest.New(t)
			page := b.Get(w.url + "/")
			equal(t, want, page.Heading())
			page.CheckAccessible(t)
			if mode == signup.WithApproval {
				wantPage(t, b.Submit(page, "Sign up", filledIn("ada@lincoln.example")), http.StatusOK, "Your sign-up is being looked at")
				return
			}
			sent := b.Post(w.url+"/", w.url, url.Values{"email": {"ada@lincoln.example"}, "password": {password}, "confirmPassword": {password}, "schoolName": {"Lincoln High"}})
			equal(t, want, sent.Heading())
			equal(t, 0, len(w.auth0.Users()))
		})
	}
}

func TestAPageOfAnotherSiteCannotSendTheForm(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	page := browsertest.New(t).Post(w.url+"/", "https://evil.example", url.Values{
		"email": {"ada@lincoln.example"}, "password": {password}, "confirmPassword": {password}, "schoolName": {"Lincoln High"},
	})
	equal(t, http.StatusBadRequest, page.Status)
	equal(t, w.url+"/", page.Link(t, "Begin again"))
	equal(t, 0, len(w.auth0.Users()))
}

func TestAfterAFailureTheFormContinuesTheSignup(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	b := browsertest.New(t)
	sent := url.Values{} // without a key, which a page of ours always has
	for name, value := range filledIn("ada@lincoln.example") {
		sent.Set(name, value)
	}
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.StatusBefore, Status: 503, Times: -1})
	page := b.Post(w.url+"/", w.url, sent)
	wantPage(t, page, http.StatusServiceUnavailable, "Sign your school up")
	row, err := w.catalog.SignupByKey(t.Context(), page.Value("key"))
	check(t, err)
	w.auth0.ClearFaults()
	page = b.Submit(page, "Sign up", filledIn("ada@lincoln.example"))
	equal(t, http.StatusOK, page.Status, page.Text())
	equal(t, "/register/status/"+row.ID.String(), page.URL.Path)
}

func TestThePageWithACaptcha(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) {
		var err error
		c.admission.Captcha, err = captcha.New(captcha.Config{Provider: captcha.Turnstile, Secret: "secret"})
		check(t, err)
	}})
	b := browsertest.New(t)
	page := b.Submit(b.Get(w.url+"/"), "Sign up", filledIn("ada@lincoln.example"))
	wantPage(t, page, http.StatusUnprocessableEntity, "Sign your school up")
	lacks(t, page.Text(), "marked fields")
	equal(t, 0, strings.Count(page.Body, "aria-invalid"))
}

func TestThePageWithALimit(t *testing.T) {
	t.Parallel()
	w := setup(t, options{api: func(c *config) { c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour} }})
	b := browsertest.New(t)
	wantPage(t, b.Submit(b.Get(w.url+"/"), "Sign up", filledIn("ada@lincoln.example")), http.StatusOK, "Lincoln High is ready")
	page := b.Submit(b.Get(w.url+"/"), "Sign up", filledIn("grace@lincoln.example"))
	wantPage(t, page, http.StatusTooManyRequests, "Sign your school up")
	truth(t, page.Header.Get("Retry-After") != "")
	equal(t, "grace@lincoln.example", page.Value("email"))
}

func TestThePageLeadsToTheProvidersPages(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{api: func(c *config) { c.OAuth = map[string]string{"google": "google-oauth2"} }}, func(*hosted.Config) {})
	page := v.browser.Get(front + "/")
	wantPage(t, page, http.StatusOK, "Sign your school up")
	equal(t, front+"/register?connection=google-oauth2", page.Link(t, "Continue with Google"))
	equal(t, front+"/register", page.Link(t, "Sign up with an account that you have"))
}
