package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/signup"
)

// lookups is how often the identity provider was asked for a login.
func (w *world) lookups() int { return w.auth0.CountCalls("GET", "/api/v2/users") }

// rateRows is how many allowances are counted.
func (w *world) rateRows() (n int) {
	w.t.Helper()
	check(w.t, w.catalog.Pool().QueryRow(w.t.Context(), `select count(*) from rate_limits`).Scan(&n))
	return n
}

// TestTheIdentityProviderIsAskedLast: its own limit is what all sign-ups share.
func TestTheIdentityProviderIsAskedLast(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.admission.Rate = &catalog.Allowance{Count: 3, Window: time.Hour} }})
	id := "auth0|" + uuid.NewString()
	check(t, w.auth0.Seed(auth0test.User{ID: id, Email: "ada@lincoln.example", EmailVerified: true}))
	for range 20 {
		equal(t, 422, w.call("POST", "/schools", `{}`, w.as(id)).Status)
		r := w.call("POST", "/schools", `{"schoolName":"x","givenName":"\u202e","y":1}`, w.as(id))
		equal(t, []string{"y unknown_field", "schoolName too_short", "givenName invalid_characters"}, fieldCodes(t, r))
		equal(t, 422, w.call("POST", "/invitations/accept", `{}`, w.as(id)).Status)
		equal(t, 422, w.call("POST", "/schools", `{"schoolName":"Lincoln"}`, w.as(id), "Idempotency-Key: short").Status)
	}
	equal(t, 0, w.lookups(), "what is wrong costs no call")
	last := 0
	for range 20 {
		last = w.call("POST", "/invitations/accept", `{"invitation":"`+strings.Repeat("A", 43)+`"}`, w.as(id)).Status
	}
	equal(t, 429, last)
	equal(t, 1, w.lookups(), "a login is not asked for again within seconds")
}

// TestALoginHasAnAllowance from however many addresses its requests come, and whatever keys they repeat.
func TestALoginHasAnAllowance(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	statuses := map[int]int{}
	stranger := w.as("auth0|" + uuid.NewString()) // an answer that it is not there is not kept
	for range 20 {
		statuses[w.call("POST", "/schools", `{"schoolName":"Lincoln High"}`, stranger).Status]++
	}
	equal(t, map[int]int{403: 10, 429: 10}, statuses)
	equal(t, 10, w.lookups())
	r := w.call("POST", "/schools", `{"schoolName":"Lincoln High"}`, stranger)
	holds(t, r.Body, "RATE_LIMITED", "Too many requests with this login.")
	truth(t, r.Header.Get("Retry-After") != "")
	equal(t, 403, w.call("POST", "/schools", `{"schoolName":"Lincoln High"}`, w.as("auth0|"+uuid.NewString())).Status, "another login has its own")
}

// TestAskingForAMailThatNobodyWaitsForLeavesNothing: there are as many ids as anybody likes to make up.
func TestAskingForAMailThatNobodyWaitsForLeavesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t, options{
		noSpare: true, signup: func(c *signup.Config) { c.VerifyFirst = true },
		api: func(c *config) { c.admission.Rate = &catalog.Allowance{Count: 100, Window: time.Hour} },
	})
	for range 50 {
		equal(t, 404, w.call("POST", "/signups/"+uuid.NewString()+"/verification-email", "").Status)
	}
	equal(t, 0, w.rateRows())
	sent := 0
	for range 12 {
		location := w.call("POST", "/users", form(uuid.NewString()+"@lincoln.example", "Lincoln High")).Header.Get("Location")
		for range 3 {
			if w.call("POST", location+"/verification-email", "").Status == 202 {
				sent++
			}
		}
	}
	equal(t, 30, sent, "one client address may ask for thirty")
}

// TestAnInvitedAddressIsOneInEverySpelling: three mails an hour are three, however the address is written.
func TestAnInvitedAddressIsOneInEverySpelling(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	w.prove(made.User.IdentityID)
	for path, who := range map[string]string{
		"/tenants/" + made.School.Slug + "/invitations": w.as(made.User.IdentityID),
		"/invitations": w.operator("invite:schools"),
	} {
		invite := func(email string) int {
			return w.call("POST", path, `{"email":"`+email+`"}`, who).Status
		}
		for _, email := range []string{"mia@bücher.example", "MIA@xn--bcher-kva.example", "mia+1@bücher.example"} {
			equal(t, 201, invite(email), path, email)
		}
		for _, email := range []string{"mia@bücher.example", " mia@xn--bcher-kva.example", "mia+1+2@xn--bcher-kva.example"} {
			equal(t, 429, invite(email), path, email)
		}
		for range 5 {
			equal(t, 422, invite("nobody"), path)
		}
		equal(t, 201, invite("bob@lincoln.example"), path)
	}
}
