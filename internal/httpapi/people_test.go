package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/signup"
)

// operator is the header with a token that has these permissions.
func (w *world) operator(permissions ...string) string {
	return "Authorization: Bearer " + w.auth0.IssueToken(auth0test.TokenRequest{Permissions: permissions})
}

// form posts a form of a page.
func (w *world) form(path string, fields ...string) reply {
	w.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return w.call("POST", path, values.Encode(), "Content-Type: application/x-www-form-urlencoded")
}

func TestALoginThatExistsSignsASchoolUp(t *testing.T) {
	t.Parallel()
	w := setup(t, options{})
	id := "auth0|" + uuid.NewString()
	check(t, w.auth0.Seed(auth0test.User{ID: id, Email: "ada@lincoln.example", EmailVerified: true}))
	r := w.call("POST", "/schools", `{"schoolName":"Lincoln High"}`, w.as(id))
	equal(t, 201, r.Status, r.Body)
	user := r.json(t)["user"].(map[string]any)
	equal(t, id, user["identityId"])
	equal(t, "ada@lincoln.example", user["email"])
	equal(t, 200, w.call("GET", "/me", "", w.as(id)).Status)

	t.Run("once", func(t *testing.T) {
		r := w.call("POST", "/schools", `{"schoolName":"Another"}`, w.as(id))
		equal(t, 409, r.Status, r.Body)
		equal(t, "SCHOOL_EXISTS", r.code(t))
	})
	t.Run("with a person's token only", func(t *testing.T) {
		equal(t, 401, w.call("POST", "/schools", `{"schoolName":"Another"}`).Status)
		r := w.call("POST", "/schools", `{"schoolName":"Another"}`, w.as("machine@clients"))
		equal(t, 403, r.Status, r.Body)
		r = w.call("POST", "/schools", `{"schoolName":"Another"}`, w.as("auth0|"+uuid.NewString()))
		equal(t, 403, r.Status, r.Body)
	})
	t.Run("told everything that is wrong", func(t *testing.T) {
		r := w.call("POST", "/schools", `{"schoolName":"x","password":"no","familyName":7}`, w.as(id))
		equal(t, 422, r.Status, r.Body)
		holds(t, r.Body, `"schoolName"`, `"password"`, `"familyName"`)
	})
}

func TestPeopleAreInvited(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	made := w.signUp("ada@lincoln.example", "Lincoln High")
	owner := w.as(made.User.IdentityID)
	w.prove(made.User.IdentityID)
	path := "/tenants/" + made.School.Slug + "/invitations"

	r := w.call("POST", path, `{"email":"Grace@Lincoln.example","role":"admin"}`, owner)
	equal(t, 201, r.Status, r.Body)
	invitation := r.json(t)
	equal(t, "grace@lincoln.example", invitation["email"])
	equal(t, "open", invitation["status"])
	lacks(t, r.Body, "token")
	id := uuid.MustParse(invitation["id"].(string))
	token := w.signup.InvitationToken(id)

	t.Run("the link's page asks for a password, in the reader's language", func(t *testing.T) {
		r := w.call("GET", "/invitation?token="+token, "", "Accept-Language: de-AT")
		equal(t, 200, r.Status, r.Body)
		holds(t, r.Body, `lang="de"`, "Lincoln High", `type="password"`, `value="grace@lincoln.example"`, "readonly")
		holds(t, r.Header.Get("Content-Security-Policy"), "form-action 'self'", "default-src 'none'")
	})
	t.Run("a weak password comes back with the page", func(t *testing.T) {
		r := w.form("/invitation", "token", token, "password", "short", "givenName", `Grace "<b>`)
		equal(t, 422, r.Status, r.Body)
		holds(t, r.Body, "Use at least 8 characters", "Grace &#34;&lt;b&gt;")
		lacks(t, r.Body, "short")
	})
	t.Run("and is accepted", func(t *testing.T) {
		r := w.form("/invitation", "token", token, "password", "Chalk-and-Cheese-42", "givenName", "Grace")
		equal(t, 201, r.Status, r.Body)
		user, err := w.catalog.UserByEmail(t.Context(), "grace@lincoln.example")
		check(t, err)
		equal(t, "admin", user.Role)
		equal(t, made.School.ID, user.TenantID)
		equal(t, 410, w.call("GET", "/invitation?token="+token, "").Status)
	})
	t.Run("an admin may invite, a member and a stranger may not", func(t *testing.T) {
		grace, err := w.catalog.UserByEmail(t.Context(), "grace@lincoln.example")
		check(t, err)
		r := w.call("POST", path, `{"email":"alan@lincoln.example"}`, w.as(grace.IdentityID))
		equal(t, 201, r.Status, r.Body)
		alan := uuid.MustParse(r.json(t)["id"].(string))
		r = w.call("POST", "/users", `{"email":"alan@lincoln.example","password":"Chalk-and-Cheese-42","invitation":"`+w.signup.InvitationToken(alan)+`"}`)
		equal(t, 201, r.Status, r.Body)
		member := r.json(t)["user"].(map[string]any)["identityId"].(string)
		for _, who := range []string{w.as(member), w.as("auth0|stranger")} {
			equal(t, 403, w.call("POST", path, `{"email":"x@lincoln.example"}`, who).Status)
			equal(t, 403, w.call("GET", path, "", who).Status)
			equal(t, 403, w.call("POST", "/tenants/no-such-school/invitations", `{"email":"x@lincoln.example"}`, who).Status)
		}
		equal(t, 201, w.call("POST", path, `{"email":"op@lincoln.example"}`, w.operator("update:tenants")).Status)
	})
	t.Run("are listed, and taken back", func(t *testing.T) {
		r := w.call("GET", path+"?limit=2", "", owner)
		equal(t, 200, r.Status, r.Body)
		page := r.json(t)
		equal(t, 2, len(page["invitations"].([]any)))
		rest := w.call("GET", path+"?limit=2&cursor="+page["nextCursor"].(string), "", owner).json(t)
		equal(t, 1, len(rest["invitations"].([]any)))
		equal(t, "accepted", rest["invitations"].([]any)[0].(map[string]any)["status"])

		open := page["invitations"].([]any)[0].(map[string]any)["id"].(string)
		equal(t, 204, w.call("DELETE", path+"/"+open, "", owner).Status)
		equal(t, 204, w.call("DELETE", path+"/"+open, "", owner).Status, "again")
		equal(t, 410, w.call("GET", "/invitation?token="+w.signup.InvitationToken(uuid.MustParse(open)), "").Status)
		equal(t, 410, w.call("DELETE", path+"/"+id.String(), "", owner).Status, "an accepted one")
		equal(t, 404, w.call("DELETE", path+"/"+uuid.NewString(), "", owner).Status)
	})
	t.Run("with a login that exists", func(t *testing.T) {
		id := "auth0|" + uuid.NewString()
		check(t, w.auth0.Seed(auth0test.User{ID: id, Email: "edsger@lincoln.example", EmailVerified: true}))
		r := w.call("POST", path, `{"email":"edsger@lincoln.example"}`, owner)
		token := w.signup.InvitationToken(uuid.MustParse(r.json(t)["id"].(string)))
		r = w.call("POST", "/invitations/accept", `{"invitation":"`+token+`"}`, w.as(made.User.IdentityID))
		equal(t, 422, r.Status, "somebody else's: ", r.Body)
		r = w.call("POST", "/invitations/accept", `{"invitation":"`+token+`"}`, w.as(id))
		equal(t, 201, r.Status, r.Body)
		equal(t, made.School.ID.String(), r.json(t)["school"].(map[string]any)["id"])
	})
	t.Run("no address is written to all the time", func(t *testing.T) {
		for range 3 {
			equal(t, 201, w.call("POST", path, `{"email":"often@lincoln.example"}`, owner).Status)
		}
		r := w.call("POST", path, `{"email":" Often@lincoln.example"}`, owner)
		equal(t, 429, r.Status, r.Body)
		truth(t, r.Header.Get("Retry-After") != "", r.Header)
		equal(t, 201, w.call("POST", path, `{"email":"another@lincoln.example"}`, owner).Status)
	})
	t.Run("everything wrong is told", func(t *testing.T) {
		r := w.call("POST", path, `{"email":"no","role":"owner","lastsDays":90,"x":1}`, owner)
		equal(t, 422, r.Status, r.Body)
		holds(t, r.Body, `"lastsDays"`, `"x"`)
	})
}

func TestSignUpsWaitForPeople(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: func(c *signup.Config) { c.VerifyFirst, c.Mode = true, signup.WithApproval }})
	r := w.call("POST", "/users", `{"email":"ada@lincoln.example","password":"Chalk-and-Cheese-42","schoolName":"Lincoln High"}`)
	equal(t, 202, r.Status, r.Body)
	equal(t, "awaiting_verification", r.json(t)["status"])
	location := r.Header.Get("Location")
	id := uuid.MustParse(strings.TrimPrefix(location, "/signups/"))
	token := w.signup.ActivationToken(id)

	t.Run("the mail is sent again three times an hour", func(t *testing.T) {
		for range 3 {
			equal(t, 202, w.call("POST", location+"/verification-email", "").Status)
		}
		r := w.call("POST", location+"/verification-email", "")
		equal(t, 429, r.Status, r.Body)
		truth(t, r.Header.Get("Retry-After") != "", r.Header)
		equal(t, 404, w.call("POST", "/signups/"+uuid.NewString()+"/verification-email", "").Status)
	})
	t.Run("following the link changes nothing, its button does", func(t *testing.T) {
		r := w.call("GET", "/activate?token="+token, "")
		equal(t, 200, r.Status, r.Body)
		holds(t, r.Body, "ada@lincoln.example", `method="post"`, token)
		equal(t, "awaiting_verification", w.call("GET", location, "").json(t)["status"])
		r = w.form("/activate", "token", token, "password", "Chalk-and-Cheese-43")
		equal(t, 200, r.Status, r.Body)
		equal(t, "awaiting_approval", w.call("GET", location, "").json(t)["status"])
		equal(t, 200, w.call("GET", "/activate?token="+token, "").Status)
	})
	t.Run("a wrong link is gone, and a wrong form is none", func(t *testing.T) {
		equal(t, 410, w.call("GET", "/activate?token=x", "").Status)
		equal(t, 410, w.form("/activate", "token", "x").Status)
		equal(t, 400, w.call("POST", "/activate", `{"token":"x"}`, "Content-Type: application/json").Status)
	})
	t.Run("operators approve", func(t *testing.T) {
		equal(t, 401, w.call("GET", "/signups", "").Status)
		equal(t, 403, w.call("GET", "/signups", "", w.operator("read:tenants")).Status)
		may := w.operator("approve:signups")
		list := w.call("GET", "/signups", "", may).json(t)["signups"].([]any)
		equal(t, 1, len(list))
		equal(t, id.String(), list[0].(map[string]any)["signupId"])
		equal(t, true, list[0].(map[string]any)["emailVerified"])
		r := w.call("POST", location+"/approve", "", may)
		equal(t, 201, r.Status, r.Body)
		equal(t, "ready", w.call("GET", location, "").json(t)["status"])
		equal(t, 409, w.call("POST", location+"/approve", "", may).Status)
		equal(t, 409, w.call("POST", location+"/reject", "", may).Status)
		equal(t, 404, w.call("POST", "/signups/"+uuid.NewString()+"/approve", "", may).Status)
		equal(t, 404, w.call("POST", "/signups/nothing/reject", "", may).Status)
	})
	t.Run("or reject", func(t *testing.T) {
		r := w.call("POST", "/users", `{"email":"bob@lincoln.example","password":"Chalk-and-Cheese-42","schoolName":"Lincoln High"}`)
		location := r.Header.Get("Location")
		w.form("/activate", "token", w.signup.ActivationToken(uuid.MustParse(strings.TrimPrefix(location, "/signups/"))), "password", "Chalk-and-Cheese-43")
		equal(t, 204, w.call("POST", location+"/reject", "", w.operator("approve:signups")).Status)
		equal(t, "expired", w.call("GET", location, "").json(t)["status"])
	})
}

func TestNobodyIsLetInWhoShouldNotBe(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: func(c *signup.Config) { c.Mode = signup.ByInvitation }})
	body := `{"email":"ada@lincoln.example","password":"Chalk-and-Cheese-42","schoolName":"Lincoln High"`
	r := w.call("POST", "/users", body+"}")
	equal(t, 403, r.Status, r.Body)
	equal(t, "INVITATION_REQUIRED", r.code(t))
	r = w.call("POST", "/users", body+`,"invitation":"`+strings.Repeat("A", 43)+`"}`)
	equal(t, 410, r.Status, r.Body)
	equal(t, "INVITATION_GONE", r.code(t))

	r = w.call("POST", "/invitations", `{"email":"ada@lincoln.example"}`, w.operator("invite:schools"))
	equal(t, 201, r.Status, r.Body)
	token := w.signup.InvitationToken(uuid.MustParse(r.json(t)["id"].(string)))
	equal(t, 1, len(w.call("GET", "/invitations", "", w.operator("invite:schools")).json(t)["invitations"].([]any)))
	r = w.form("/invitation", "token", token, "password", "Chalk-and-Cheese-42", "schoolName", "Lincoln High")
	equal(t, 201, r.Status, r.Body)
}
