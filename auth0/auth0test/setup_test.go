package auth0test_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

// tenant is a simulator with the test's client.
type tenant struct {
	*auth0test.Server
	t     *testing.T
	token string
}

func setup(t *testing.T, cfg auth0test.Config) *tenant {
	t.Helper()
	tn := &tenant{Server: auth0test.Start(t, cfg), t: t}
	tn.token = tn.managementToken(time.Hour)
	return tn
}

// managementToken is a token with all scopes, issued without a call.
func (tn *tenant) managementToken(life time.Duration) string {
	cfg := tn.Config()
	return tn.IssueToken(auth0test.TokenRequest{
		Subject: cfg.ClientID + "@clients", Audience: []string{cfg.ManagementAudience},
		Scope: strings.Join(cfg.Scopes, " "), ExpiresIn: life,
	})
}

// reply is an answer whose body was read.
type reply struct {
	Status int
	Header http.Header
	Raw    string
	Body   map[string]any
	List   []map[string]any
}

func (tn *tenant) do(req *http.Request) (reply, error) {
	tn.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	rep := reply{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	if bytes.HasPrefix(raw, []byte("[")) {
		err = json.Unmarshal(raw, &rep.List)
	} else if bytes.HasPrefix(raw, []byte("{")) {
		err = json.Unmarshal(raw, &rep.Body)
	}
	return rep, err
}

// request builds a call of the Management API; body is JSON, or empty.
func (tn *tenant) request(method, path, body string) *http.Request {
	tn.t.Helper()
	req, err := http.NewRequestWithContext(tn.t.Context(), method, tn.URL()+path, strings.NewReader(body))
	if err != nil {
		tn.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tn.token)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (tn *tenant) call(method, path, body string) reply {
	tn.t.Helper()
	rep, err := tn.do(tn.request(method, path, body))
	if err != nil {
		tn.t.Fatalf("%s %s: %v", method, path, err)
	}
	return rep
}

// create sends a create of an e-mail with a valid password; more contains further members, such as `,"name":"x"`.
func (tn *tenant) create(email, more string) reply {
	tn.t.Helper()
	return tn.call("POST", "/api/v2/users",
		`{"connection":"`+auth0test.DefaultConnection+`","email":"`+email+`","password":"Correct-h0rse"`+more+`}`)
}

// mustCreate returns the new user's id.
func (tn *tenant) mustCreate(email, more string) string {
	tn.t.Helper()
	rep := tn.create(email, more)
	if rep.Status != http.StatusCreated {
		tn.t.Fatalf("create %s: %d %s", email, rep.Status, rep.Raw)
	}
	return rep.Body["user_id"].(string)
}

func userPath(id string) string { return "/api/v2/users/" + url.PathEscape(id) }

// wantError compares an error of the Management API member by member; an empty code must be absent.
func wantError(t *testing.T, rep reply, status int, code, message string) {
	t.Helper()
	if rep.Status != status {
		t.Fatalf("status %d, want %d: %s", rep.Status, status, rep.Raw)
	}
	if rep.Body["statusCode"] != float64(status) || rep.Body["error"] != http.StatusText(status) {
		t.Errorf("statusCode and error are %v, %v", rep.Body["statusCode"], rep.Body["error"])
	}
	if got, ok := rep.Body["errorCode"]; (code == "" && ok) || (code != "" && got != code) {
		t.Errorf("errorCode is %v, want %q", got, code)
	}
	if rep.Body["message"] != message {
		t.Errorf("message is %q\nwant %q", rep.Body["message"], message)
	}
	if status != http.StatusTooManyRequests && rep.Header.Get("X-Ratelimit-Limit") != "" {
		t.Error("a refusal carries rate-limit headers")
	}
}

// clock is a time that the test advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
