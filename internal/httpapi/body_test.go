package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fieldCodes lists what a validation problem says, as "field code".
func fieldCodes(t *testing.T, r reply) []string {
	t.Helper()
	var codes []string
	list, _ := r.json(t)["errors"].([]any)
	for _, entry := range list {
		e := entry.(map[string]any)
		truth(t, len(e) == 3 && e["message"] != "", e)
		codes = append(codes, fmt.Sprint(e["field"], " ", e["code"]))
	}
	return codes
}

// canary is in every malformed request below, and in no answer and no line of the log.
const canary = "zq-Canary-77-Secret"

func TestMalformedSignUps(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	const member = `"password":"` + canary + `"`
	cases := []struct {
		name, body string
		headers    []string
		status     int
		code       string
		fields     []string
	}{
		{name: "nothing", body: ``, status: 400, code: "MALFORMED_REQUEST"},
		{name: "spaces", body: `  `, status: 400, code: "MALFORMED_REQUEST"},
		{name: "cut off", body: `{` + member, status: 400, code: "MALFORMED_REQUEST"},
		{name: "not JSON", body: canary, status: 400, code: "MALFORMED_REQUEST"},
		{name: "a member twice", body: `{` + member + `,` + member + `}`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "a member twice, escaped", body: `{` + member + `,"\u0070assword":"` + canary + `"}`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "more after the end", body: `{` + member + `} {}`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "not UTF-8", body: "{" + member + ",\"schoolName\":\"\xff\"}", status: 400, code: "MALFORMED_REQUEST"},
		{name: "half a surrogate", body: `{` + member + `,"schoolName":"\ud800"}`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "nested deeply", body: `{` + member + `,"name":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "nested without end", body: strings.Repeat(`{"`+canary+`":`, 400), status: 400, code: "MALFORMED_REQUEST"},
		{name: "an array", body: `["` + canary + `"]`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "a string", body: `"` + canary + `"`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "null", body: `null`, status: 400, code: "MALFORMED_REQUEST"},
		{name: "a form", body: "password=" + canary, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "text", body: `{` + member + `}`, headers: []string{"Content-Type: text/plain"}, status: 415, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "no type", body: `{` + member + `}`, headers: []string{"Content-Type:"}, status: 415, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "a type like JSON", body: `{` + member + `}`, headers: []string{"Content-Type: application/problem+json"}, status: 415, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "another character set", body: `{` + member + `}`, headers: []string{"Content-Type: application/json; charset=latin1"}, status: 415, code: "UNSUPPORTED_MEDIA_TYPE"},
		{name: "too large", body: `{` + member + `,"name":"` + strings.Repeat("a", 16<<10) + `"}`, status: 413, code: "TOO_LARGE"},
		{name: "nothing in it", body: `{}`, status: 422, code: "VALIDATION_ERROR", fields: []string{"email required", "password required", "schoolName required"}},
		{
			name: "everything wrong", body: `{"email":"` + canary + `","password":"` + strings.Repeat(canary, 5) + `","schoolName":"a","givenName":"\u202e` + canary + `","name":"\u0000` + canary + `","x":"` + canary + `"}`,
			headers: []string{"Idempotency-Key: " + canary[:8]},
			status:  422, code: "VALIDATION_ERROR",
			fields: []string{
				"x unknown_field", "email invalid_format", "password too_long", "schoolName too_short", "givenName invalid_characters",
				"name invalid_characters", "Idempotency-Key invalid_format",
			},
		},
		{
			name: "wrong types", body: `{"email":["` + canary + `"],"password":{"x":"` + canary + `"},"schoolName":null,"name":7}`,
			status: 422, code: "VALIDATION_ERROR",
			fields: []string{"email wrong_type", "password wrong_type", "schoolName wrong_type", "name wrong_type"},
		},
		{
			name: "members that are not the caller's to set", body: `{"email":"a@b.example",` + member + `,"schoolName":"Lincoln","role":"admin","app_metadata":{"p":"` + canary + `"},"user_id":"1","connection":"x","email_verified":true,"blocked":false}`,
			status: 422, code: "VALIDATION_ERROR",
			fields: []string{
				"role unknown_field", "app_metadata unknown_field", "user_id unknown_field", "connection unknown_field",
				"email_verified unknown_field", "blocked unknown_field",
			},
		},
		{
			name: "other letter cases", body: `{"Email":"a@b.example","PASSWORD":"` + canary + `","schoolname":"Lincoln"}`,
			status: 422, code: "VALIDATION_ERROR",
			fields: []string{"Email unknown_field", "PASSWORD unknown_field", "schoolname unknown_field", "email required", "password required", "schoolName required"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.call("POST", "/users", c.body, c.headers...)
			equal(t, c.status, r.Status, r.Body)
			equal(t, "application/problem+json", r.Header.Get("Content-Type"))
			problem := r.json(t)
			equal(t, c.code, problem["code"], r.Body)
			equal(t, float64(c.status), problem["status"])
			equal(t, r.Header.Get("X-Request-Id"), problem["requestId"])
			truth(t, problem["title"] != "" && problem["detail"] != "" && strings.HasPrefix(problem["type"].(string), "/problems/"), r.Body)
			equal(t, c.fields, fieldCodes(t, r), r.Body)
			lacks(t, r.Body, "Canary", "Secret", "a@b.example", "json:", "jsontext", "goroutine")
		})
	}
	equal(t, 0, len(w.auth0.Users()))
	lacks(t, w.log.String(), "Canary", "Secret", "a@b.example")
}

// TestLargeBodies sends more than it says, says more than it sends, and never stops.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	t.Run("just what is allowed", func(t *testing.T) {
		body := `{"email":"` + strings.Repeat("a", 16<<10-12) + `"}`
		equal(t, 16<<10, len(body))
		equal(t, 422, w.call("POST", "/users", body).Status)
		equal(t, 413, w.call("POST", "/users", body+" ").Status)
	})
	t.Run("chunked without end", func(t *testing.T) {
		endless := io.MultiReader(strings.NewReader(`{"name":"`), neverEnding('a'))
		r, err := w.try("POST", "/users", io.LimitReader(endless, 1<<30))
		if err == nil { // the server may have closed the connection before its answer was read
			equal(t, 413, r.Status)
		}
	})
	t.Run("less than it says", func(t *testing.T) {
		r := w.raw("POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":", true)
		holds(t, r, "400 Bad Request", "MALFORMED_REQUEST")
	})
	t.Run("an enormous length", func(t *testing.T) {
		r := w.raw("POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"+strings.Repeat(" ", 20000), false)
		holds(t, r, "413 Request Entity Too Large", "TOO_LARGE")
	})
}

// TestSlowBody is refused in time, and does not hold the server.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	began := time.Now()
	r := w.raw("POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":", false)
	holds(t, r, "400 Bad Request", "MALFORMED_REQUEST")
	truth(t, time.Since(began) < 12*time.Second, time.Since(began))
}

// raw sends bytes and returns the beginning of what comes back; half closes the sending side after them.
func (w *world) raw(text string, half bool) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	check(w.t, err)
	defer conn.Close()
	check(w.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	check(w.t, err)
	if half {
		check(w.t, conn.(*net.TCPConn).CloseWrite())
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(w.t, err)
	var all bytes.Buffer
	check(w.t, res.Write(&all))
	return all.String()
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// TestAnyBody sends what nobody thought of: JSON that was cut, doubled and bent. It is refused in words of ours.
func TestAnyBody(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	pieces := []string{
		`{`, `}`, `[`, `]`, `:`, `,`, `"`, `\`, `null`, `true`, `1e999`, `-0`, `"email"`, `"password"`, `"` + canary + `"`, ` `, "\n", "\x00", "\xff",
		`\u0000`, `\ud83d`, `"a@b.example"`, `"password":"` + canary + `"`, `"email":"` + canary + `@b.example"`, `{"name":"` + canary + `"}`, "é", "\u202e", "\ufeff",
	}
	rapid.Check(t, func(rt *rapid.T) {
		body := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 30).Draw(rt, "body"), "")
		if rapid.Bool().Draw(rt, "in an object") {
			body = `{"password":"` + canary + `",` + body + `}`
		}
		r := w.call("POST", "/users", body)
		if r.Status != 400 && r.Status != 422 {
			rt.Fatalf("answer %d to %q: %s", r.Status, body, r.Body)
		}
		var problem struct{ Code, Type, Title, Detail, RequestID string }
		if err := json.Unmarshal([]byte(r.Body), &problem); err != nil || problem.Code == "" || problem.Type == "" || problem.Title == "" || problem.Detail == "" || problem.RequestID == "" {
			rt.Fatalf("answer to %q: %s", body, r.Body)
		}
		for _, text := range []string{"Canary-77", "jsontext", "invalid character"} {
			if problem.Code == "MALFORMED_REQUEST" && strings.Contains(r.Body, text) {
				rt.Fatalf("%q is in the answer to %q: %s", text, body, r.Body)
			}
		}
	})
	lacks(t, w.log.String(), "Canary-77")
}
