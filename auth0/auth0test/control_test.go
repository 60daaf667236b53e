package auth0test_test

import (
	"encoding/json"
	"strings"
	"testing"

	"homeroom/auth0/auth0test"
	"homeroom/internal/flaky"
)

func TestControls(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	rep := tn.call("POST", "/_sim/tokens", `{"permissions":["read:tenants"],"expires_in":"1h"}`)
	claims := tn.verify(rep.Body["access_token"].(string))
	if claims["sub"] != "auth0|operator" || claims["aud"] != tn.Config().Audience || mustJSON(t, claims["permissions"]) != `["read:tenants"]` {
		t.Errorf("claims are %v", claims)
	}
	if rep := tn.call("POST", "/_sim/faults", `{"method":"POST","path":"/api/v2/users","kind":"status_after","status":502}`); rep.Status != 204 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	for _, bad := range []string{`{"kind":"x"}`, `{"kind":"slow","delay":5}`, `{"kind":"slow","sleep":"5ms"}`, `{"kind":"status_before","status":7}`} {
		if rep := tn.call("POST", "/_sim/faults", bad); rep.Status != 400 || rep.Body["error"] == "" {
			t.Errorf("%s: %d %s", bad, rep.Status, rep.Raw)
		}
	}
	if rep := tn.create("ada@example.com", ""); rep.Status != 502 {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("GET", "/_sim/users", ""); len(rep.List) != 1 || strings.Contains(rep.Raw, "$2a$") {
		t.Errorf("users: %s", rep.Raw)
	}
	if rep := tn.call("GET", "/_sim/mails", ""); len(rep.List) != 1 {
		t.Errorf("mails: %s", rep.Raw)
	}
	rep = tn.call("GET", "/_sim/calls", "")
	var calls []flaky.Call
	if err := json.Unmarshal([]byte(rep.Raw), &calls); err != nil || len(calls) != 2 || calls[1].Status != 502 {
		t.Errorf("calls: %v %s", err, rep.Raw)
	}
	if rep := tn.call("POST", usersPath, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`); rep.Status != 413 {
		t.Errorf("a large body: %d %s", rep.Status, rep.Raw)
	}
	tn.call("POST", "/_sim/faults", `{"kind":"status_before","times":-1}`)
	tn.call("DELETE", "/_sim/faults", "")
	tn.call("DELETE", "/_sim/users", "")
	if rep := tn.call("GET", usersPath, ""); strings.TrimSpace(rep.Raw) != "[]" {
		t.Errorf("after the removals: %d %s", rep.Status, rep.Raw)
	}
	tn.mustCreate("ada@example.com", "")
	if rep := tn.call("GET", "/", ""); rep.Status != 200 || !strings.Contains(rep.Raw, "This is not Auth0") || strings.Contains(rep.Raw, tn.Config().ClientSecret) {
		t.Errorf("the page: %d %s", rep.Status, rep.Raw)
	}
}
