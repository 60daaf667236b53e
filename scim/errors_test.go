package scim_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/scim"
	"homeroom/scim/scimtest"
)

// fakeServer gives the same answer to every call, except those for a token.
func fakeServer(t *testing.T, status int, body string, change ...func(*scim.Config)) *scim.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/scim+json")
		if r.URL.Path == "/oauth2/token" {
			_, _ = io.WriteString(w, `{"access_token":"access-canary","expires_in":3600}`)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	cfg := scim.Config{BaseURL: server.URL, ClientID: "id", ClientSecret: "secret-canary", AdminRole: adminRole}
	for _, f := range change {
		f(&cfg)
	}
	return newClient(t, cfg)
}

// misconfigured checks that the error is for an operator, contains this hint, and nothing secret.
func misconfigured(t *testing.T, err error, hint string) {
	t.Helper()
	var m *identity.Misconfigured
	if !errors.As(err, &m) || !strings.Contains(m.Hint, hint) || identity.Temporary(err) || identity.OutcomeUnknown(err) {
		t.Errorf("error is %v; want a *identity.Misconfigured with a hint of %q", err, hint)
	}
}

func scimError(status, kind, detail string) string {
	return `{"schemas":"urn:ietf:params:scim:api:messages:2.0:Error","status":` + status + `,"scimType":"` + kind + `","detail":"` + detail + `"}`
}

func TestRefusedPasswordsHaveMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, detail, code, message string }{
		"Asgardeo's policy": {
			"invalidValue", "20035 - Password must have at least 1 digit", "too_weak", "Password must have at least 1 digit.",
		},
		"a pattern": {
			"invalidValue", `30003 - Credential is not valid. Credential must be a non null string with following format, ^[\\S]{5,30}$`,
			"too_weak", "The identity provider does not accept this password.",
		},
		"with the user name": {
			"invalidValue", "Error in adding the user: DEFAULT/ada.canary@lincoln.example to the user store. 20035 - The password is too short!",
			"too_weak", "The password is too short!",
		},
		"with the password": {
			"invalidValue", "The password Tr0ub4dor-canary is weak", "too_weak", "The password [redacted] is weak.",
		},
		"compromised": {
			"Compromised password", "The provided password is compromised. Provide something different.", "too_common",
			"The provided password is compromised. Provide something different.",
		},
		"used before": {
			"invalidValue", "22001 - This password has been used in recent history", "used_before",
			"This password has been used in recent history.",
		},
		"in other words": {"Password Policy", "", "not_accepted", "The identity provider does not accept this password."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fakeServer(t, 400, scimError(`"400"`, c.kind, c.detail)).Create(t.Context(), newUser())
			var r *identity.Rejected
			if !errors.As(err, &r) || r.Field != "password" || r.Code != c.code || r.Message.String() != c.message {
				t.Errorf("error is %#v, want %q: %q", r, c.code, c.message)
			}
		})
	}
}

func TestCreateRecognisesExistingUsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		exists bool
	}{
		"RFC 7644":              {409, scimError("409", "uniqueness", "One or more values are in use."), true},
		"without a type":        {409, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"User already exists in the database."}`, true},
		"another status":        {400, scimError("400", "uniqueness", ""), true},
		"only words":            {400, scimError("400", "invalidValue", "The value defined for Email is already in use by different user!"), true},
		"a proxy's conflict":    {409, `<html>`, false},
		"another invalid value": {400, scimError("400", "invalidValue", "Attribute name is required"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fakeServer(t, c.status, c.body).Create(t.Context(), newUser())
			if errors.Is(err, identity.ErrExists) != c.exists || identity.Temporary(err) || identity.OutcomeUnknown(err) {
				t.Errorf("error is %v; want that the user exists: %t", err, c.exists)
			}
		})
	}
}

func TestErrorsAreClassified(t *testing.T) {
	t.Parallel()
	create := func(c *scim.Client, t *testing.T) error { _, err := c.Create(t.Context(), newUser()); return err }
	lookup := func(c *scim.Client, t *testing.T) error { _, err := c.Lookup(t.Context(), uuid.New()); return err }
	byEmail := func(c *scim.Client, t *testing.T) error {
		_, err := c.LookupEmail(t.Context(), newUser().Email)
		return err
	}
	prepare := func(c *scim.Client, t *testing.T) error { return c.Prepare(t.Context()) }
	unknown, temporary := identity.OutcomeUnknown, identity.Temporary
	operators := func(hint string) func(error) bool {
		return func(err error) bool {
			var m *identity.Misconfigured
			return errors.As(err, &m) && strings.Contains(m.Hint, hint)
		}
	}
	for name, c := range map[string]struct {
		do     func(*scim.Client, *testing.T) error
		status int
		body   string
		want   func(error) bool
	}{
		"a create that waits for approval":     {create, 202, ``, unknown},
		"a create without an answer to read":   {create, 201, `<html>`, unknown},
		"a create that timed out at a gateway": {create, 504, `<html>`, unknown},
		"an invalid e-mail":                    {create, 400, scimError("400", "invalidValue", "31301 - Username x is not valid."), isRejected("email")},
		"an attribute that is missing":         {create, 400, scimError("400", "invalidValue", "Attribute name is required"), operators("UserNamePrefix")},
		"a redirection":                        {create, 307, ``, operators("BaseURL")},
		"a look-up that fails":                 {lookup, 500, ``, temporary},
		"a look-up without an answer to read":  {lookup, 200, `{}`, temporary},
		"a total without its users":            {byEmail, 200, `{"totalResults":1}`, temporary},
		"another address":                      {byEmail, 404, `<html>`, operators("BaseURL")},
		"an empty list without its members":    {lookup, 404, scimError(`"404"`, "", "None"), func(err error) bool { return errors.Is(err, identity.ErrNotFound) }},
		"a missing right":                      {create, 403, scimError("403", "Forbidden", ""), operators("internal_user_mgt_create")},
		"a right to list":                      {lookup, 403, scimError("403", "Forbidden", ""), operators("internal_user_mgt_list")},
		"a right to see roles":                 {prepare, 403, ``, operators("internal_role_mgt_view")},
		"a refused token":                      {lookup, 401, ``, operators("TokenURL")},
		"a list of roles that cannot be read":  {prepare, 200, `{}`, temporary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.do(fakeServer(t, c.status, strings.ReplaceAll(c.body, "None", "None, access-canary, "+newUser().Email)), t)
			if !c.want(err) {
				t.Errorf("error is %T: %v", errors.Unwrap(err), err)
			}
			if printed := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(printed, "canary") {
				t.Errorf("an error shows a secret or an e-mail: %s", printed)
			}
		})
	}
}

func isRejected(field string) func(error) bool {
	return func(err error) bool {
		var r *identity.Rejected
		return errors.As(err, &r) && r.Field == field
	}
}

func TestTokenRefusalsNameTheSetting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body, hint string
	}{
		"wrong secret":  {401, `{"error":"invalid_client","error_description":"canary secret"}`, "ClientSecret"},
		"no grant":      {400, `{"error":"unauthorized_client"}`, "Client Credentials"},
		"no such scope": {400, `{"error":"invalid_scope"}`, "Scope"},
		"no endpoint":   {404, `<html>`, "TokenURL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fakeServer(t, c.status, c.body, func(cfg *scim.Config) { cfg.TokenURL = cfg.BaseURL + "/elsewhere" })
			_, err := client.Create(t.Context(), newUser())
			misconfigured(t, err, c.hint)
		})
	}
	server, client := setup(t, scimtest.Config{}, func(c *scim.Config) { c.Scope = "internal_user_mgt_list" })
	_, err := client.Create(t.Context(), newUser())
	misconfigured(t, err, "internal_user_mgt_create")
	if len(server.Users()) != 0 {
		t.Error("a refused create created")
	}
}
