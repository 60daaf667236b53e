package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

const authPath = "/api/auth/sign-up"

// john is an account as the documents of such services show it.
const john = `{"email":"user@example.com","password":"securePassword123!","name":"John Doe","organizationName":"Acme Inc"}`

// failure checks the shape of an error, and returns its code, message and details as "field: message".
func failure(t *testing.T, r reply) (code, message string, details []string) {
	t.Helper()
	equal(t, "application/json", r.Header.Get("Content-Type"), r.Body)
	body := r.json(t)
	equal(t, false, body["success"], r.Body)
	equal(t, 2, len(body), r.Body)
	e := body["error"].(map[string]any)
	list, _ := e["details"].([]any)
	truth(t, len(e) == 2 || len(e) == 3 && len(list) > 0, r.Body)
	for _, entry := range list {
		d := entry.(map[string]any)
		equal(t, 2, len(d), r.Body)
		details = append(details, fmt.Sprint(d["field"], ": ", d["message"]))
	}
	return e["code"].(string), e["message"].(string), details
}

func TestAuthSignUp(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	const repeat = "Idempotency-Key: 0123456789abcdef"
	r := w.call("POST", authPath, john, repeat)
	equal(t, http.StatusCreated, r.Status, r.Body)
	body := r.json(t)
	equal(t, true, body["success"])
	equal(t, "Account created successfully", body["message"])
	equal(t, 3, len(body))
	data := body["data"].(map[string]any)
	equal(t, 2, len(data), "no session unless that is asked for")
	user, organization := data["user"].(map[string]any), data["organization"].(map[string]any)
	truth(t, strings.HasPrefix(user["id"].(string), "usr_") && strings.HasPrefix(organization["id"].(string), "org_"), r.Body)
	equal(t, "user@example.com", user["email"])
	equal(t, "John Doe", user["name"])
	equal(t, false, user["emailVerified"])
	at, err := time.Parse(time.RFC3339, user["createdAt"].(string))
	check(t, err)
	truth(t, time.Since(at) < time.Minute && strings.HasSuffix(user["createdAt"].(string), "Z"), user)
	equal(t, 5, len(user))
	equal(t, map[string]any{"id": organization["id"], "name": "Acme Inc", "slug": "acme-inc"}, organization)
	lacks(t, r.Body, "securePassword")

	view := w.call("GET", r.Header.Get("Location"), "").json(t)
	equal(t, "usr_"+view["user"].(map[string]any)["id"].(string), user["id"])
	equal(t, "org_"+view["school"].(map[string]any)["id"].(string), organization["id"])

	t.Run("the same request again has the same answer", func(t *testing.T) {
		again := w.call("POST", authPath, john, repeat)
		equal(t, http.StatusCreated, again.Status)
		equal(t, r.Body, again.Body)
		equal(t, 1, len(w.auth0.Users()))
	})
	t.Run("the e-mail again", func(t *testing.T) {
		again := w.call("POST", authPath, john)
		equal(t, http.StatusConflict, again.Status)
		equal(t, `{"success":false,"error":{"code":"EMAIL_EXISTS","message":"An account with this email already exists"}}`, strings.TrimSpace(again.Body))
	})
	t.Run("the key for another request", func(t *testing.T) {
		other := w.call("POST", authPath, strings.Replace(john, "John", "Jane", 1), repeat)
		equal(t, http.StatusUnprocessableEntity, other.Status)
		code, _, _ := failure(t, other)
		equal(t, "IDEMPOTENCY_MISMATCH", code)
	})
}

func TestAuthSignUpNamesTheSchool(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	r := w.call("POST", authPath, `{"email":"user@example.com","password":"securePassword123!","name":" John Doe "}`)
	equal(t, http.StatusCreated, r.Status, r.Body)
	organization := r.json(t)["data"].(map[string]any)["organization"].(map[string]any)
	equal(t, "John Doe's school", organization["name"], "every sign-up makes a school")

	long := strings.Repeat("學", 100)
	r = w.call("POST", authPath, `{"email":"long@example.com","password":"securePassword123!","name":"`+long+`"}`)
	equal(t, http.StatusCreated, r.Status, r.Body)
	data := r.json(t)["data"].(map[string]any)
	equal(t, long, data["user"].(map[string]any)["name"])
	equal(t, long[:91*3]+"'s school", data["organization"].(map[string]any)["name"])
}

func TestAuthSignUpRefusals(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	account := func(password string) string {
		text, _ := json.Marshal(map[string]string{"email": "user@example.com", "password": password, "name": "John Doe"})
		return string(text)
	}
	const (
		short   = "password: Password must be at least 8 characters"
		upper   = "password: Password must contain at least one uppercase letter"
		number  = "password: Password must contain at least one number"
		special = "password: Password must contain at least one special character"
	)
	cases := []struct {
		name, body string
		details    []string
	}{
		{"no upper-case letter", account("securepassword123!"), []string{upper}},
		{"no digit", account("securePassword!"), []string{number}},
		{"no special character", account("securePassword123"), []string{special}},
		{"a space is nothing special", account("secure Password123"), []string{special}},
		{"every rule", account("ab"), []string{short, upper, number, special}},
		{"letters of other scripts", account("ÄÖÜ1!ß"), []string{short}},
		{"too long", account("P1!" + strings.Repeat("a", 70)), []string{"password: Use at most 72 bytes; longer passwords would be cut."}},
		{"nothing", `{}`, []string{"email: Enter your e-mail address.", "password: Password is required", "name: Name is required"}},
		{
			"wrong types and strangers", `{"email":1,"password":true,"name":[],"organizationName":{},"role":"admin","schoolName":"x"}`,
			[]string{
				"email: Use a string.", "password: Use a string.", "name: Use a string.", "organizationName: Use a string.",
				"role: There is no such field.", "schoolName: There is no such field.",
			},
		},
		{"short names", `{"email":"user@example.com","password":"securePassword123!","name":"J","organizationName":"A"}`, []string{
			"organizationName: Use at least 2 characters.", "name: Use at least 2 characters.",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.call("POST", authPath, c.body)
			equal(t, http.StatusUnprocessableEntity, r.Status, r.Body)
			code, message, details := failure(t, r)
			equal(t, "VALIDATION_ERROR", code)
			equal(t, "Invalid input data", message)
			slices.Sort(details)
			slices.Sort(c.details)
			equal(t, c.details, details)
			lacks(t, r.Body, "securePassword")
		})
	}
	for _, c := range []struct {
		name, body, header string
		status             int
		code               string
	}{
		{"no JSON", `{"email"`, "X-A: b", 400, "MALFORMED_REQUEST"},
		{"a list", `[]`, "X-A: b", 400, "MALFORMED_REQUEST"},
		{"a member twice", `{"email":"a","email":"b"}`, "X-A: b", 400, "MALFORMED_REQUEST"},
		{"a form", `email=a`, "Content-Type: application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"too large", `{"name":"` + strings.Repeat("a", 16<<10) + `"}`, "X-A: b", 413, "TOO_LARGE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.call("POST", authPath, c.body, c.header)
			equal(t, c.status, r.Status, r.Body)
			code, message, _ := failure(t, r)
			equal(t, c.code, code)
			truth(t, message != "", r.Body)
		})
	}
	t.Run("another method", func(t *testing.T) {
		r := w.call("GET", authPath, "")
		equal(t, 405, r.Status)
		code, _, _ := failure(t, r)
		equal(t, "METHOD_NOT_ALLOWED", code)
	})
	t.Run("in the person's language", func(t *testing.T) {
		r := w.call("POST", authPath, account("ab1!"), "Accept-Language: de-CH, en;q=0.5")
		code, message, details := failure(t, r)
		equal(t, "VALIDATION_ERROR", code)
		equal(t, "Ungültige Eingaben", message)
		truth(t, len(details) == 2 && strings.HasPrefix(details[0], "password: Das Passwort"), details)
		equal(t, "de", r.Header.Get("Content-Language"))
	})
	equal(t, 0, len(w.auth0.Users()))
}

func TestAuthSignUpWhenThingsAreAway(t *testing.T) {
	t.Parallel()
	t.Run("the provider", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{})
		w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.StatusBefore, Status: 500, Times: -1})
		r := w.call("POST", authPath, john)
		equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
		code, _, _ := failure(t, r)
		equal(t, "IDENTITY_UNAVAILABLE", code)
		truth(t, r.Header.Get("Retry-After") != "")
	})
	t.Run("the provider's own rules", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{})
		r := w.call("POST", authPath, strings.Replace(john, "securePassword123!", "Passwörter1", 1))
		truth(t, r.Status == 422 || r.Status == 201, r.Body)
	})
	t.Run("the registry", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{noSpare: true})
		w.catalog.Close()
		r := w.call("POST", authPath, john)
		equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
		code, _, _ := failure(t, r)
		equal(t, "CATALOG_UNAVAILABLE", code)
	})
	t.Run("whoever may sign up", func(t *testing.T) {
		t.Parallel()
		for mode, want := range map[signup.Mode]string{signup.Closed: "SIGNUP_CLOSED", signup.ByInvitation: "INVITATION_REQUIRED"} {
			w := setup(t, options{noSpare: true, signup: func(c *signup.Config) { c.Mode = mode }})
			r := w.call("POST", authPath, john)
			equal(t, http.StatusForbidden, r.Status, r.Body)
			code, _, _ := failure(t, r)
			equal(t, want, code)
			r = w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"))
			equal(t, http.StatusForbidden, r.Status, r.Body)
			equal(t, want, r.code(t))
		}
	})
}

// TestAuthSignUpThatWaits knows the answer that the documents of such services do not.
func TestAuthSignUpThatWaits(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, signup: func(c *signup.Config) { c.Mode = signup.WithApproval }})
	r := w.call("POST", authPath, john)
	equal(t, http.StatusAccepted, r.Status, r.Body)
	body := r.json(t)
	equal(t, true, body["success"])
	equal(t, "Account awaits approval", body["message"])
	found := body["data"].(map[string]any)["signup"].(map[string]any)
	equal(t, "awaiting_approval", found["status"])
	equal(t, "/signups/"+found["id"].(string), r.Header.Get("Location"))
	equal(t, "awaiting_approval", w.call("GET", r.Header.Get("Location"), "").json(t)["status"])
}

func TestAuthSignUpRate(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour}
	}})
	equal(t, http.StatusUnprocessableEntity, w.call("POST", authPath, `{}`).Status, "a mistake costs nothing")
	w.signUp("ada@lincoln.example", "Lincoln High")
	r := w.call("POST", authPath, john)
	equal(t, http.StatusTooManyRequests, r.Status, "the allowance is shared with POST /users")
	code, _, _ := failure(t, r)
	equal(t, "RATE_LIMITED", code)
	truth(t, r.Header.Get("Retry-After") != "")
	equal(t, `"signup";q=1;w=3600`, r.Header.Get("RateLimit-Policy"))
}

// withSessions logs people in at the simulator.
func withSessions(t *testing.T, change func(*auth0.Config)) func(*config) {
	return func(c *config) {
		cfg := auth0.Config{
			BaseURL: strings.TrimSuffix(c.Issuer, "/"), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret", Audience: c.Audience,
			Timeout: 2 * time.Second, Logger: c.Logger,
		}
		if change != nil {
			change(&cfg)
		}
		client, err := auth0.New(cfg)
		check(t, err)
		c.Sessions = client
	}
}

// events are those of a type that nobody has handed on.
func (w *world) events(kind string) []catalog.OutboxEvent {
	w.t.Helper()
	var found []catalog.OutboxEvent
	_, err := w.catalog.RelayEvents(w.t.Context(), 100, func(_ pgx.Tx, events []catalog.OutboxEvent) error {
		for _, event := range events {
			if event.Type == kind {
				found = append(found, event)
			}
		}
		return nil
	})
	check(w.t, err)
	return found
}

func TestAuthSignUpOpensASession(t *testing.T) {
	t.Parallel()
	t.Run("that is good here", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{api: withSessions(t, nil)})
		r := w.call("POST", authPath, john)
		equal(t, http.StatusCreated, r.Status, r.Body)
		data := r.json(t)["data"].(map[string]any)
		session := data["session"].(map[string]any)
		equal(t, 2, len(session))
		until, err := time.Parse(time.RFC3339, session["expiresAt"].(string))
		check(t, err)
		truth(t, time.Until(until) > time.Minute, session["expiresAt"])
		me := w.call("GET", "/me", "", "Authorization: Bearer "+session["token"].(string))
		equal(t, http.StatusOK, me.Status, me.Body)
		equal(t, "acme-inc", me.json(t)["school"].(map[string]any)["slug"])
		lacks(t, w.log.String(), session["token"].(string), "securePassword")

		events := w.events(catalog.SessionCreated)
		equal(t, 1, len(events))
		var told map[string]string
		check(t, json.Unmarshal(events[0].Data, &told))
		equal(t, data["user"].(map[string]any)["id"], "usr_"+told["userId"])
		equal(t, 1, len(told))
		equal(t, data["organization"].(map[string]any)["id"], "org_"+events[0].TenantID.String())
	})
	t.Run("or goes without", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{api: withSessions(t, func(c *auth0.Config) { c.ClientSecret = "another" })})
		r := w.call("POST", authPath, john)
		equal(t, http.StatusCreated, r.Status, "the account is there all the same: ", r.Body)
		equal(t, nil, r.json(t)["data"].(map[string]any)["session"])
		holds(t, w.log.String(), "cannot log a person in after a sign-up")
		equal(t, 0, len(w.events(catalog.SessionCreated)))
	})
	t.Run("not with another password", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{api: withSessions(t, nil)})
		equal(t, http.StatusCreated, w.call("POST", authPath, john, "Idempotency-Key: 0123456789abcdef").Status)
		r := w.call("POST", authPath, strings.Replace(john, "123!", "124!", 1), "Idempotency-Key: 0123456789abcdef")
		equal(t, http.StatusCreated, r.Status, "a repetition is known without the password: ", r.Body)
		equal(t, nil, r.json(t)["data"].(map[string]any)["session"])
	})
}
