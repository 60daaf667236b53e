package auth0test_test

import (
	"slices"
	"testing"

	"homeroom/auth0/auth0test"
)

func TestRolesAreFilteredByAPartOfTheirNames(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Roles: []string{"Co-Owner", "owner", "pupil"}})
	for filter, want := range map[string]int{"OWNER": 2, "owner": 2, "pupil": 1, "x": 0, "": 3} {
		if rep := tn.call("GET", "/api/v2/roles?name_filter="+filter, ""); rep.Status != 200 || len(rep.List) != want {
			t.Errorf("%q: %d %s, want %d roles", filter, rep.Status, rep.Raw, want)
		}
	}
	if rep := tn.call("POST", "/api/v2/roles", `{"name":"owner"}`); rep.Status != 409 {
		t.Errorf("a name that is taken: %d %s", rep.Status, rep.Raw)
	}
}

func TestANewTenantHasThreeRoles(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	var names []string
	for _, role := range tn.Roles() {
		names = append(names, role.Name)
		if rep := tn.call("GET", "/api/v2/roles/"+role.ID, ""); rep.Body["name"] != role.Name {
			t.Errorf("%s: %s", role.ID, rep.Raw)
		}
	}
	if !slices.Equal(names, []string{"owner", "admin", "member"}) {
		t.Errorf("the roles are %v", names)
	}
	for _, method := range []string{"GET", "DELETE"} {
		wantError(t, tn.call(method, "/api/v2/roles/rol_0000000000000000", ""), 404, "", "The role does not exist.")
	}
}

func TestRolesOfUsers(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	id := tn.mustCreate("ada@example.com", "")
	path, role := userPath(id)+"/roles", tn.Roles()[0]
	for range 2 {
		if rep := tn.call("POST", path, `{"roles":["`+role.ID+`"]}`); rep.Status != 204 || rep.Raw != "" {
			t.Errorf("give: %d %s", rep.Status, rep.Raw)
		}
	}
	if got := tn.RolesOf(id); !slices.Equal(got, []string{"owner"}) {
		t.Errorf("roles are %v", got)
	}
	for body, says := range map[string]string{
		`{"roles":[]}`:       "Payload validation error: 'Array is too short (0), minimum 1' on property roles (List of roles IDs to associated with the user.).",
		`{"roles":[1]}`:      "Payload validation error: 'Expected type string but found type number' on property roles (List of roles IDs to associated with the user.).",
		`{"roles":"x"}`:      "Payload validation error: 'Expected type array but found type string' on property roles (List of roles IDs to associated with the user.).",
		`{}`:                 "Payload validation error: 'Missing required property: roles'.",
		`{"roles":[],"x":1}`: "Payload validation error: 'Additional properties not allowed: x'.",
	} {
		wantError(t, tn.call("POST", path, body), 400, "invalid_body", says)
	}
	for _, method := range []string{"POST", "DELETE", "GET"} {
		rep := tn.call(method, userPath("auth0|nobody")+"/roles", `{"roles":["`+role.ID+`"]}`)
		wantError(t, rep, 404, "inexistent_user", "The user does not exist.")
	}
	tn.call("DELETE", userPath(id), "")
	tn.mustCreate("ada@example.com", `,"user_id":"`+id+`"`)
	if got := tn.RolesOf(id); len(got) != 0 {
		t.Errorf("a new user with the id of a deleted one has the roles %v", got)
	}
}
