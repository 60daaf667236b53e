package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"homeroom/signup"
)

func TestHostedLinksThatAreNotRight(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	for query, part := range map[string]string{
		"return_to=" + url.QueryEscape("https://evil.example/"):      "return_to",
		"return_to=" + url.QueryEscape("//evil.example/"):            "return_to",
		"return_to=" + url.QueryEscape(welcome+"@evil.example"):      "return_to",
		"return_to=" + url.QueryEscape(welcome+"\r\nSet-Cookie: x"):  "return_to",
		"prompt=" + url.QueryEscape("<script>"):                      "prompt",
		"ui_locales=" + url.QueryEscape("<script>"):                  "ui_locales",
		"connection=" + url.QueryEscape("a b"):                       "connection",
		"organization=" + url.QueryEscape("<b>") + "&invitation=x":   "organization",
		"login_hint=" + url.QueryEscape(strings.Repeat("<a>", 1000)): "login_hint",
	} {
		page := v.browser.Get(front + "/register?" + query)
		wantPage(t, page, http.StatusBadRequest, "This link does not work")
		if !strings.Contains(page.Text(), part) || strings.Contains(page.Body, "evil") || strings.Contains(page.Body, "<script") || len(page.Hops) != 1 {
			t.Errorf("%s: %s", query, page.Text())
		}
	}
	page := v.browser.Get(front + "/register?school_name=x")
	wantPage(t, page, http.StatusUnprocessableEntity, "This link does not work")
	page = v.browser.Get(front + "/register?invitation=made-up")
	wantPage(t, page, http.StatusGone, "This invitation is not valid any more")
	equal(t, 0, v.auth0.CountCalls("GET", "/authorize"))
}

func TestHostedEndsThatAreNotGood(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	for name, c := range map[string]struct {
		query  string
		status int
		title  string
	}{
		"no state":             {"code=canary-code", 400, "This page does not belong to your sign-up"},
		"nothing at all":       {"", 400, "This page does not belong to your sign-up"},
		"a state of nobody":    {"code=canary-code&state=" + strings.Repeat("x", 43), 400, "This page does not belong to your sign-up"},
		"an error from nobody": {"error=access_denied&error_description=%3Cscript%3E&state=x", 400, "This page does not belong to your sign-up"},
	} {
		t.Run(name, func(t *testing.T) {
			page := v.browser.Get(front + "/callback?" + c.query)
			wantPage(t, page, c.status, c.title)
			if strings.Contains(page.Body, "script") || strings.Contains(page.Body, "canary") {
				t.Errorf("the page holds %s", page.Body)
			}
		})
	}
	page := v.browser.Submit(v.browser.Get(front+"/register?school_name=Lincoln+High"), "Cancel", nil)
	wantPage(t, page, http.StatusForbidden, "This did not work")
	if again := page.Link(t, "Begin again"); !strings.Contains(again, "school_name=Lincoln+High") {
		t.Errorf("it begins again with %s", again)
	}
	page = v.browser.Get(front + "/register?prompt=none")
	if page.URL.String() != welcome+"?error=login_required" {
		t.Errorf("came to %s: %s", page.URL, page.Text())
	}
	if cookies := v.browser.Cookies(front); len(cookies) != 0 {
		t.Errorf("the browser still has %v", cookies)
	}
}

func TestWhoMayNotSignUpIsTold(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{signup: func(c *signup.Config) { c.Rules.DeniedDomains = []string{"evil.example"} }}, nil)
	page := v.register("school_name=Evil+High", "eve@evil.example")
	wantPage(t, page, http.StatusUnprocessableEntity, "You cannot sign up with this account")
	if !strings.Contains(page.Text(), "You cannot sign up with this e-mail address.") || strings.Contains(page.Text(), "eve@") {
		t.Errorf("the page says %s", page.Text())
	}

	w := setupHosted(t, options{signup: func(c *signup.Config) { c.Mode = signup.Closed }}, nil)
	wantPage(t, w.register("school_name=Lincoln+High", "ada@lincoln.example"), http.StatusForbidden, "Sign-up by invitation only")
}
