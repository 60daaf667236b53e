// Package browsertest is a browser without scripts for tests of web pages: it follows redirects, keeps cookies, and
// fills in forms.
//
// It enforces the rules of browsers: a form is sent only to addresses that the page's policy allows, redirects included. And
// it checks accessibility: a language, a title, one heading, and a label for every field.
package browsertest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// mostHops is the largest number of redirects.
const mostHops = 20

// Browser has one person's cookies. It is for one goroutine.
type Browser struct {
	t      testing.TB
	client *http.Client
	stopAt []string
}

// New creates a browser without cookies. It stops before any address that begins with one of stopAt, which need not exist.
func New(t testing.TB, stopAt ...string) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Browser{t: t, stopAt: stopAt, client: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ConnectTo makes the browser connect to target instead of a host and port, as DNS or a proxy could.
func (b *Browser) ConnectTo(host, target string) {
	var dialer net.Dialer
	b.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			address = target
		}
		return dialer.DialContext(ctx, network, address)
	}}
}

// Trust makes the browser trust the certificates of a server.
func (b *Browser) Trust(config *tls.Config) {
	b.client.Transport = &http.Transport{TLSClientConfig: config}
}

// Cookies returns the cookies for an address.
func (b *Browser) Cookies(address string) []*http.Cookie {
	return b.client.Jar.Cookies(b.parse(address))
}

// SetCookies adds cookies, for example from another browser.
func (b *Browser) SetCookies(address string, cookies []*http.Cookie) {
	b.client.Jar.SetCookies(b.parse(address), cookies)
}

func (b *Browser) parse(address string) *url.URL {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// Page is the page after all redirects.
type Page struct {
	// URL is its address. Status is 0 if the browser stopped before an address of stopAt.
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	// Hops are the addresses of the requests, the first one and all redirects.
	Hops []*url.URL

	doc *html.Node
}

// Get opens an address.
func (b *Browser) Get(address string) Page {
	b.t.Helper()
	return b.follow(b.request(http.MethodGet, b.parse(address), ""), "")
}

// Post sends a form from a page of the origin, as a script or a form there could.
func (b *Browser) Post(address, origin string, form url.Values) Page {
	b.t.Helper()
	return b.follow(b.post(b.parse(address), origin, form), "")
}

func (b *Browser) post(to *url.URL, origin string, form url.Values) *http.Request {
	b.t.Helper()
	r := b.request(http.MethodPost, to, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	site := "cross-site"
	if origin == originOf(to) {
		site = "same-origin"
	}
	r.Header.Set("Sec-Fetch-Site", site)
	return r
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

func (b *Browser) request(method string, to *url.URL, body string) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, to.String(), strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("User-Agent", "browsertest")
	return r
}

// follow sends a request and follows redirects. policy is the form-action that all addresses must satisfy; empty is none.
func (b *Browser) follow(r *http.Request, policy string) Page {
	b.t.Helper()
	from := r.Header.Get("Origin")
	var page Page
	for range mostHops {
		page.URL = r.URL
		page.Hops = append(page.Hops, r.URL)
		if policy != "" && !allows(policy, from, r.URL) {
			b.t.Fatalf("a browser stops at %s: the page's policy lets a form lead to %s only", originOf(r.URL), policy)
		}
		if slices.ContainsFunc(b.stopAt, func(end string) bool { return strings.HasPrefix(r.URL.String(), end) }) {
			return page
		}
		res, err := b.client.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		if location := res.Header.Get("Location"); location != "" && res.StatusCode >= 300 && res.StatusCode < 400 {
			next, err := r.URL.Parse(location)
			if err != nil {
				b.t.Fatal(err)
			}
			r = b.request(http.MethodGet, next, "")
			continue
		}
		page.Status, page.Header, page.Body = res.StatusCode, res.Header, string(raw)
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			if page.doc, err = html.ParseWithOptions(strings.NewReader(page.Body), html.ParseOptionEnableScripting(false)); err != nil {
				b.t.Fatal(err)
			}
		}
		return page
	}
	b.t.Fatalf("too many redirects: %v", page.Hops)
	return Page{}
}

// allows reports whether a form-action allows an address. It supports 'self', origins and schemes.
func allows(policy, self string, to *url.URL) bool {
	for source := range strings.FieldsSeq(policy) {
		if source == originOf(to) || source == to.Scheme+":" || source == "'self'" && originOf(to) == self {
			return true
		}
	}
	return false
}
