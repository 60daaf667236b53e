// Package browsertest walks web pages as a person does whose browser runs no script: it follows redirects, keeps cookies, and
// fills in forms.
//
// It holds pages to what browsers hold them to: a form leads only to where the page's policy lets it, redirects included. And
// it holds them to what people need: a language, a title, one heading, and a label for every field.
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

// mostHops is how many redirects a browser follows.
const mostHops = 20

// Browser is one person's. It is for one goroutine.
type Browser struct {
	t      testing.TB
	client *http.Client
	stopAt []string
}

// New makes a browser without cookies. A walk ends before any address that begins with one of ends, which nobody needs to serve.
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

// ConnectTo has it reach one host and port at another, as if DNS and a proxy led there.
func (b *Browser) ConnectTo(host, target string) {
	var dialer net.Dialer
	b.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			address = target
		}
		return dialer.DialContext(ctx, network, address)
	}}
}

// Trust makes it trust the certificates of a server.
func (b *Browser) Trust(config *tls.Config) {
	b.client.Transport = &http.Transport{TLSClientConfig: config}
}

// Cookies are those that it would send to an address.
func (b *Browser) Cookies(address string) []*http.Cookie {
	return b.client.Jar.Cookies(b.parse(address))
}

// SetCookies plants cookies, as whoever has another browser's would.
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

// Page is what a walk came to.
type Page struct {
	// URL is its address. Status is 0 where the walk ended before an address of New's.
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
	// Hops are the addresses that redirects led through, the first that was asked for among them.
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

// follow sends a request, and goes where it is sent. policy is the form-action that all of it must keep to; empty is none.
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

// allows reads a form-action as far as pages here use it: 'self', origins and schemes.
func allows(policy, self string, to *url.URL) bool {
	for source := range strings.FieldsSeq(policy) {
		if source == originOf(to) || source == to.Scheme+":" || source == "'self'" && originOf(to) == self {
			return true
		}
	}
	return false
}
