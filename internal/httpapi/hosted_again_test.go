package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"homeroom/internal/browsertest"
)

// stopAtCallback walks through the provider's page, and returns the address that the provider sends the browser back to,
// which the browser has not opened yet.
func (v *visit) stopAtCallback(query, email string) (*browsertest.Browser, string) {
	v.t.Helper()
	browser := browsertest.New(v.t, front+"/callback")
	browser.ConnectTo("127.0.0.1:8080", strings.TrimPrefix(v.url, "http://"))
	page := browser.Submit(browser.Get(front+"/register?"+query), "Continue", map[string]string{"email": email, "password": password})
	if page.Status != 0 || page.URL.Path != "/callback" {
		v.t.Fatalf("came to %s (%d): %s", page.URL, page.Status, page.Text())
	}
	return browser, page.URL.String()
}

// open asks for an address with a browser's cookies, and follows nothing.
func (v *visit) open(address string, cookies []*http.Cookie) (status int, location *url.URL) {
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, strings.Replace(address, front, v.url, 1), http.NoBody)
	check(v.t, err)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	check(v.t, err)
	check(v.t, res.Body.Close())
	if location, err = res.Location(); err != nil {
		location = &url.URL{}
	}
	return res.StatusCode, location
}

func TestTheSameCallbackTwiceLeadsToTheSchoolTwice(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	browser, callback := v.stopAtCallback("school_name=Lincoln+High", "ada@lincoln.example")
	cookies := browser.Cookies(front)
	leadsOn := func() string {
		status, to := v.open(callback, cookies)
		if status != http.StatusSeeOther || !strings.HasPrefix(to.String(), welcome+"?") || to.Query().Get("status") != "ready" {
			t.Errorf("it ended with %d, %s", status, to)
		}
		return to.Query().Get("signup_id")
	}
	ids := make([]string, 4)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() { ids[i] = leadsOn() })
	}
	all.Wait()
	late := leadsOn() // whose browser has not got the first answers
	for _, id := range ids {
		equal(t, late, id)
	}
	equal(t, 1, len(v.auth0.Users()))
	if status, _ := v.open(callback, nil); status != http.StatusBadRequest {
		t.Errorf("another browser got %d", status)
	}
}

func TestWhatIsLoadedAgainAfterwardsLeadsToTheSchool(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	form := v.register("", "ada@lincoln.example")
	var callback string
	for _, hop := range form.Hops {
		if hop.Path == "/callback" {
			callback = hop.String()
		}
	}
	id, _ := v.wantReturn(v.browser.Submit(form, "Continue", map[string]string{"schoolName": "Lincoln High"}))
	again, status := v.wantReturn(v.browser.Get(callback))
	equal(t, id, again)
	equal(t, "ready", status)
	again, _ = v.wantReturn(v.browser.Submit(form, "Continue", map[string]string{"schoolName": "Lincoln High"})) // the back button
	equal(t, id, again)
	wantPage(t, v.newBrowser().Get(callback), http.StatusBadRequest, "This page does not belong to your sign-up")
}

func TestAUsedAnswerWithoutASignUpIsOver(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	browser, callback := v.stopAtCallback("", "ada@lincoln.example") // the school's name is asked for
	cookies := browser.Cookies(front)
	status, _ := v.open(callback, cookies)
	equal(t, http.StatusOK, status)
	status, _ = v.open(callback, cookies)
	equal(t, http.StatusBadRequest, status)
}
