package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/hosted"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// The e-mail's owner owns the account: whoever knows an address and signs up first must not get into what its owner confirms.

const (
	strangers secret.String = "Stranger-Horse-1"
	owners    secret.String = "Owner-Horse-22"
)

// opens reports whether a password opens the account of an address at the identity provider.
func (w *world) opens(email string, password secret.String) bool {
	w.t.Helper()
	cfg := w.auth0.Config()
	client, err := auth0.New(auth0.Config{
		BaseURL: w.auth0.URL(), ClientID: cfg.ClientID, ClientSecret: secret.String(cfg.ClientSecret), Audience: cfg.Audience,
	})
	check(w.t, err)
	_, err = client.OpenSession(w.t.Context(), email, password, "")
	return err == nil
}

// signsUp begins a sign-up that waits until its e-mail is confirmed, and returns its id.
func (w *world) signsUp(path, body string, headers ...string) uuid.UUID {
	w.t.Helper()
	r := w.call("POST", path, body, headers...)
	equal(w.t, http.StatusAccepted, r.Status, r.Body)
	return uuid.MustParse(strings.TrimPrefix(r.Header.Get("Location"), "/signups/"))
}

func newcomer(school string, password secret.String) string {
	return `{"email":"ada@lincoln.example","password":"` + password.Reveal() + `","schoolName":"` + school + `"}`
}

var gates = map[string]func(*signup.Config){
	"verified":           func(c *signup.Config) { c.VerifyFirst = true },
	"verified, approved": func(c *signup.Config) { c.VerifyFirst, c.Mode = true, signup.WithApproval },
	"concealed":          func(c *signup.Config) { c.VerifyFirst, c.HideAccounts = true, true },
}

func TestOnlyThePasswordOfWhoReadsTheMailOpensTheAccount(t *testing.T) {
	t.Parallel()
	for name, gate := range gates {
		for _, way := range []string{"/users", "/api/auth/sign-up"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				w := setup(t, options{signup: gate})
				body := newcomer
				if way != "/users" {
					body = func(school string, password secret.String) string {
						return strings.Replace(newcomer(school, password), `"schoolName"`, `"name":"Ada Lovelace","organizationName"`, 1)
					}
				}
				stranger := w.signsUp(way, body("Attackers School", strangers))
				owner := w.signsUp(way, body("Victims School", owners))
				truth(t, stranger != owner, "both have one sign-up")
				again := w.signsUp(way, body("Victims School", "Typed-Again-33"))
				equal(t, 0, len(w.auth0.Users()), "a login before the e-mail is confirmed")

				link := w.signup.ActivationToken(owner)
				page := w.call("GET", "/activate?token="+link, "")
				holds(t, page.Body, "Victims School", `type="password"`, "ada@lincoln.example")
				lacks(t, page.Body, "Attackers School")
				r := w.form("/activate", "token", link)
				equal(t, http.StatusUnprocessableEntity, r.Status, "without a password: ", r.Body)
				r = w.form("/activate", "token", link, "password", owners.Reveal())
				equal(t, http.StatusOK, r.Status, r.Body)
				truth(t, w.opens("ada@lincoln.example", owners), "the owner's password opens nothing")
				truth(t, !w.opens("ada@lincoln.example", strangers), "the stranger's password opens the account")
				truth(t, !w.opens("ada@lincoln.example", "Typed-Again-33"), "a password that was typed before opens the account")

				for _, other := range []uuid.UUID{stranger, again} {
					r = w.form("/activate", "token", w.signup.ActivationToken(other), "password", strangers.Reveal())
					equal(t, http.StatusConflict, r.Status, r.Body)
				}
				r = w.form("/activate", "token", link, "password", strangers.Reveal())
				equal(t, http.StatusOK, r.Status, "the same link again: ", r.Body)
				truth(t, !w.opens("ada@lincoln.example", strangers), "a later sign-up has changed the password")
				equal(t, 1, len(w.auth0.Users()))
				truth(t, w.auth0.Users()[0].EmailVerified, "the provider does not know that the e-mail is confirmed")
				equal(t, "awaiting_verification", w.call("GET", "/signups/"+stranger.String(), "").json(t)["status"],
					"the stranger sees that somebody else has confirmed")
			})
		}
	}
}

func TestALookAtAConfirmationAsksTheProviderNothing(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: gates["concealed"]})
	id := w.signsUp("/users", newcomer("Lincoln High", owners))
	before := len(w.auth0.Calls())
	for range 5 {
		equal(t, http.StatusOK, w.call("GET", "/activate?token="+w.signup.ActivationToken(id), "").Status)
	}
	equal(t, before, len(w.auth0.Calls()))
}

// TestALoginThatSomebodyElseMadeIsNotTheOwners: a stranger has made a login with the owner's address at the provider.
func TestALoginThatSomebodyElseMadeIsNotTheOwners(t *testing.T) {
	t.Parallel()
	for name, gate := range gates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{signup: gate})
			theirs := "auth0|" + uuid.NewString()
			check(t, w.auth0.Seed(auth0test.User{ID: theirs, Email: "ada@lincoln.example"}))
			id := w.signsUp("/schools", `{"schoolName":"Attackers School"}`, w.as(theirs))
			link := w.signup.ActivationToken(id)
			page := w.call("GET", "/activate?token="+link, "")
			holds(t, page.Body, "Attackers School")
			lacks(t, page.Body, "<button", `type="password"`)

			r := w.form("/activate", "token", link, "password", owners.Reveal())
			equal(t, http.StatusForbidden, r.Status, r.Body)
			mine := "auth0|" + uuid.NewString()
			check(t, w.auth0.Seed(auth0test.User{ID: mine, Email: "bob@lincoln.example", EmailVerified: true}))
			r = w.call("POST", "/schools/confirm", `{"token":"`+link+`"}`, w.as(mine))
			equal(t, http.StatusForbidden, r.Status, "with another login: ", r.Body)
			user, _ := w.auth0.User(theirs)
			truth(t, !user.EmailVerified && user.AppMetadata["signup_id"] == nil, "the stranger's login was touched: ", user)
			equal(t, "awaiting_verification", w.call("GET", "/signups/"+id.String(), "").json(t)["status"])

			// A sign-up of the owner's own finds the address taken at the provider, and says so; it takes nothing on.
			own := w.signsUp("/users", newcomer("Victims School", owners))
			r = w.form("/activate", "token", w.signup.ActivationToken(own), "password", owners.Reveal())
			equal(t, http.StatusConflict, r.Status, r.Body)
			holds(t, r.Body, "reset its password")
		})
	}
}

func TestWhoHasBothTheMailAndTheLoginConfirms(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: gates["verified"]})
	id := "auth0|" + uuid.NewString()
	check(t, w.auth0.Seed(auth0test.User{ID: id, Email: "ada@lincoln.example"}))
	made := w.signsUp("/schools", `{"schoolName":"Lincoln High"}`, w.as(id))
	equal(t, made, w.signsUp("/schools", `{"schoolName":"Lincoln High"}`, w.as(id)), "a second sign-up of one login")
	body := `{"token":"` + w.signup.ActivationToken(made) + `"}`
	equal(t, http.StatusUnauthorized, w.call("POST", "/schools/confirm", body).Status)
	equal(t, http.StatusUnprocessableEntity, w.call("POST", "/schools/confirm", `{"tokn":"x"}`, w.as(id)).Status)
	equal(t, http.StatusGone, w.call("POST", "/schools/confirm", `{"token":"x"}`, w.as(id)).Status)
	for range 2 {
		r := w.call("POST", "/schools/confirm", body, w.as(id))
		equal(t, http.StatusCreated, r.Status, r.Body)
		equal(t, id, r.json(t)["user"].(map[string]any)["identityId"])
	}
	user, _ := w.auth0.User(id)
	truth(t, user.EmailVerified, "the provider was not told")
}

func TestAHostedSignUpIsConfirmedWithItsLogin(t *testing.T) {
	t.Parallel()
	v := setupHosted(t, options{signup: gates["verified"]}, func(c *hosted.Config) { c.ReturnURLs = nil })
	page := v.register("school_name=Lincoln+High", "ada@lincoln.example")
	wantPage(t, page, http.StatusOK, "Please confirm your e-mail address")
	id := uuid.MustParse(page.URL.Path[strings.LastIndex(page.URL.Path, "/")+1:])
	page = v.browser.Submit(page, "Send the mail again", nil)
	wantPage(t, page, http.StatusOK, "Please confirm your e-mail address")

	link := front + "/activate?token=" + v.signup.ActivationToken(id)
	stranger := v.newBrowser()
	page = stranger.Get(stranger.Get(link).Link(t, "Log in to confirm"))
	page = stranger.Submit(page, "Continue", map[string]string{"email": "ada@lincoln.example", "password": "Not-the-right-1"})
	truth(t, page.Heading() != "Thank you", "confirmed without the login")

	page = v.browser.Get(link)
	wantPage(t, page, http.StatusOK, "Confirm your e-mail address")
	page = v.browser.Get(page.Link(t, "Log in to confirm"))
	page = v.browser.Submit(page, "Continue", map[string]string{"email": "ada@lincoln.example", "password": password})
	wantPage(t, page, http.StatusOK, "Thank you")
	equal(t, "ready", v.call("GET", "/signups/"+id.String(), "").json(t)["status"])
	again := v.browser.Get(page.URL.String()) // loaded again
	wantPage(t, again, http.StatusOK, "Lincoln High is ready")

	t.Run("and a wrong link is gone", func(t *testing.T) {
		page := v.browser.Get(front + "/register?" + url.Values{"confirm": {"x"}}.Encode())
		wantPage(t, page, http.StatusGone, "This link has expired")
	})
}

func TestWhoHasConfirmedNothingInvitesNobody(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	invite := func() reply {
		return w.call("POST", "/tenants/"+made.School.Slug+"/invitations", `{"email":"grace@lincoln.example"}`, w.as(made.User.IdentityID))
	}
	r := invite()
	equal(t, http.StatusForbidden, r.Status, r.Body)
	holds(t, r.Body, "Confirm your own e-mail address first")
	w.prove(made.User.IdentityID)
	equal(t, http.StatusCreated, invite().Status)
	w.auth0.DeleteAll()
	equal(t, http.StatusCreated, invite().Status, "it is not remembered")
}

// prove marks the e-mail of a login as verified at the provider.
func (w *world) prove(login string) {
	w.t.Helper()
	cfg := w.auth0.Config()
	client, err := auth0.New(auth0.Config{BaseURL: w.auth0.URL(), ClientID: cfg.ClientID, ClientSecret: secret.String(cfg.ClientSecret)})
	check(w.t, err)
	check(w.t, identity.Verifier(client).Verify(w.t.Context(), login))
}

// TestARepetitionWithAnotherPasswordSaysThatItIsOne: the first password stays, and nobody is told otherwise.
func TestARepetitionWithAnotherPasswordSaysThatItIsOne(t *testing.T) {
	t.Parallel()
	for name, gate := range map[string]func(*signup.Config){"created": func(*signup.Config) {}, "verified": gates["verified"]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, options{signup: gate})
			key := "Idempotency-Key: 5f0c6f0e-5d4b-4f57-9a43-7d1c4f6a2b10"
			first := w.call("POST", "/users", newcomer("Lincoln High", owners), key)
			equal(t, "", first.Header.Get("Idempotent-Replayed"))
			again := w.call("POST", "/users", newcomer("Lincoln High", "Typed-Again-33"), key)
			equal(t, first.Status, again.Status, again.Body)
			equal(t, first.Body, again.Body)
			equal(t, "true", again.Header.Get("Idempotent-Replayed"))
			truth(t, !w.opens("ada@lincoln.example", "Typed-Again-33"), "the second password opens the account")
			if name == "verified" {
				holds(t, again.Body, "asks for the password", "not kept")
			}
		})
	}
}

// TestTheMailMayBeAskedForAgain tells nobody by its answer whether the address has an account, and writes the same either way.
func TestTheMailMayBeAskedForAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: gates["concealed"]})
	owner := w.signsUp("/users", newcomer("Lincoln High", owners))
	equal(t, http.StatusOK, w.form("/activate", "token", w.signup.ActivationToken(owner), "password", owners.Reveal()).Status)
	known := w.signsUp("/users", newcomer("Attackers School", strangers))
	fresh := w.signsUp("/users", strings.Replace(newcomer("Lincoln High", owners), "ada@", "bob@", 1))
	for range 3 {
		for _, id := range []uuid.UUID{known, fresh} {
			equal(t, http.StatusAccepted, w.call("POST", "/signups/"+id.String()+"/verification-email", "").Status)
		}
	}
	for _, id := range []uuid.UUID{known, fresh} {
		equal(t, http.StatusTooManyRequests, w.call("POST", "/signups/"+id.String()+"/verification-email", "").Status)
		var told int
		check(t, w.catalog.Pool().QueryRow(t.Context(), "select count(*) from outbox_events where signup_id = $1", id).Scan(&told))
		equal(t, 4, told)
	}
	var kinds int
	check(t, w.catalog.Pool().QueryRow(t.Context(),
		"select count(*) from outbox_events where signup_id = $1 and type = 'signup.repeated'", known).Scan(&kinds))
	equal(t, 4, kinds, "a link was sent for an address that has an account")
}
