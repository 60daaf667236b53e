package httpapi_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"homeroom/identity"
	"homeroom/signup"
)

// newForm is a sign-up with more members.
func newForm(t *testing.T, members map[string]any) string {
	t.Helper()
	all := map[string]any{"email": "ada@lincoln.example", "password": password, "schoolName": "Lincoln High"}
	maps.Copy(all, members)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(all)
	check(t, err)
	return string(text)
}

// schemaOf finds a schema of the OpenAPI document, with the names of its members in order.
func schemaOf(t *testing.T, w *world, name string) (schema map[string]any, members []string) {
	t.Helper()
	schema = openAPI(t, w)["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any)
	return schema, slices.Sorted(maps.Keys(schema["properties"].(map[string]any)))
}

func TestFields(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: func(c *signup.Config) {
		c.Rules.Fields = signup.Fields{"givenName": signup.Required, "phone": signup.Required, "company": signup.Optional}
	}})
	t.Run("what is needed is told together", func(t *testing.T) {
		r := w.call("POST", "/users", newForm(t, map[string]any{"phone": "12", "address": "12 Chalk Lane", "schoolName": "x"}))
		equal(t, http.StatusUnprocessableEntity, r.Status)
		equal(t, []string{"address unknown_field", "schoolName too_short", "givenName required", "phone invalid_format"}, fieldCodes(t, r), r.Body)
		r = w.call("POST", "/users", newForm(t, map[string]any{"givenName": "Ada", "phone": nil, "company": 7}))
		equal(t, []string{"company wrong_type", "phone required"}, fieldCodes(t, r), r.Body)
	})
	t.Run("what is asked for is kept where the person may change it", func(t *testing.T) {
		r := w.call("POST", "/users", newForm(t, map[string]any{"givenName": "Ada", "phone": "+44 (1632) 960-961", "company": " Chalk & Co "}))
		equal(t, http.StatusCreated, r.Status, r.Body)
		kept := w.auth0.Users()[0].UserMetadata
		equal(t, "+441632960961", kept["phone"])
		equal(t, "Chalk & Co", kept["company"])
	})
	t.Run("an account of the other kind is asked too", func(t *testing.T) {
		r := w.call("POST", authPath, john)
		equal(t, http.StatusUnprocessableEntity, r.Status, r.Body)
		_, _, details := failure(t, r)
		equal(t, []string{"givenName: Enter a name.", "phone: Enter a telephone number."}, details)
		r = w.call("POST", authPath, `{"email":"user@example.com","password":"securePassword123!","name":"John Doe","givenName":"John","phone":"+441632960962"}`)
		equal(t, http.StatusCreated, r.Status, r.Body)
	})
	t.Run("the document asks for them", func(t *testing.T) {
		schema, members := schemaOf(t, w, "NewUser")
		equal(t, []string{"company", "email", "familyName", "givenName", "invitation", "name", "password", "phone", "schoolName"}, members)
		equal(t, []any{"email", "password", "givenName", "phone"}, schema["required"])
		schema, members = schemaOf(t, w, "PasswordAccount")
		equal(t, []string{"company", "email", "givenName", "name", "organizationName", "password", "phone"}, members)
		equal(t, []any{"email", "password", "name", "givenName", "phone"}, schema["required"])
		equal(t, false, schema["additionalProperties"])
	})
}

func TestFieldsThatNobodyAsksFor(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	members := map[string]any{"captchaToken": "x"}
	var want []string
	for _, field := range identity.ProfileFields {
		members[field] = "x"
	}
	for _, field := range slices.Sorted(maps.Keys(members)) {
		want = append(want, field+" unknown_field")
	}
	r := w.call("POST", "/users", newForm(t, members))
	equal(t, want, fieldCodes(t, r), r.Body)
	r = w.call("POST", "/users", newForm(t, map[string]any{"invitation": "made-up", "schoolName": nil}))
	equal(t, http.StatusGone, r.Status, "an invitation is asked for everywhere, and may name the school: ", r.Body)
	equal(t, "INVITATION_GONE", r.code(t))
	_, known := schemaOf(t, w, "NewUser")
	equal(t, []string{"email", "familyName", "givenName", "invitation", "name", "password", "schoolName"}, known)
}

// passwordless is a provider that takes no password from us.
type passwordless struct{ identity.Provider }

func (passwordless) Passwordless() bool { return true }

// Create stands in for what such a provider does by itself.
func (p passwordless) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	if user.Password != "" {
		panic("a password for a provider that takes none")
	}
	user.Password = password
	return p.Provider.Create(ctx, user)
}

func TestWithoutPasswords(t *testing.T) {
	t.Parallel()
	w := setup(t, options{signup: func(c *signup.Config) { c.Identity = passwordless{c.Identity} }})
	r := w.call("POST", "/users", newForm(t, nil))
	equal(t, http.StatusUnprocessableEntity, r.Status)
	equal(t, []string{"password unknown_field"}, fieldCodes(t, r), r.Body)
	lacks(t, r.Body, password)
	equal(t, http.StatusUnprocessableEntity, w.call("POST", authPath, john).Status)
	schema, members := schemaOf(t, w, "NewUser")
	truth(t, !slices.Contains(members, "password"), members)
	equal(t, []any{"email"}, schema["required"])
	_, members = schemaOf(t, w, "PasswordAccount")
	truth(t, !slices.Contains(members, "password"), members)

	r = w.call("POST", "/users", newForm(t, map[string]any{"password": nil}))
	equal(t, http.StatusCreated, r.Status, r.Body)
	r = w.call("POST", authPath, `{"email":"user@example.com","name":"John Doe"}`)
	equal(t, http.StatusCreated, r.Status, r.Body)
}
