package hosted_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"homeroom/auth0/auth0test"
	"homeroom/hosted"
	"homeroom/internal/browsertest"
)

// registration is a flow in a browser, with a fake provider.
type registration struct {
	*testService
	fake    *fakeProvider
	browser *browsertest.Browser
	asked   url.Values
}

// startRegistration starts one. The provider's ID tokens have the right nonce unless the test changes it.
func startRegistration(t *testing.T, g *fakeProvider) *registration {
	t.Helper()
	j := &registration{testService: setup(t, at(g.url)), fake: g, browser: browsertest.New(t, g.url)}
	j.restart()
	return j
}

// restart starts another flow in the same browser.
func (j *registration) restart() {
	j.t.Helper()
	j.asked = j.openProvider(j.browser, "school_name=Lincoln+High").URL.Query()
	if _, changed := j.fake.claims["nonce"]; !changed {
		j.fake.claims["nonce"] = j.asked.Get("nonce")
	}
}

// returnWith opens the callback in the browser, with changed parameters; an empty one is omitted.
func (j *registration) returnWith(changes map[string]string) result {
	j.t.Helper()
	query := url.Values{"state": {j.asked.Get("state")}, "code": {"canary-code"}}
	for name, value := range changes {
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
	}
	before := j.count()
	j.browser.Get(j.url + "/callback?" + query.Encode())
	if j.count() != before+1 {
		j.t.Fatal("the callback was not handled")
	}
	return j.last()
}

func TestAValidResponseIsAccepted(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	g.claims["at_hash"], g.claims["azp"] = atHash("canary-access"), "homeroom-web"
	g.claims["given_name"], g.claims["name"] = "Ada", "ada@lincoln.example"
	j := startRegistration(t, g)
	got := j.returnWith(nil)
	person := j.wantPerson("ada@lincoln.example")
	if person.Identity.ID != "person-1" || !person.Identity.EmailVerified || person.GivenName != "Ada" || person.Name != "" {
		t.Errorf("the person is %+v", person)
	}
	if got.state.SchoolName != "Lincoln High" || got.state.ReturnTo != returnURL {
		t.Errorf("the state is %+v", got.state)
	}
	if !g.basic || g.exchanged.Get("code_verifier") == "" || g.exchanged.Get("redirect_uri") != j.url+"/callback" ||
		g.exchanged.Get("client_secret") != "" {
		t.Errorf("it sent %v", g.exchanged)
	}
}

func TestInvalidIDTokensAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	hour := func(n int) int64 { return now.Add(time.Duration(n) * time.Hour).Unix() }
	for name, lie := range map[string]func(*fakeProvider){
		"another nonce":             func(g *fakeProvider) { g.claims["nonce"] = "other" },
		"no nonce":                  func(g *fakeProvider) { g.claims["nonce"] = nil },
		"another audience":          func(g *fakeProvider) { g.claims["aud"] = "somebody-else" },
		"several without azp":       func(g *fakeProvider) { g.claims["aud"] = []string{"homeroom-web", "x"} },
		"several with another azp":  func(g *fakeProvider) { g.claims["aud"], g.claims["azp"] = []string{"homeroom-web", "x"}, "x" },
		"another azp":               func(g *fakeProvider) { g.claims["azp"] = "x" },
		"another issuer":            func(g *fakeProvider) { g.claims["iss"] = "https://evil.example" },
		"the issuer with a slash":   func(g *fakeProvider) { g.claims["iss"] = g.url + "/" },
		"over":                      func(g *fakeProvider) { g.claims["exp"] = hour(-1) },
		"without end":               func(g *fakeProvider) { g.claims["exp"] = nil },
		"of tomorrow":               func(g *fakeProvider) { g.claims["iat"], g.claims["exp"] = hour(24), hour(25) },
		"of yesterday":              func(g *fakeProvider) { g.claims["iat"] = hour(-24) },
		"without a date":            func(g *fakeProvider) { g.claims["iat"] = nil },
		"not yet":                   func(g *fakeProvider) { g.claims["nbf"] = hour(1) },
		"of another access token":   func(g *fakeProvider) { g.claims["at_hash"] = atHash("another") },
		"about nobody":              func(g *fakeProvider) { g.claims["sub"] = "" },
		"about somebody unreadable": func(g *fakeProvider) { g.claims["sub"] = "a\nb" },
		"about too long a name":     func(g *fakeProvider) { g.claims["sub"] = strings.Repeat("a", 256) },
		"not signed":                func(g *fakeProvider) { g.sign = unsigned },
		"signed with our secret": func(g *fakeProvider) {
			g.sign = signer(jose.HS256, []byte("homeroom-web-secret-homeroom-web-secret"), "1")
		},
		"signed with its own key": func(g *fakeProvider) { g.sign = withOwnKey },
		"no token at all":         func(g *fakeProvider) { g.token["id_token"] = nil },
		"no JWT":                  func(g *fakeProvider) { g.token["id_token"] = "canary" },
		"several signatures":      func(g *fakeProvider) { g.sign = severalSignatures },
		"another form of a token": func(g *fakeProvider) { g.sign = asJSON },
		"no access token":         func(g *fakeProvider) { g.token["access_token"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeProvider(t)
			lie(g)
			j := startRegistration(t, g)
			got := j.returnWith(nil)
			j.wantErr(hosted.ErrUnverified)
			if got.state.SchoolName != "Lincoln High" {
				t.Errorf("the state is %+v", got.state)
			}
			without(t, got.err.Error(), "canary", j.asked.Get("nonce"), g.exchanged.Get("code_verifier"))
		})
	}
}

func TestCallbacksOfOtherBrowsersAreRefused(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]map[string]string{
		"no state":          {"state": ""},
		"a made-up state":   {"state": strings.Repeat("x", 43)},
		"a cut state":       nil, // set below
		"no code":           {"code": ""},
		"a huge code":       {"code": strings.Repeat("x", 5000)},
		"another provider":  {"iss": "https://evil.example"},
		"almost the issuer": {"iss": "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := startRegistration(t, newFakeProvider(t))
			if changes == nil { // the cookie's name is the same
				changes = map[string]string{"state": j.asked.Get("state")[:20]}
			}
			if changes["iss"] == "/" {
				changes["iss"] = j.fake.url + "/"
			}
			got := j.returnWith(changes)
			j.wantErr(hosted.ErrStateMismatch)
			if got.state != (hosted.FlowState{}) || j.fake.exchanged != nil {
				t.Errorf("it was accepted: %+v, %v", got.state, j.fake.exchanged)
			}
		})
	}
}

func TestAParameterThatIsThereTwiceIsRefused(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	j.browser.Get(j.url + "/callback?code=canary-code&code=other&state=" + j.asked.Get("state"))
	j.wantErr(hosted.ErrStateMismatch)
}

func TestAnAnnouncedIssuerParameterIsRequired(t *testing.T) {
	t.Parallel()
	g := newFakeProvider(t)
	g.description["authorization_response_iss_parameter_supported"] = true
	j := startRegistration(t, g)
	j.returnWith(nil)
	j.wantErr(hosted.ErrStateMismatch)
	j.returnWith(map[string]string{"iss": g.url})
	j.wantPerson("ada@lincoln.example")
}

// The attacker has begun a flow, and sends the victim to its callback URL.
func TestLoginCSRF(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	link := j.url + "/callback?code=canary-code&state=" + j.asked.Get("state")
	victim := browsertest.New(t)
	victim.Get(link)
	j.wantErr(hosted.ErrStateMismatch)

	// A victim with a registration of their own is safe too.
	victim = browsertest.New(t, j.fake.url)
	j.openProvider(victim, "school_name=Grace+High")
	victim.Get(link)
	j.wantErr(hosted.ErrStateMismatch)
	if j.fake.exchanged != nil {
		t.Error("the code was exchanged")
	}
}

func TestACookieOfAnotherTabDoesNotFit(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	first := j.asked
	j.restart()
	cookies := j.browser.Cookies(j.url)
	if len(cookies) != 2 || cookies[0].Name == cookies[1].Name {
		t.Fatalf("two tabs have %d cookies", len(cookies))
	}
	// Exchange the two cookies.
	cookies[0].Value, cookies[1].Value = cookies[1].Value, cookies[0].Value
	for _, cookie := range cookies {
		cookie.Path = "/"
	}
	j.browser.SetCookies(j.url, cookies)
	for _, state := range []string{first.Get("state"), j.asked.Get("state")} {
		j.returnWith(map[string]string{"state": state})
		j.wantErr(hosted.ErrStateMismatch)
	}
	if j.fake.exchanged != nil {
		t.Error("the code was exchanged")
	}
}

// An attacker who can set a cookie of the same name must not decide which of the two is read.
func TestTwoCookiesOfOneNameAreRefused(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	r := httptest.NewRequest(http.MethodGet, "/callback?code=canary-code&state="+j.asked.Get("state"), nil)
	for range 2 {
		r.AddCookie(j.browser.Cookies(j.url)[0])
	}
	if _, person, err := j.provider.Finish(r); !errors.Is(err, hosted.ErrStateMismatch) {
		t.Errorf("%+v, %v", person, err)
	}
}

func TestTabsDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	first := j.asked
	j.restart()
	second := j.asked
	for _, requested := range []url.Values{second, first} {
		j.asked = requested
		j.fake.claims["nonce"] = requested.Get("nonce")
		j.returnWith(nil)
		j.wantPerson("ada@lincoln.example")
	}
}

func TestABrowserKeepsFewRegistrations(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	oldest := j.asked
	for range 5 {
		j.clock.advance(time.Second)
		j.restart()
	}
	if n := len(j.browser.Cookies(j.url)); n != 4 {
		t.Errorf("after six it has %d cookies", n)
	}
	j.returnWith(map[string]string{"state": oldest.Get("state")})
	j.wantErr(hosted.ErrStateMismatch)
	j.fake.claims["nonce"] = j.asked.Get("nonce")
	j.returnWith(nil)
	j.wantPerson("ada@lincoln.example")
}

func TestCookiesThatWereTamperedWithAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) string{
		"cut":          func(v string) string { return v[:len(v)-4] },
		"another seal": func(v string) string { return v[:len(v)-2] + "AA" },
		"no seal":      func(string) string { return "eyJ0cmlwIjp7fX0" },
		"nothing":      func(string) string { return "x" },
		"changed inner": func(v string) string {
			parts := strings.Split(v, ".")
			parts[3] = "AAAA" + parts[3][4:]
			return strings.Join(parts, ".")
		},
		"sealed by another key": func(v string) string {
			return sealedByAnother(v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := startRegistration(t, newFakeProvider(t))
			cookie := j.browser.Cookies(j.url)[0]
			cookie.Value, cookie.Path = change(cookie.Value), "/"
			j.browser.SetCookies(j.url, []*http.Cookie{cookie})
			j.returnWith(nil)
			j.wantErr(hosted.ErrStateMismatch)
		})
	}
}

func TestARegistrationExpires(t *testing.T) {
	t.Parallel()
	j := startRegistration(t, newFakeProvider(t))
	j.clock.advance(10 * time.Minute)
	got := j.returnWith(nil)
	j.wantErr(hosted.ErrExpired)
	if got.state.ReturnTo != returnURL || j.fake.exchanged != nil {
		t.Errorf("the flow state is %+v, sent was %v", got.state, j.fake.exchanged)
	}
}

// An attacker has the code of another flow, and puts it into this browser's callback.
func TestCodesOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	d, _ := withSimulator(t, auth0test.Config{})
	sentBack := func(browser *browsertest.Browser, email string) url.Values {
		page := browser.Get(d.url + "/register")
		page = browser.Submit(page, "Continue", map[string]string{"email": email, "password": "Correct-h0rse"})
		if page.URL.Query().Get("code") == "" {
			t.Fatalf("%s came to %s: %s", email, page.URL, page.Text())
		}
		return page.URL.Query()
	}
	victim, thief := browsertest.New(t, d.url+"/callback"), browsertest.New(t, d.url+"/callback")
	stolen, own := sentBack(victim, "victim@lincoln.example"), sentBack(thief, "eve@evil.example")
	own.Set("code", stolen.Get("code"))
	follow(t, d, thief, own)
	d.wantErr(hosted.ErrCodeRejected)
	without(t, d.last().err.Error(), stolen.Get("code"))

	// The victim's own browser can still use it, once.
	follow(t, d, victim, stolen)
	d.wantPerson("victim@lincoln.example")
	follow(t, d, victim, stolen)
	d.wantErr(hosted.ErrCodeRejected)
}

func TestMixUpBetweenTwoProviders(t *testing.T) {
	t.Parallel()
	// Two providers redirect to one callback each of the same service. The answer of one is sent to the callback of the
	// other.
	honest, evil := newFakeProvider(t), newFakeProvider(t)
	j := startRegistration(t, honest)
	j.returnWith(map[string]string{"iss": evil.url})
	j.wantErr(hosted.ErrStateMismatch)
	other := setup(t, at(evil.url))
	answer := url.Values{"state": {j.asked.Get("state")}, "code": {"canary-code"}}
	j.browser.Get(other.url + "/callback?" + answer.Encode()) // the same host, so the cookie goes there
	other.wantErr(hosted.ErrStateMismatch)
	if evil.exchanged != nil {
		t.Error("one provider got the other's code")
	}
}
