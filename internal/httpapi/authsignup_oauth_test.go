package httpapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/hosted"
)

// withOAuth offers two providers.
func withOAuth(change func(*config)) func(*config) {
	return func(c *config) {
		c.OAuth = map[string]string{"google": "google-oauth2", "github": "github"}
		if change != nil {
			change(c)
		}
	}
}

func TestOAuthStart(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{api: withOAuth(nil)}, func(c *hosted.Config) {
		c.ReturnURLs = []string{"https://app.lincoln.example/dashboard", welcome, "https://other.example/start"}
	})
	r := v.call("POST", authPath, `{"provider":"google","callbackUrl":"/dashboard"}`)
	equal(t, http.StatusOK, r.Status, r.Body)
	body := r.json(t)
	equal(t, true, body["success"])
	equal(t, 2, len(body))
	data := body["data"].(map[string]any)
	equal(t, 1, len(data))
	to, err := url.Parse(data["authorizationUrl"].(string))
	check(t, err)
	query := to.Query()
	equal(t, "/authorize", to.Path)
	equal(t, "google-oauth2", query.Get("connection"))
	equal(t, "code", query.Get("response_type"))
	equal(t, "S256", query.Get("code_challenge_method"))
	truth(t, query.Get("state") != "" && query.Get("nonce") != "", to)
	cookies := (&http.Response{Header: r.Header}).Cookies()
	equal(t, 1, len(cookies))
	truth(t, cookies[0].HttpOnly && cookies[0].SameSite == http.SameSiteLaxMode && cookies[0].MaxAge > 0, cookies[0])
	lacks(t, cookies[0].Value, "dashboard")

	refused := func(body string, want ...string) {
		t.Helper()
		r := v.call("POST", authPath, body)
		equal(t, http.StatusUnprocessableEntity, r.Status, body, r.Body)
		code, _, details := failure(t, r)
		equal(t, "VALIDATION_ERROR", code)
		var fields []string
		for _, detail := range details {
			field, _, _ := strings.Cut(detail, ":")
			fields = append(fields, field)
		}
		equal(t, want, fields, body, r.Body)
		equal(t, "", r.Header.Get("Set-Cookie"))
	}
	t.Run("a provider that is not offered", func(t *testing.T) {
		refused(`{"provider":"slack","callbackUrl":"/dashboard"}`, "provider")
		refused(`{"provider":"google-oauth2"}`, "provider")
		refused(`{"callbackUrl":"/dashboard"}`, "provider")
		refused(`{"provider":7}`, "provider")
	})
	t.Run("an address that is not allowed", func(t *testing.T) {
		for _, address := range []string{
			"https://evil.example/dashboard", "//evil.example/dashboard", "/\\\\evil.example", "/elsewhere", "dashboard", "javascript:alert(1)",
			"https://app.lincoln.example.evil.example/dashboard", "https://app.lincoln.example@evil.example/dashboard",
			"/dashboard/../elsewhere", "/dashboard#x", "https://app.lincoln.example/dashboard\\\\@evil.example", " /dashboard", "/.evil.example",
		} {
			refused(`{"provider":"google","callbackUrl":"`+address+`"}`, "callbackUrl")
		}
	})
	t.Run("members of an account with a password", func(t *testing.T) {
		refused(`{"provider":"google","email":"a@b.example","password":"x"}`, "email", "password")
	})
	t.Run("addresses that are allowed", func(t *testing.T) {
		for _, address := range []string{"", "/dashboard?tab=1", "/start", welcome, "https://other.example/start"} {
			r := v.call("POST", authPath, `{"provider":"github","callbackUrl":"`+address+`"}`)
			equal(t, http.StatusOK, r.Status, address, r.Body)
		}
	})
}

// TestOAuthSignUp goes the whole way: the address, the provider's page, and back to a ready school.
func TestOAuthSignUp(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{api: withOAuth(nil)}, nil)
	r := v.call("POST", authPath, `{"provider":"google","callbackUrl":"/welcome"}`)
	equal(t, http.StatusOK, r.Status, r.Body)
	v.browser.SetCookies(front, (&http.Response{Header: r.Header}).Cookies())
	page := v.browser.Get(r.json(t)["data"].(map[string]any)["authorizationUrl"].(string))
	holds(t, page.Text(), "google-oauth2")
	page = v.browser.Submit(page, "Continue", map[string]string{"email": "ada@gmail.example"})
	wantPage(t, page, http.StatusOK, "Almost done") // the school's name is still to be told
	_, status := v.wantReturn(v.browser.Submit(page, "Continue", map[string]string{"schoolName": "Lincoln High"}))
	equal(t, "ready", status)
	truth(t, strings.HasPrefix(v.auth0.Users()[0].ID, "google-oauth2|"), v.auth0.Users()[0].ID)
}

func TestOAuthRate(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{noSpare: true, api: withOAuth(func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour}
		c.OAuthRate = &catalog.Allowance{Count: 2, Window: time.Hour}
	})}, nil)
	start := func() reply { return v.call("POST", authPath, `{"provider":"google"}`) }
	equal(t, http.StatusUnprocessableEntity, v.call("POST", authPath, `{"provider":"myspace"}`).Status)
	first := start()
	equal(t, http.StatusOK, first.Status, first.Body)
	equal(t, `"oauth";q=2;w=3600`, first.Header.Get("RateLimit-Policy"))
	equal(t, http.StatusOK, start().Status)
	r := start()
	equal(t, http.StatusTooManyRequests, r.Status)
	code, _, _ := failure(t, r)
	equal(t, "RATE_LIMITED", code)
	truth(t, r.Header.Get("Retry-After") != "")
	equal(t, http.StatusCreated, v.call("POST", authPath, john).Status, "an account with a password has an allowance of its own")
}

func TestOAuthConfiguration(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	r := w.call("POST", authPath, `{"provider":"google"}`)
	equal(t, http.StatusUnprocessableEntity, r.Status, "nothing is offered")
	for _, names := range []map[string]string{{"google": "google-oauth2"}, {"myspace": "x"}} {
		cfg := w.config
		cfg.OAuth = names
		_, err := cfg.handler()
		truth(t, err != nil, "no pages of a provider, or no such provider: ", names)
	}
	truth(t, slices.Contains(public, "POST "+authPath), "it needs no token")
}
