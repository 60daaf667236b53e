package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"homeroom/catalog"
	"homeroom/internal/devpg"
	"homeroom/internal/pgtest"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	for _, path := range []string{"/nothing", "/users/", "/signups/", "/USERS", "/users/../admin", "/docs/", "//users", "/schemas/NewUser.json", "/openapi.yaml"} {
		r := w.call("GET", path, "")
		equal(t, 404, r.Status, path, r.Body)
		equal(t, "NOT_FOUND", r.code(t))
		equal(t, "application/problem+json", r.Header.Get("Content-Type"))
		lacks(t, r.Body, "nothing/", "admin")
	}
	r := w.call("DELETE", "/users", "")
	equal(t, 405, r.Status)
	equal(t, "METHOD_NOT_ALLOWED", r.code(t))
	equal(t, "POST", r.Header.Get("Allow"))
	equal(t, 405, w.call("TRACE", "/livez", "").Status)

	for _, id := range []string{"00000000-0000-4000-8000-000000000000", "1", "%00", "{8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10}", "urn:uuid:8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10", "x'"} {
		for _, path := range []string{"/signups/" + id, "/signups/" + id + "/events"} {
			r := w.call("GET", path, "")
			equal(t, 404, r.Status, path)
			equal(t, "There is no such thing here.", r.json(t)["detail"], "every unknown id has the same answer")
		}
	}
}

func TestHeadersAndLog(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	r := w.call("GET", "/signups/0b0d5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10?token="+canary, "", "X-Request-Id: my.request_1-2", "Cookie: c="+canary)
	equal(t, "my.request_1-2", r.Header.Get("X-Request-Id"))
	equal(t, "my.request_1-2", w.call("GET", "/nothing", "", "X-Request-Id: my.request_1-2").json(t)["requestId"])
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		equal(t, value, r.Header.Get(name))
	}
	for _, header := range []string{"Server", "X-Powered-By", "Set-Cookie", "Link"} {
		equal(t, "", r.Header.Get(header))
	}
	for _, id := range []string{"a b", "ä", strings.Repeat("a", 65), `"}{`, "x\ty"} {
		got := w.call("GET", "/livez", "", "X-Request-Id: "+id).Header.Get("X-Request-Id")
		equal(t, 36, len(got), id)
	}

	line := w.logLine("my.request_1-2")
	equal(t, "request", line["msg"])
	equal(t, "GET", line["method"])
	equal(t, "/signups/:id", line["route"])
	equal(t, float64(422), line["status"], "an unknown parameter")
	equal(t, "127.0.0.1", line["client"])
	lacks(t, w.log.String(), canary, "0b0d5a0e")
}

// logLine finds the line of a request.
func (w *world) logLine(id string) map[string]any {
	w.t.Helper()
	for line := range strings.Lines(w.log.String()) {
		var fields map[string]any
		check(w.t, json.Unmarshal([]byte(line), &fields))
		if fields["request"] == id {
			return fields
		}
	}
	w.t.Fatal("no line for ", id)
	return nil
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.lincoln.example"
	w := setup(t, options{noSpare: true, api: func(c *config) { c.AllowedOrigins = []string{app, "http://localhost:5173"} }})
	preflight := func(origin string) reply {
		return w.call("OPTIONS", "/users", "", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,idempotency-key")
	}
	r := preflight(app)
	equal(t, 204, r.Status)
	equal(t, app, r.Header.Get("Access-Control-Allow-Origin"))
	equal(t, "POST", r.Header.Get("Access-Control-Allow-Methods"))
	equal(t, "content-type,idempotency-key", r.Header.Get("Access-Control-Allow-Headers"))
	equal(t, "600", r.Header.Get("Access-Control-Max-Age"))
	equal(t, "", r.Header.Get("Access-Control-Allow-Credentials"))
	holds(t, strings.Join(r.Header.Values("Vary"), ","), "Origin")

	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		r := w.call("OPTIONS", "/users", "", "Origin: "+app, "Access-Control-Request-Method: "+method,
			"Access-Control-Request-Headers: authorization,content-type,idempotency-key,last-event-id,prefer,x-request-id")
		equal(t, app, r.Header.Get("Access-Control-Allow-Origin"), method)
	}
	for _, asked := range [][]string{{"Access-Control-Request-Method: PUT"}, {"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: cookie"}} {
		r := w.call("OPTIONS", "/users", "", append(asked, "Origin: "+app)...)
		equal(t, "", r.Header.Get("Access-Control-Allow-Origin"), asked)
	}

	r = w.call("POST", "/users", "{}", "Origin: "+app)
	equal(t, 422, r.Status)
	equal(t, app, r.Header.Get("Access-Control-Allow-Origin"), "a page may read problems too")
	holds(t, strings.ToLower(r.Header.Get("Access-Control-Expose-Headers")), "location", "retry-after", "ratelimit", "ratelimit-policy")

	for _, origin := range []string{
		"null", "https://evil.example", app + ".evil.example", "https://evil" + app[8:], app + ":8443", "http://app.lincoln.example",
		"https://APP.lincoln.example", app + "/", "*", "https://app.lincoln.example evil",
	} {
		r := preflight(origin)
		truth(t, r.Status != 204, origin)
		equal(t, "", r.Header.Get("Access-Control-Allow-Origin"), origin)
		r = w.call("GET", "/livez", "", "Origin: "+origin)
		equal(t, "", r.Header.Get("Access-Control-Allow-Origin"), origin)
		holds(t, strings.Join(r.Header.Values("Vary"), ","), "Origin")
	}
	for _, origin := range []string{"*", "null", "app.lincoln.example", app + "/", "https://*.lincoln.example/", "ftp://x"} {
		cfg := w.config
		cfg.AllowedOrigins = []string{origin}
		_, err := cfg.handler()
		truth(t, err != nil, origin)
	}
}

func TestSignupRate(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 2, Window: time.Hour}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	}})
	send := func(n int, headers ...string) reply {
		return w.call("POST", "/users", form(fmt.Sprintf("p%d@lincoln.example", n), "Lincoln High"), headers...)
	}
	from := func(addresses string) string { return "X-Forwarded-For: " + addresses }

	first := send(1, from("198.51.100.7"), "Idempotency-Key: 0123456789abcdef")
	equal(t, 201, first.Status, first.Body)
	equal(t, `"signup";q=2;w=3600`, first.Header.Get("RateLimit-Policy"))
	equal(t, `"signup";r=1;t=1800`, first.Header.Get("RateLimit"))
	equal(t, 422, w.call("POST", "/users", "{}", from("198.51.100.7")).Status, "a mistake costs nothing")
	exists := send(1, from("1.2.3.4, 198.51.100.7, 10.1.1.1"))
	equal(t, 409, exists.Status, "asking for an e-mail costs one")
	equal(t, `"signup";r=0;t=3600`, exists.Header.Get("RateLimit"))

	for _, invented := range []string{"198.51.100.7", "8.8.8.8,198.51.100.7", "10.0.0.1, 198.51.100.7", "::ffff:198.51.100.7", "junk, 198.51.100.7,10.0.0.9"} {
		r := send(3, from(invented))
		equal(t, 429, r.Status, invented, r.Body)
		equal(t, "RATE_LIMITED", r.code(t))
		equal(t, `"signup";q=2;w=3600`, r.Header.Get("RateLimit-Policy"))
		holds(t, r.Header.Get("RateLimit"), `"signup";r=0;t=`)
		truth(t, r.Header.Get("Retry-After") != "")
	}
	again := send(1, from("198.51.100.7"), "Idempotency-Key: 0123456789abcdef")
	equal(t, 201, again.Status, "a repetition costs nothing")
	equal(t, first.Body, again.Body)
	equal(t, 1, len(w.auth0.Users()))

	equal(t, 201, send(4, from("2001:db8:1:2::1")).Status)
	equal(t, 201, send(5, from("2001:db8:1:2:ffff::9")).Status)
	equal(t, 429, send(6, from("2001:db8:1:2:aaaa::7")).Status, "one subscriber has all of a /64")
	equal(t, 201, send(7, from("2001:db8:1:3::1")).Status)
}

// TestForwardedForIsNotBelieved sends from one place and claims many.
func TestForwardedForIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour}
	}})
	for i := range 20 {
		r := w.call("POST", "/users", form(fmt.Sprintf("p%d@lincoln.example", i), "Lincoln High"),
			fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), "X-Real-IP: 1.1.1.1", "Forwarded: for=1.1.1.1")
		want := 429
		if i == 0 {
			want = 201
		}
		equal(t, want, r.Status)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var broken error
	w := setup(t, options{noSpare: true, api: func(c *config) { c.Ready = func(context.Context) error { return broken } }})
	equal(t, 200, w.call("GET", "/readyz", "").Status)
	broken = errors.New("the job runner is away: " + canary)
	r := w.call("GET", "/readyz", "")
	equal(t, 503, r.Status)
	lacks(t, r.Body, canary)
	holds(t, w.log.String(), "the job runner is away")
	equal(t, 200, w.call("GET", "/livez", "").Status)
}

func TestPanic(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.Ready = func(context.Context) error { panic("boom " + canary) } }})
	r := w.call("GET", "/readyz", "")
	equal(t, 500, r.Status)
	equal(t, "INTERNAL", r.code(t))
	lacks(t, r.Body, "boom", canary, "goroutine")
	holds(t, w.logLine(r.Header.Get("X-Request-Id"))["error"].(string), "boom", "middleware_test.go")
	equal(t, 200, w.call("GET", "/livez", "").Status)
}

// TestCatalogAway takes Postgres away from under the service, and gives it back.
func TestCatalogAway(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := setup(t, options{postgres: postgres, api: func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 5, Window: time.Hour}
	}})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	away := func() {
		t.Helper()
		for _, r := range []reply{
			w.call("POST", "/users", form("bob@lincoln.example", "Lincoln High")),
			w.call("GET", "/signups/"+made.SignupID.String(), ""),
			w.call("GET", "/signups/"+made.SignupID.String()+"/events", ""),
			w.call("GET", "/schools/availability?name=Lincoln", ""),
			w.call("GET", "/me", "", w.as(made.User.IdentityID)),
			w.call("GET", "/tenants", "", w.bearer("read:tenants")),
			w.call("POST", "/tenants/lincoln-high/reprovision", "", w.bearer("update:tenants")),
			w.call("GET", "/readyz", ""),
		} {
			equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
			equal(t, "CATALOG_UNAVAILABLE", r.code(t))
			truth(t, r.Header.Get("Retry-After") != "")
			lacks(t, r.Body, "pool", "127.0.0.1", "sql", "FATAL")
		}
	}
	check(t, postgres.Crash(t.Context()))
	away()
	equal(t, 1, len(w.auth0.Users()))
	equal(t, 200, w.call("GET", "/livez", "").Status)
	check(t, postgres.Restart(t.Context(), devpg.Fast))
	eventually(t, func() bool { return w.call("GET", "/readyz", "").Status == 200 })
	r := w.call("POST", "/users", form("bob@lincoln.example", "Lincoln High"))
	truth(t, r.Status == 201 || r.Status == 202, r.Body) // 202 when the tenant's server was asked on a dead connection first
	w.catalog.Close()                                    // as at the end of the process
	away()
}
