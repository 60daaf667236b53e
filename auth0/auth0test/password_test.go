package auth0test_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
)

// TestPasswordPolicies sends the test cases of Auth0's own password library (testdata/README.md) to POST /users.
func TestPasswordPolicies(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/password-policy-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[auth0test.Policy]struct{ Cases [][2]any }
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 5 {
		t.Fatalf("%d policies, want 5", len(vectors))
	}
	for policy, vector := range vectors {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{{Name: "db", Policy: policy}}})
			for _, c := range vector.Cases {
				password, good := c[0].(string), c[1].(bool)
				if password == "" {
					continue // the schema refuses it before the policy does
				}
				tn.DeleteAll()
				rep := tn.call("POST", "/api/v2/users", mustJSON(t, map[string]any{
					"connection": "db", "email": "ada@example.com", "password": password,
				}))
				if good != (rep.Status == http.StatusCreated) {
					t.Errorf("%q: status %d, want good=%v", password, rep.Status, good)
				}
				if !good {
					wantError(t, rep, 400, "", "PasswordStrengthError: Password is too weak")
				}
			}
		})
	}
}

func TestPasswordOptions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Abcdefg1", 9) // 72 bytes
	for name, c := range map[string]struct {
		options  auth0test.Connection
		password string
		message  string // empty means 201
	}{
		"a common password":              {auth0test.Connection{Dictionary: true}, "passW0rd!", "PasswordDictionaryError: Password is too common"},
		"a configured word":              {auth0test.Connection{Dictionary: true, DictionaryWords: []string{"Homer00m!"}}, "homer00m!", "PasswordDictionaryError: Password is too common"},
		"common, but no dictionary":      {auth0test.Connection{}, "Passw0rd!", ""},
		"the e-mail's local part":        {auth0test.Connection{NoUserInfo: true}, "xLOVELACE-1", "PasswordNoUserInfoError: Password contains user information"},
		"the name":                       {auth0test.Connection{NoUserInfo: true}, "Augusta1-x", "PasswordNoUserInfoError: Password contains user information"},
		"no user info":                   {auth0test.Connection{NoUserInfo: true}, "Correct-h0rse", ""},
		"a longer minimum length":        {auth0test.Connection{MinLength: 20}, "Correct-h0rse", "PasswordStrengthError: Password is too weak"},
		"two in a row":                   {auth0test.Connection{Policy: auth0test.PolicyExcellent}, "Abcdefgh11", ""},
		"three in a row":                 {auth0test.Connection{Policy: auth0test.PolicyExcellent}, "Abcdefg111", "PasswordStrengthError: Password is too weak"},
		"over 72 bytes":                  {auth0test.Connection{}, long + "x", ""},
		"over 72 bytes, and refused":     {auth0test.Connection{RejectLong: true}, long + "x", "PasswordStrengthError: Password is too weak"},
		"exactly 72 bytes, and accepted": {auth0test.Connection{RejectLong: true}, long, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Name = "db"
			tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{c.options}})
			rep := tn.call("POST", "/api/v2/users", mustJSON(t, map[string]any{
				"connection": "db", "email": "lovelace@example.com", "password": c.password, "name": "Augusta",
			}))
			if c.message != "" {
				wantError(t, rep, 400, "", c.message)
			} else if rep.Status != http.StatusCreated {
				t.Errorf("status %d: %s", rep.Status, rep.Raw)
			}
			if c.message != "" && len(tn.Users()) != 0 {
				t.Error("a user was stored nevertheless")
			}
		})
	}
}

func TestPasswordHistory(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection, History: 2}}})
	path := userPath(tn.mustCreate("ada@example.com", ""))
	change := func(password string) reply {
		return tn.call("PATCH", path, mustJSON(t, map[string]any{"password": password}))
	}
	used := "PasswordHistoryError: Password has previously been used"
	wantError(t, change("Correct-h0rse"), 400, "", used)
	for _, password := range []string{"Second-h0rse", "Third-h0rse1"} {
		if rep := change(password); rep.Status != http.StatusOK || rep.Body["last_password_reset"] == nil {
			t.Fatalf("%s: %d %s", password, rep.Status, rep.Raw)
		}
	}
	wantError(t, change("Second-h0rse"), 400, "", used)
	if rep := change("Correct-h0rse"); rep.Status != http.StatusOK {
		t.Errorf("one that is no longer in the history: %d %s", rep.Status, rep.Raw)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
