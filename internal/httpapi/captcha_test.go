package httpapi_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/admission"
	"homeroom/catalog"
	"homeroom/internal/captcha"
)

// captchaSite answers as hCaptcha does: tokens that begin with "good" are good once.
type captchaSite struct {
	*httptest.Server
	mu    sync.Mutex
	asked []url.Values
	down  bool
}

func startCaptcha(t *testing.T) *captchaSite {
	t.Helper()
	s := &captchaSite{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		text, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(text))
		used := slices.ContainsFunc(s.asked, func(earlier url.Values) bool { return earlier.Get("response") == form.Get("response") })
		s.asked = append(s.asked, form)
		answer := map[string]any{"success": true, "hostname": "app.lincoln.example", "challenge_ts": "2026-11-21T10:00:00Z"}
		switch {
		case s.down:
			w.WriteHeader(http.StatusBadGateway)
			return
		case used:
			answer = map[string]any{"success": false, "error-codes": []string{"already-seen-response"}}
		case form.Get("secret") != canary || !strings.HasPrefix(form.Get("response"), "good"):
			answer = map[string]any{"success": false, "error-codes": []string{"invalid-input-response"}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// guard puts the CAPTCHA before the sign-ups of a service.
func (s *captchaSite) guard(t *testing.T, change func(*config)) func(*config) {
	return func(c *config) {
		var err error
		c.admission.Captcha, err = captcha.New(captcha.Config{
			Provider: captcha.HCaptcha, Secret: canary, VerifyURL: s.URL, Hostnames: []string{"app.lincoln.example"}, Timeout: 2 * time.Second,
		})
		check(t, err)
		if change != nil {
			change(c)
		}
	}
}

func (s *captchaSite) questions() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func TestCaptcha(t *testing.T) {
	t.Parallel()
	site := startCaptcha(t)
	w := setup(t, options{api: site.guard(t, nil)})
	send := func(token any, members map[string]any, headers ...string) reply {
		all := map[string]any{"captchaToken": token}
		maps.Copy(all, members)
		return w.call("POST", "/users", newForm(t, all), headers...)
	}
	refused := func(r reply, codes ...string) {
		t.Helper()
		equal(t, http.StatusUnprocessableEntity, r.Status, r.Body)
		equal(t, codes, fieldCodes(t, r), r.Body)
	}
	refused(send(nil, nil), "captchaToken required")
	refused(send(7, nil), "captchaToken wrong_type", "captchaToken required")
	refused(send(nil, map[string]any{"email": "x"}), "captchaToken required", "email invalid_format")
	refused(send("good-0", map[string]any{"email": "x"}), "email invalid_format")
	equal(t, 0, len(site.questions()), "a token is good once, and not spent on what cannot be")
	refused(send("made-up", nil), "captchaToken invalid")
	refused(send(nil, nil, "Idempotency-Key: a-key-that-nobody-has-used"), "captchaToken required")
	equal(t, 0, len(w.auth0.Users()))

	const repeat = "Idempotency-Key: 0123456789abcdef"
	first := send("good-1", nil, repeat)
	equal(t, http.StatusCreated, first.Status, first.Body)
	last := site.questions()[1]
	equal(t, "good-1", last.Get("response"))
	equal(t, "127.0.0.1", last.Get("remoteip"))
	refused(send("good-1", map[string]any{"email": "bob@lincoln.example"}), "captchaToken expired")

	asked := len(site.questions())
	for _, token := range []any{"good-1", nil, "whatever"} {
		again := send(token, nil, repeat)
		equal(t, http.StatusCreated, again.Status, "a repetition needs no other token: ", again.Body)
		equal(t, first.Body, again.Body)
	}
	other := send(nil, map[string]any{"email": "bob@lincoln.example"}, repeat)
	equal(t, "IDEMPOTENCY_MISMATCH", other.code(t), "a known key lets nobody else in: ", other.Body)
	equal(t, asked, len(site.questions()))
	equal(t, 1, len(w.auth0.Users()))

	t.Run("in the other words", func(t *testing.T) {
		r := w.call("POST", authPath, john)
		_, _, details := failure(t, r)
		equal(t, []string{"captchaToken: Solve the CAPTCHA."}, details)
		r = w.call("POST", authPath, strings.Replace(john, "{", `{"captchaToken":"good-2",`, 1))
		equal(t, http.StatusCreated, r.Status, r.Body)
	})
	t.Run("the document asks for it", func(t *testing.T) {
		schema, members := schemaOf(t, w, "NewUser")
		truth(t, slices.Contains(members, "captchaToken") && slices.Contains(schema["required"].([]any), any("captchaToken")), schema)
	})
	lacks(t, w.log.String(), canary, "good-1")
}

func TestCaptchaAway(t *testing.T) {
	t.Parallel()
	site := startCaptcha(t)
	site.down = true
	w := setup(t, options{api: site.guard(t, nil)})
	r := w.call("POST", "/users", newForm(t, map[string]any{"captchaToken": "good-1"}))
	equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
	equal(t, "BUSY", r.code(t))
	truth(t, r.Header.Get("Retry-After") != "")
	equal(t, 0, len(w.auth0.Users()), "nobody is let in without an answer")
	lacks(t, r.Body, "hcaptcha", site.URL)
	holds(t, w.logLine(r.Header.Get("X-Request-Id"))["error"].(string), "hcaptcha answers 502")
}

func TestBudget(t *testing.T) {
	t.Parallel()
	site := startCaptcha(t)
	w := setup(t, options{noSpare: true, api: site.guard(t, func(c *config) {
		c.admission.Budget = admission.Budget{Minute: 100, Day: 2}
		c.admission.Rate = &catalog.Allowance{Count: 100, Window: time.Hour}
	})})
	send := func(name string, headers ...string) reply {
		return w.call("POST", "/users", newForm(t, map[string]any{"email": name + "@lincoln.example", "captchaToken": "good-" + name}), headers...)
	}
	const repeat = "Idempotency-Key: 0123456789abcdef"
	equal(t, http.StatusCreated, send("ada", repeat).Status)
	equal(t, http.StatusUnprocessableEntity, w.call("POST", "/users", newForm(t, map[string]any{"captchaToken": "bad"})).Status)
	bob := send("bob")
	equal(t, http.StatusCreated, bob.Status, "whoever has not solved the CAPTCHA takes nothing from the others: ", bob.Body)
	equal(t, `"signup";q=100;w=3600`, bob.Header.Get("RateLimit-Policy"), "no caller sees what the budget has left")

	r := send("eve")
	equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
	equal(t, "SIGNUP_BUDGET", r.code(t))
	wait, err := time.ParseDuration(r.Header.Get("Retry-After") + "s")
	check(t, err)
	truth(t, wait > 11*time.Hour && wait <= 12*time.Hour, wait)
	lacks(t, r.Body, "day")
	holds(t, w.call("GET", r.json(t)["type"].(string), "").Body, "SIGNUP_BUDGET")
	equal(t, http.StatusCreated, send("ada", repeat).Status, "a repetition costs nothing")
	code, _, _ := failure(t, w.call("POST", authPath, strings.Replace(john, "{", `{"captchaToken":"good-john",`, 1)))
	equal(t, "SIGNUP_BUDGET", code)
	equal(t, 2, len(w.auth0.Users()))
}
