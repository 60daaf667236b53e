package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"homeroom/internal/flaky"
)

func TestSignUp(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	r := w.call("POST", "/users", `{"email":" Ada@Lincoln.example ","password":"`+password+`","schoolName":"Lincoln High","givenName":"Ada"}`,
		"Content-Type: application/json; charset=UTF-8", "Idempotency-Key: 5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10")
	equal(t, http.StatusCreated, r.Status, r.Body)
	equal(t, "application/json", r.Header.Get("Content-Type"))
	equal(t, "no-store", r.Header.Get("Cache-Control"))
	body := r.json(t)
	equal(t, "/signups/"+body["signupId"].(string), r.Header.Get("Location"))
	user, school := body["user"].(map[string]any), body["school"].(map[string]any)
	equal(t, "ada@lincoln.example", user["email"])
	equal(t, "auth0|"+user["id"].(string), user["identityId"])
	equal(t, "Ada", user["givenName"])
	equal(t, "lincoln-high", school["slug"])
	equal(t, "ready", school["status"])
	truth(t, regexp.MustCompile(`^t_[a-z2-7]{26}$`).MatchString(school["database"].(string)), school)
	equal(t, 3, len(body))
	lacks(t, r.Body, password)

	t.Run("the same request again has the same answer", func(t *testing.T) {
		again := w.call("POST", "/users", `{"email":"ada@lincoln.example","password":"`+password+`","schoolName":"Lincoln High","givenName":"Ada"}`,
			"Idempotency-Key: 5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10")
		equal(t, http.StatusCreated, again.Status)
		equal(t, r.Body, again.Body)
		equal(t, r.Header.Get("Location"), again.Header.Get("Location"))
	})
	t.Run("the same key with another body is refused", func(t *testing.T) {
		other := w.call("POST", "/users", form("bob@lincoln.example", "Lincoln High"), "Idempotency-Key: 5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10")
		equal(t, http.StatusUnprocessableEntity, other.Status)
		equal(t, "IDEMPOTENCY_MISMATCH", other.code(t))
		lacks(t, other.Body, "ada@")
	})
	t.Run("the e-mail again is refused", func(t *testing.T) {
		other := w.call("POST", "/users", form("ADA@lincoln.example", "Another School"))
		equal(t, http.StatusConflict, other.Status)
		equal(t, "EMAIL_EXISTS", other.code(t))
		equal(t, "/problems/email-exists", other.json(t)["type"])
	})
	t.Run("the sign-up can be looked at", func(t *testing.T) {
		view := w.call("GET", r.Header.Get("Location"), "")
		equal(t, http.StatusOK, view.Status)
		equal(t, "ready", view.json(t)["status"])
		equal(t, body["user"], view.json(t)["user"])
		equal(t, body["school"], view.json(t)["school"])
		truth(t, len(view.json(t)["steps"].([]any)) > 0, "no steps")
	})
}

func TestSignUpThatMustBuild(t *testing.T) {
	t.Parallel()
	t.Run("waits for the database", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{noSpare: true})
		r := w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"))
		equal(t, http.StatusCreated, r.Status, r.Body)
	})
	t.Run("goes on by itself when asked to", func(t *testing.T) {
		t.Parallel()
		w := setup(t, options{noSpare: true})
		r := w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), "Prefer: return=minimal, respond-async; wait=5")
		equal(t, http.StatusAccepted, r.Status, r.Body)
		equal(t, "respond-async", r.Header.Get("Preference-Applied"))
		body := r.json(t)
		equal(t, "provisioning", body["status"])
		equal(t, "/signups/"+body["signupId"].(string), r.Header.Get("Location"))
		equal(t, 2, len(body))
		eventually(t, func() bool {
			return w.call("GET", r.Header.Get("Location"), "").json(t)["status"] == "ready"
		})
	})
}

// TestSameKeyAtOnce sends the same request a hundred times at the same moment: it is carried out once.
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	const requests = 100
	replies := make(chan reply, requests)
	for range requests {
		go func() {
			var r reply
			defer func() { replies <- r }()
			r, _ = w.try("POST", "/users", jsonReader(form("ada@lincoln.example", "Lincoln High")), "Idempotency-Key: 0123456789abcdef")
		}()
	}
	made := map[string]int{}
	for range requests {
		r := <-replies
		switch r.Status {
		case http.StatusCreated:
			made[r.Body]++
		case http.StatusConflict:
			equal(t, "IN_PROGRESS", r.code(t), r.Body)
			equal(t, "1", r.Header.Get("Retry-After"))
		default:
			t.Errorf("answer %d: %s", r.Status, r.Body)
		}
	}
	equal(t, 1, len(made), "all that were answered with a school were answered with the same")
	equal(t, 1, len(w.auth0.Users()))
}

func TestRefusedByTheProvider(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	body := func(password string) string {
		text, _ := json.Marshal(map[string]string{"email": "ada@lincoln.example", "password": password, "schoolName": "Lincoln High"})
		return string(text)
	}
	r := w.call("POST", "/users", body("canarycanary"), "Idempotency-Key: 0123456789abcdef")
	equal(t, http.StatusUnprocessableEntity, r.Status, r.Body)
	equal(t, "VALIDATION_ERROR", r.code(t))
	equal(t, "password", r.json(t)["errors"].([]any)[0].(map[string]any)["field"])
	lacks(t, r.Body, "canarycanary")

	r = w.call("POST", "/users", body(password), "Idempotency-Key: 0123456789abcdef")
	equal(t, http.StatusCreated, r.Status, "the key and the e-mail were not given back: ", r.Body)
}

func TestProviderAway(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	w.auth0.Inject(flaky.Fault{Method: "POST", Path: "/api/v2/users", Kind: flaky.StatusBefore, Status: 500, Times: -1})
	r := w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), "Idempotency-Key: 0123456789abcdef")
	equal(t, http.StatusServiceUnavailable, r.Status, r.Body)
	equal(t, "IDENTITY_UNAVAILABLE", r.code(t))
	truth(t, r.Header.Get("Retry-After") != "", "no Retry-After")
	lacks(t, r.Body, "Injected", "the provider's own words stay in the log")

	w.auth0.ClearFaults()
	eventually(t, func() bool {
		r = w.call("POST", "/users", form("ada@lincoln.example", "Lincoln High"), "Idempotency-Key: 0123456789abcdef")
		return r.Status == http.StatusCreated
	}, "the same key does not go on")
}

func TestAvailability(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	free := w.call("GET", "/schools/availability?name=Lincoln%20High", "")
	equal(t, `{"slug":"lincoln-high","available":true}`, strings.TrimSpace(free.Body))
	w.signUp("ada@lincoln.example", "Lincoln High")
	equal(t, `{"slug":"lincoln-high","available":false}`, strings.TrimSpace(w.call("GET", "/schools/availability?name=lincoln-high", "").Body))
	for _, query := range []string{"", "?name=", "?name=x", "?name=a%00b", "?nome=Lincoln", "?name=%ff%fe"} {
		r := w.call("GET", "/schools/availability"+query, "")
		equal(t, http.StatusUnprocessableEntity, r.Status, query, r.Body)
		equal(t, "VALIDATION_ERROR", r.code(t))
	}
}
