package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
)

// TestThePageOfAnInvitationIsCountedAsOtherWays: what is wrong costs nothing, a try costs one, and no CAPTCHA is asked for.
func TestThePageOfAnInvitationIsCountedAsOtherWays(t *testing.T) {
	t.Parallel()
	site := startCaptcha(t)
	w := setup(t, options{noSpare: true, api: site.guard(t, func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 1, Window: time.Hour}
	})})
	invited := func(email string) string {
		r := w.call("POST", "/invitations", `{"email":"`+email+`"}`, w.operator("invite:schools"))
		equal(t, http.StatusCreated, r.Status, r.Body)
		return w.signup.InvitationToken(uuid.MustParse(r.json(t)["id"].(string)))
	}
	ada, grace := invited("ada@lincoln.example"), invited("grace@lincoln.example")
	for range 3 {
		r := w.form("/invitation", "token", ada, "password", "short", "schoolName", "Lincoln High")
		equal(t, http.StatusUnprocessableEntity, r.Status, r.Body)
	}
	r := w.form("/invitation", "token", ada, "password", "Chalk-and-Cheese-42", "schoolName", "Lincoln High")
	equal(t, http.StatusCreated, r.Status, r.Body)
	equal(t, `"signup";r=0;t=3600`, r.Header.Get("RateLimit"))
	r = w.form("/invitation", "token", grace, "password", "Chalk-and-Cheese-42", "schoolName", "Riverside High")
	equal(t, http.StatusTooManyRequests, r.Status, r.Body)
	equal(t, 0, len(site.questions()))
}

// TestARepetitionGivesBackWhatItTook from the allowance and from the budget, while they last and once they are used up.
func TestARepetitionGivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) {
		c.admission.Rate = &catalog.Allowance{Count: 3, Window: time.Hour}
		c.admission.Budget.Day = 3
	}})
	const key = "Idempotency-Key: 0123456789abcdef"
	body := form("ada@lincoln.example", "Lincoln High")
	equal(t, http.StatusCreated, w.call("POST", "/users", body, key).Status)
	for range 5 {
		again := w.call("POST", "/users", body, key)
		equal(t, http.StatusCreated, again.Status, again.Body)
		equal(t, `"signup";r=2;t=1200`, again.Header.Get("RateLimit"))
		mismatch := w.call("POST", "/users", form("bob@lincoln.example", "Lincoln High"), key)
		equal(t, "IDEMPOTENCY_MISMATCH", mismatch.code(t))
	}
	for _, email := range []string{"bob@lincoln.example", "eve@lincoln.example"} {
		equal(t, http.StatusCreated, w.call("POST", "/users", form(email, "Lincoln High")).Status)
	}
	equal(t, http.StatusTooManyRequests, w.call("POST", "/users", form("dan@lincoln.example", "Lincoln High")).Status)
	equal(t, http.StatusCreated, w.call("POST", "/users", body, key).Status)
}
