package hosted_test

import (
	"errors"
	"net/url"
	"slices"
	"testing"

	"homeroom/hosted"
)

func newProvider(t *testing.T, change func(*hosted.Config)) (*hosted.Provider, error) {
	t.Helper()
	cfg := hosted.Config{
		Issuer: "https://id.lincoln.example/", ClientID: "homeroom-web", RedirectURL: "https://homeroom.example/callback", Key: key,
		ReturnURLs: []string{"https://app.lincoln.example/welcome", "http://localhost:3000/done"},
	}
	change(&cfg)
	return hosted.New(cfg)
}

func TestReturnURLsMustBeAllowed(t *testing.T) {
	t.Parallel()
	p, err := newProvider(t, func(*hosted.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	for requested, want := range map[string]string{
		"":                                    "https://app.lincoln.example/welcome",
		"https://app.lincoln.example/welcome": "https://app.lincoln.example/welcome",
		"https://app.lincoln.example/welcome?plan=a%20b&x=1": "https://app.lincoln.example/welcome?plan=a%20b&x=1",
		"http://localhost:3000/done":                         "http://localhost:3000/done",
	} {
		if got, err := p.ReturnURL(requested); err != nil || got != want {
			t.Errorf("%q became %q, %v", requested, got, err)
		}
	}
	for _, requested := range []string{
		"//evil.example", "///evil.example", `\\evil.example`, `/\evil.example`, "/welcome", "welcome", "javascript:alert(1)", "data:text/html,x",
		"https://evil.example/welcome", "https://app.lincoln.example.evil.example/welcome", "https://app.lincoln.example@evil.example/welcome",
		"https://app.lincoln.example:443/welcome", "https://user@app.lincoln.example/welcome", "https://app.lincoln.example/welcome/../../x",
		"https://app.lincoln.example/welcome/", "https://app.lincoln.example/welcome#x", "https://app.lincoln.example/welcome?x#y",
		`https://app.lincoln.example\welcome`, `https://app.lincoln.example/welcome?\x`, "HTTPS://app.lincoln.example/welcome",
		"https://app.lincoln.example/welcome\r\nSet-Cookie:x=1", "https://app.lincoln.example/welcome?x=\r\ny", "https://app.lincoln.example/welcome?\x00",
		" https://app.lincoln.example/welcome", "https://app.lincoln.example/welcome?a b", "https://app.lincoln.example/welcome?a=%zz",
		"https://app.lincoln.example/welcome?é", "http://app.lincoln.example/welcome", "https://app.lincoln.example/%77elcome", "\thttps://app.lincoln.example/welcome",
		"https://app.lincoln.example/welcome;x", "https:/app.lincoln.example/welcome", "https:app.lincoln.example/welcome",
	} {
		if got, err := p.ReturnURL(requested); !errors.Is(err, hosted.ErrReturnURL) || got != "" {
			t.Errorf("%q became %q, %v", requested, got, err)
		}
	}
	if got := p.ReturnOrigins(); !slices.Equal(got, []string{"http://localhost:3000", "https://app.lincoln.example"}) {
		t.Errorf("the origins are %v", got)
	}
}

func TestWithoutAllowedReturnURLs(t *testing.T) {
	t.Parallel()
	p, err := newProvider(t, func(c *hosted.Config) { c.ReturnURLs = nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.ReturnURL(""); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := p.ReturnURL("https://app.lincoln.example/welcome"); !errors.Is(err, hosted.ErrReturnURL) {
		t.Errorf("%v", err)
	}
}

func TestParametersReplaceThoseOfTheSameName(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(hosted.WithQuery("https://app.lincoln.example/welcome?status=ready&plan=a%20b", map[string]string{"status": "failed&x", "signup_id": "1"}))
	if err != nil || u.Query().Get("status") != "failed&x" || len(u.Query()["status"]) != 1 || u.Query().Get("plan") != "a b" || u.Query().Get("signup_id") != "1" {
		t.Errorf("it is %v, %v", u, err)
	}
}

func TestUnsafeConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*hosted.Config){
		"no issuer":               func(c *hosted.Config) { c.Issuer = "" },
		"a plain issuer":          func(c *hosted.Config) { c.Issuer = "http://id.lincoln.example/" },
		"an issuer with a query":  func(c *hosted.Config) { c.Issuer = "https://id.lincoln.example/?x" },
		"no client":               func(c *hosted.Config) { c.ClientID = "" },
		"a plain callback":        func(c *hosted.Config) { c.RedirectURL = "http://homeroom.example/callback" },
		"a relative callback":     func(c *hosted.Config) { c.RedirectURL = "/callback" },
		"a callback at somebody":  func(c *hosted.Config) { c.RedirectURL = "https://x@homeroom.example/callback" },
		"a plain return":          func(c *hosted.Config) { c.ReturnURLs = []string{"http://app.lincoln.example/"} },
		"a return with a query":   func(c *hosted.Config) { c.ReturnURLs = []string{"https://app.lincoln.example/?x"} },
		"a script as return":      func(c *hosted.Config) { c.ReturnURLs = []string{"javascript:alert(1)"} },
		"a plain register URL":    func(c *hosted.Config) { c.RegisterURL = "http://id.lincoln.example/register" },
		"a parameter of ours":     func(c *hosted.Config) { c.Params = map[string]string{"redirect_uri": "https://evil.example/"} },
		"a fixed state":           func(c *hosted.Config) { c.Params = map[string]string{"state": "x"} },
		"a request object":        func(c *hosted.Config) { c.Params = map[string]string{"request_uri": "https://evil.example/"} },
		"a short key":             func(c *hosted.Config) { c.Key = []byte("short") },
		"no time to do anything":  func(c *hosted.Config) { c.Lifetime = 1 },
		"an issuer with fragment": func(c *hosted.Config) { c.Issuer = "https://id.lincoln.example/#x" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newProvider(t, change); err == nil {
				t.Error("it was accepted")
			}
		})
	}
	if _, err := newProvider(t, func(c *hosted.Config) {
		c.Issuer, c.RedirectURL = "http://127.0.0.1:8090/", "http://localhost:8080/callback"
	}); err != nil {
		t.Errorf("this machine: %v", err)
	}
}
