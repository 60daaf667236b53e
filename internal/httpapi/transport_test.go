package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func TestHeadIsAnsweredWhereverGetIs(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	heads := map[string]bool{}
	routes := w.handler.(*gin.Engine).Routes()
	for _, route := range routes {
		if route.Method == http.MethodHead {
			heads[route.Path] = true
		}
	}
	for _, route := range routes {
		if route.Method == http.MethodGet {
			truth(t, heads[route.Path], route.Path)
		}
	}
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	for path, status := range map[string]int{
		"/livez": 200, "/readyz": 200, "/signups/" + made.SignupID.String(): 200, "/schools/availability?name=Lincoln": 200,
		"/signups/00000000-0000-4000-8000-000000000000": 404, "/tenants": 401, "/nothing": 404, "/activate?token=x": 410,
	} {
		head, get := w.call("HEAD", path, ""), w.call("GET", path, "")
		equal(t, status, head.Status, path)
		equal(t, get.Status, head.Status, path)
		equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
		equal(t, "", head.Body, path)
	}
	equal(t, "GET, HEAD", w.call("POST", "/livez", "").Header.Get("Allow"))
}

// TestHeadOfAStreamEndsAtOnce, because nothing follows the headers.
func TestHeadOfAStreamEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	_, err := w.catalog.Pool().Exec(t.Context(), `update signups set status = 'provisioning', check_at = now() + interval '1 hour'`)
	check(t, err)
	r := w.call("HEAD", "/signups/"+made.SignupID.String()+"/events", "")
	equal(t, 200, r.Status)
	equal(t, "text/event-stream", r.Header.Get("Content-Type"))
}

// TestHeadBeginsNoRegistration: programs that check links send it.
func TestHeadBeginsNoRegistration(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{}, nil)
	for _, path := range []string{"/register?school_name=Lincoln+High", "/callback?code=x&state=y"} {
		r := v.call("HEAD", path, "")
		equal(t, 200, r.Status, path)
		equal(t, "", r.Header.Get("Set-Cookie")+r.Header.Get("Location"), path)
	}
}

func TestAHeaderThatWasSentTwiceIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	body := form("ada@lincoln.example", "Lincoln High")
	send := func(path string, headers ...string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(body))
		check(t, err)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			req.Header.Add(name, value)
		}
		res, err := client.Do(req)
		check(t, err)
		return read(t, res)
	}
	const kind = "Content-Type: application/json"
	good := w.bearer("update:tenants")
	for name, headers := range map[string][]string{
		"Idempotency-Key": {kind, "Idempotency-Key: 0123456789abcdef-1", "Idempotency-Key: 0123456789abcdef-2"},
		"Authorization":   {kind, good, "Authorization: Bearer x"},
		"Content-Type":    {kind, "Content-Type: text/plain"},
	} {
		for _, path := range []string{"/users", "/api/auth/sign-up", "/tenants/lincoln-high/reprovision"} {
			r := send(path, headers...)
			equal(t, 400, r.Status, path, r.Body)
			holds(t, r.Body, "MALFORMED_REQUEST", "The header "+name+" was sent more than once. Send it once.")
		}
	}
	equal(t, 0, len(w.auth0.Users()))
	r := send("/users", kind, "Idempotency-Key: 0123456789abcdef-1")
	equal(t, 201, r.Status, r.Body)
}

func TestACompressedBodyIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	for _, encoding := range []string{"gzip", "GZIP", "br", "deflate, gzip", "zstd"} {
		for _, path := range []string{"/users", "/api/auth/sign-up", "/activate"} {
			r := w.call("POST", path, "\x1f\x8b\x08\x00", "Content-Encoding: "+encoding)
			equal(t, 415, r.Status, path, r.Body)
			holds(t, r.Body, "UNSUPPORTED_MEDIA_TYPE", "Send the body as it is, without Content-Encoding.")
			equal(t, "identity", r.Header.Get("Accept-Encoding"))
		}
	}
	equal(t, 201, w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), "Content-Encoding: identity").Status)
}

// TestALengthAboveTheLimitIsRefusedBeforeTheBody sends no byte of the body, for which the server would wait.
func TestALengthAboveTheLimitIsRefusedBeforeTheBody(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	headers := func(method, path, kind, length string) string {
		return method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + w.bearer("migrate:tenants") + "\r\nContent-Type: " + kind + "\r\nContent-Length: " + length + "\r\n\r\n"
	}
	for path, length := range map[string]string{
		"/users": "99999999999", "/api/auth/sign-up": "16385", "/migrations": "131073", "/schools": "16385",
	} {
		r := w.raw(headers("POST", path, "application/json", length), false)
		holds(t, r, "413 Request Entity Too Large", "TOO_LARGE", "Connection: close")
	}
	holds(t, w.raw(headers("GET", "/livez", "application/json", "99999999999"), false), "413 Request Entity Too Large")
	holds(t, w.raw(headers("POST", "/activate", "application/x-www-form-urlencoded", "99999999999"), false), "413 Request Entity Too Large", "16 KiB")
	holds(t, w.raw(headers("POST", "/users", "application/json", "16384"), true), "400 Bad Request", "did not arrive completely")
}

func TestASlashAtTheEndIsExplained(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	for _, path := range []string{"/users/", "/docs/", "/tenants/lincoln-high/"} {
		r := w.call("POST", path, "{}")
		equal(t, 404, r.Status, path)
		holds(t, r.Body, "No path ends with a slash: leave it out.")
	}
	lacks(t, w.call("POST", "/nothing", "{}").Body, "slash")
}

func TestAPageOfAnotherOriginIsToldWhyItMayNotCall(t *testing.T) {
	t.Parallel()
	for name, origins := range map[string][]string{"no origin is allowed": nil, "others are allowed": {"https://app.lincoln.example"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{noSpare: true, api: func(c *config) { c.AllowedOrigins = origins }})
			for _, path := range []string{"/users", "/me", "/nothing"} {
				r := w.call("OPTIONS", path, "", "Origin: https://evil.example", "Access-Control-Request-Method: POST")
				equal(t, 403, r.Status, path)
				equal(t, "FORBIDDEN", r.code(t))
				holds(t, r.Body, "CORS", "HOMEROOM_ALLOWED_ORIGINS")
				lacks(t, r.Body, "evil")
				equal(t, "", r.Header.Get("Access-Control-Allow-Origin"))
			}
			r := w.call("OPTIONS", "/users", "")
			equal(t, 405, r.Status, "what is no question of a browser")
			lacks(t, r.Body, "CORS")
		})
	}
}

func TestNoPageCanBeFramedOrUsesWhatBrowsersCanDo(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.PublicURL = "https://homeroom.lincoln.example" }})
	for _, path := range []string{"/docs", "/livez", "/openapi.json", "/nothing", "/activate?token=x", "/invitation?token=x", "/problems/internal", "/docs/style.css", "/"} {
		h := w.call("GET", path, "", "Accept: text/html").Header
		equal(t, "DENY", h.Get("X-Frame-Options"), path)
		holds(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", "default-src 'none'")
		equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"), path)
		holds(t, h.Get("Permissions-Policy"), "camera=()", "geolocation=()", "microphone=()", "payment=()")
		equal(t, "max-age=31536000", h.Get("Strict-Transport-Security"), path)
	}
	for _, address := range []string{"", "http://homeroom.lincoln.example"} {
		plain := setup(t, options{noSpare: true, api: func(c *config) { c.PublicURL = address }})
		equal(t, "", plain.call("GET", "/livez", "").Header.Get("Strict-Transport-Security"), "a service without HTTPS: ", address)
	}
}

// TestAParameterThatPostgresCannotHoldIsNamed: a NUL, and bytes that are no UTF-8.
func TestAParameterThatPostgresCannotHoldIsNamed(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{noSpare: true}, nil)
	for query, field := range map[string]string{
		"return_to=https%3A%2F%2Flincoln.example%00": "return_to", "return_to=%ff": "return_to", "school_name=%00": "school_name",
		"return_to=x&prompt=%00": "prompt",
	} {
		r := v.call("GET", "/register?"+query, "")
		equal(t, 422, r.Status, query)
		equal(t, []string{field + " invalid_characters"}, fieldCodes(t, r), query)
	}
}
