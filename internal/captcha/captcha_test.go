package captcha_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/internal/captcha"
)

const siteSecret = "0x4AAA-Secret"

// site answers as the providers' documents say: a token is good once, and with Turnstile's idempotency key as often as the
// same question is asked.
type site struct {
	*httptest.Server
	mu sync.Mutex
	// asked are the questions, used the tokens that are used up, by the key they were asked with.
	asked []url.Values
	used  map[string]string
	// answer replaces what it says; nil leaves it as it is.
	answer func(w http.ResponseWriter, n int) bool
}

// newSite starts one; answer may be nil.
func newSite(t *testing.T, answer func(w http.ResponseWriter, n int) bool) *site {
	t.Helper()
	s := &site{used: map[string]string{}, answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(s.verify))
	t.Cleanup(s.Close)
	return s
}

func (s *site) verify(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(text))
	if r.Method != http.MethodPost || err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.asked = append(s.asked, form)
	token, key := form.Get("response"), form.Get("idempotency_key")
	usedWith, isUsed := s.used[token]
	refuse := func(code string) {
		_ = json.NewEncoder(w).Encode(map[string]any{"success": false, "error-codes": []string{code}})
	}
	if strings.HasPrefix(token, "good") {
		s.used[token] = key
	}
	switch {
	case s.answer != nil && s.answer(w, len(s.asked)):
	case form.Get("secret") != siteSecret:
		refuse("invalid-input-secret")
	case token == "old":
		refuse("expired-input-response")
	case isUsed && (key == "" || key != usedWith):
		refuse("timeout-or-duplicate")
	case !strings.HasPrefix(token, "good"):
		refuse("invalid-input-response")
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{
			"success": true, "hostname": "app.lincoln.example", "challenge_ts": "2026-11-21T10:00:00Z", "error-codes": []string{},
		})
	}
}

// requests returns the requests that the provider has received.
func (s *site) requests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func verifier(t *testing.T, s *site, change func(*captcha.Config)) *captcha.Verifier {
	t.Helper()
	cfg := captcha.Config{Provider: captcha.HCaptcha, Secret: siteSecret, VerifyURL: s.URL, Timeout: time.Second}
	if change != nil {
		change(&cfg)
	}
	v, err := captcha.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func turnstile(cfg *captcha.Config) { cfg.Provider = captcha.Turnstile }

// want checks an error, and that it gives no secret away.
func want(t *testing.T, err, wanted error, about string) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("%s: got %v, want %v", about, err, wanted)
	}
	if err != nil && (strings.Contains(err.Error(), siteSecret) || strings.Contains(err.Error(), "good-")) {
		t.Fatalf("the error gives away too much: %v", err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, provider := range []captcha.Provider{captcha.Turnstile, captcha.HCaptcha} {
		t.Run(string(provider), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			v := verifier(t, s, func(cfg *captcha.Config) { cfg.Provider = provider })
			ask := func(token string) error {
				return v.Verify(t.Context(), captcha.Request{Token: token, RemoteIP: "198.51.100.7"})
			}
			want(t, ask("good-1"), nil, "a good token")
			if got := s.requests()[0].Get("remoteip"); got != "198.51.100.7" {
				t.Fatalf("remoteip is %q", got)
			}
			if got := s.requests()[0].Has("idempotency_key"); got != (provider == captcha.Turnstile) {
				t.Fatalf("an idempotency key was sent: %v", got)
			}
			want(t, ask("good-1"), captcha.ErrExpired, "a token that was used")
			want(t, ask("old"), captcha.ErrExpired, "a token that is too old")
			want(t, ask("made-up"), captcha.ErrInvalid, "a token that somebody made up")
			before := len(s.requests())
			for _, token := range []string{"", "good 1", "good\n", "gööd", strings.Repeat("g", 8193)} {
				want(t, ask(token), captcha.ErrInvalid, "what is no token")
			}
			if len(s.requests()) != before {
				t.Fatal("the provider was asked about what is no token")
			}
		})
	}
}

func TestRepetition(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, v *captcha.Verifier, key string) error {
		return v.Verify(t.Context(), captcha.Request{Token: "good-1", Key: key})
	}
	t.Run("of the same request may bring the same token to Turnstile", func(t *testing.T) {
		t.Parallel()
		v := verifier(t, newSite(t, nil), turnstile)
		want(t, ask(t, v, "a"), nil, "the first time")
		want(t, ask(t, v, "a"), nil, "the same request")
		want(t, ask(t, v, "b"), captcha.ErrExpired, "another request")
	})
	t.Run("is made by ourselves where the answer was lost, if the provider allows it", func(t *testing.T) {
		t.Parallel()
		lost := func(w http.ResponseWriter, n int) bool {
			if n == 1 {
				panic(http.ErrAbortHandler) // the token is used up all the same
			}
			return false
		}
		want(t, ask(t, verifier(t, newSite(t, lost), turnstile), ""), nil, "Turnstile")
		s := newSite(t, lost)
		want(t, ask(t, verifier(t, s, nil), ""), captcha.ErrUnavailable, "hCaptcha, which would say that the token was used")
		if n := len(s.requests()); n != 1 {
			t.Fatalf("hCaptcha was asked %d times", n)
		}
	})
}

func TestHostnames(t *testing.T) {
	t.Parallel()
	for hosts, wanted := range map[string]error{
		"app.lincoln.example": nil, "x.example,APP.lincoln.example": nil, "lincoln.example": captcha.ErrInvalid, "": nil,
	} {
		v := verifier(t, newSite(t, nil), func(cfg *captcha.Config) {
			if hosts != "" {
				cfg.Hostnames = strings.Split(hosts, ",")
			}
		})
		want(t, v.Verify(t.Context(), captcha.Request{Token: "good-1"}), wanted, hosts)
	}
}

// TestUnclearResponses has the provider answer what is neither yes nor no. Nobody is let in.
func TestUnclearResponses(t *testing.T) {
	t.Parallel()
	say := func(status int, body string) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, _ int) bool {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, int) bool{
		"a page":                   say(200, "<html>"),
		"nothing":                  say(200, ""),
		"an empty object":          say(200, "{}"),
		"yes in words":             say(200, `{"success":"true"}`),
		"yes, but 500":             say(500, `{"success":true}`),
		"yes, but 403":             say(403, `{"success":true}`),
		"yes, further on":          say(302, `{"success":true}`),
		"its own fault":            say(200, `{"success":false,"error-codes":["internal-error"]}`),
		"that we are not its site": say(400, `{"success":false,"error-codes":["invalid-input-secret"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, answer)
			want(t, verifier(t, s, turnstile).Verify(t.Context(), captcha.Request{Token: "good-1"}), captcha.ErrUnavailable, name)
		})
	}
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		asked := make(chan struct{}, 2)
		silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
			<-r.Context().Done()
		}))
		t.Cleanup(silent.Close)
		v := verifier(t, &site{Server: silent}, func(cfg *captcha.Config) { turnstile(cfg); cfg.Timeout = 100 * time.Millisecond })
		want(t, v.Verify(t.Context(), captcha.Request{Token: "good-1"}), captcha.ErrUnavailable, "silence")
		if len(asked) != 1 {
			t.Fatalf("asked %d times within the time for one question", len(asked))
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.Close()
		want(t, verifier(t, s, turnstile).Verify(t.Context(), captcha.Request{Token: "good-1"}), captcha.ErrUnavailable, "nobody")
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := captcha.Config{Provider: captcha.Turnstile, Secret: siteSecret}
	if _, err := captcha.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*captcha.Config){
		"no provider":      func(c *captcha.Config) { c.Provider = "" },
		"another provider": func(c *captcha.Config) { c.Provider = "recaptcha" },
		"no secret":        func(c *captcha.Config) { c.Secret = "" },
		"no address":       func(c *captcha.Config) { c.VerifyURL = "siteverify" },
		"a password in it": func(c *captcha.Config) { c.VerifyURL = "https://a:b@c.example/" },
	} {
		cfg := good
		change(&cfg)
		if _, err := captcha.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
