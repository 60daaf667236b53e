package auth0test_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

// search sends parameters in pairs of name and value.
func (tn *tenant) search(parameters ...string) reply {
	tn.t.Helper()
	query := url.Values{}
	for pair := range slices.Chunk(parameters, 2) {
		query.Set(pair[0], pair[1])
	}
	return tn.call("GET", "/api/v2/users?"+query.Encode(), "")
}

// found returns the local parts of the e-mails in an answer, in its order.
func found(rep reply) string {
	names := make([]string, len(rep.List))
	for i, user := range rep.List {
		email, _ := user["email"].(string)
		names[i], _, _ = strings.Cut(email, "@")
	}
	return strings.Join(names, " ")
}

// people are users whose ids have another order than their creation and their e-mails.
func people(t *testing.T) *tenant {
	t.Helper()
	clock := newClock()
	tn := setup(t, auth0test.Config{Now: clock.Now, Connections: []auth0test.Connection{{Name: "db"}, {Name: `an "odd" one`}}})
	at := func(ms int) auth0test.Time {
		return auth0test.Time{Time: clock.Now().Add(time.Duration(ms) * time.Millisecond)}
	}
	odd := []auth0test.Identity{{Connection: `an "odd" one`, UserID: "1", Provider: "auth0"}}
	err := tn.Seed(
		auth0test.User{ID: "auth0|3", Email: "ada@example.com", CreatedAt: at(0), AppMetadata: map[string]any{"id": "A b", "n": 7.0}},
		auth0test.User{ID: "auth0|2", Email: "bob@example.com", CreatedAt: at(5), AppMetadata: map[string]any{"id": nil, "n": []any{}}},
		auth0test.User{ID: "auth0|1", Email: "cyd@example.com", CreatedAt: at(9), Identities: odd, UserMetadata: map[string]any{"id": ""}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return tn
}

func TestSearchUnderstands(t *testing.T) {
	t.Parallel()
	tn := people(t)
	for q, want := range map[string]string{
		``:                                           "ada bob cyd",
		`*`:                                          "ada bob cyd",
		`email:"BOB@example.com"`:                    "bob",
		`email:bob@example.com`:                      "bob",
		`user_id:auth0|2`:                            "bob",
		`email_verified:false AND nickname:cyd`:      "cyd",
		`app_metadata.id:"A b"`:                      "ada",
		`app_metadata.id:A\ b`:                       "ada",
		`app_metadata.id:"a b"`:                      "",
		`identities.connection:DB`:                   "",
		`identities.connection:"an \"odd\" one"`:     "cyd",
		`_exists_:app_metadata.id`:                   "ada",
		`_exists_:app_metadata.n`:                    "ada",
		`_exists_:user_metadata.id`:                  "cyd",
		`_exists_:last_login`:                        "",
		`last_login:[* TO *]`:                        "",
		`created_at:[2026-11-20T10:00:00.005Z TO *]`: "bob cyd",
		`created_at:{2026-11-20T10:00:00.005Z TO *]`: "cyd",
		`created_at:[* TO 2026-11-20T10:00:00.005Z}`: "ada",
		`created_at:[2026-11-20T10:00:00.005Z TO 2026-11-20T10:00:00.005Z]`:                     "bob",
		`_exists_:email AND created_at:[2026-11-20T10:00:00.005Z TO *] AND app_metadata.id:"x"`: "",
	} {
		t.Run(q, func(t *testing.T) {
			t.Parallel()
			rep := tn.search("q", q, "search_engine", "v3", "sort", "created_at:1")
			if rep.Status != 200 || found(rep) != want {
				t.Errorf("%d, found %q, want %q: %s", rep.Status, found(rep), want, rep.Raw)
			}
		})
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	tn := people(t)
	for _, q := range []string{
		`email:b*`, `*bob*`, `bob`, `email:`, `email:"bob`, `email:bob cyd`, `email:bob OR email:cyd`, `NOT email:bob`, `(email:bob)`,
		`email:bob and email:cyd`, `email:bob AND `, `shoe_size:7`, `_exists_:shoe_size`, `_exists_:"email"`, `email:[a TO b]`,
		`user_metadata.id:[a TO b]`, `created_at:[2026-11-20T10:00:00.005Z]`, `created_at:[2026-11-20 TO *]`,
		`created_at:[2026-11-20T10:00:00.005Z to *]`, `created_at:(2026-11-20T10:00:00.005Z TO *)`, `created_at:2026-11-20T10:00:00Z`,
	} {
		if rep := tn.search("q", q, "search_engine", "v3"); rep.Status != 400 || rep.Body["errorCode"] != "invalid_query_string" {
			t.Errorf("%s: %d %s", q, rep.Status, rep.Raw)
		}
	}
	const about = "Query validation error: '"
	for _, c := range []struct{ name, value, code, message string }{
		{"search_engine", "v1", "invalid_query_string", "You are not allowed to use search_engine=v1."},
		{"search_engine", "v2", "invalid_query_string", "You are not allowed to use search_engine=v2. Use search_engine=v3 instead."},
		{"search_engine", "v4", "invalid_query_string", about + "No enum match for: v4' on property search_engine (The version of the search engine)."},
		{"limit", "5", "invalid_query_string", about + "Additional properties not allowed: limit'."},
		{"per_page", "x", "invalid_query_string", about + "Expected type integer but found type string' on property per_page (Number of results per page.)."},
		{"per_page", "-1", "invalid_query_string", about + "Value -1 is less than minimum 0' on property per_page (Number of results per page.)."},
		{"per_page", "101", "invalid_query_string", about + "Value 101 is greater than maximum 100' on property per_page (Number of results per page.)."},
		{
			"include_fields", "yes", "invalid_query_string",
			about + "Expected type boolean but found type string' on property include_fields (Whether specified fields are to be included (true) or excluded (false).).",
		},
		{
			"fields", "id,email,name", "invalid_query_string",
			about + "String 'id,email,name' does not match pattern. Must be a comma separated list of the following values: phone_number,email," +
				"email_verified,picture,username,user_id,name,nickname,created_at,identities,app_metadata,user_metadata,last_ip,last_login,logins_count," +
				"updated_at,blocked,family_name,given_name' on property fields (Comma-separated list of fields to include or exclude (based on value " +
				"provided for include_fields) in the result. Leave empty to retrieve all fields).",
		},
		{
			"page", "20", "invalid_paging",
			"You can only page through the first 1000 records. See https://auth0.com/docs/users/search/v3/view-search-results-by-page#limitation",
		},
	} {
		wantError(t, tn.search(c.name, c.value), 400, c.code, c.message)
	}
	for _, sort := range []string{"created_at", "created_at:asc", "created_at:2", "app_metadata.id:1", "identities:1", ":1"} {
		if rep := tn.search("sort", sort); rep.Status != 400 || rep.Body["errorCode"] != "invalid_query_string" {
			t.Errorf("sort by %s: %d %s", sort, rep.Status, rep.Raw)
		}
	}
}

func TestSearchSorts(t *testing.T) {
	t.Parallel()
	tn := people(t)
	for sort, want := range map[string]string{
		"": "cyd bob ada", "created_at:1": "ada bob cyd", "created_at:-1": "cyd bob ada", "email:-1": "cyd bob ada", "email:1": "ada bob cyd",
		"last_login:1": "cyd bob ada", "user_id:-1": "ada bob cyd",
	} {
		if rep := tn.search("sort", sort); found(rep) != want {
			t.Errorf("by %s: %q, want %q: %s", sort, found(rep), want, rep.Raw)
		}
	}
}

func TestSearchShowsAThousand(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	users := make([]auth0test.User, 1001)
	for i := range users {
		users[i] = auth0test.User{ID: fmt.Sprintf("auth0|%04d", i), Email: fmt.Sprintf("u%04d@example.com", i)}
	}
	if err := tn.Seed(users...); err != nil {
		t.Fatal(err)
	}
	rep := tn.search("per_page", "100", "page", "9", "include_totals", "true", "sort", "user_id:1", "fields", "user_id")
	shown, _ := rep.Body["users"].([]any)
	if len(shown) != 100 || rep.Body["start"] != 900.0 || rep.Body["limit"] != 100.0 || rep.Body["length"] != 100.0 || rep.Body["total"] != 1001.0 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	if got := mustJSON(t, shown[99]); got != `{"user_id":"auth0|0999"}` {
		t.Errorf("the last one is %s", got)
	}
	rep = tn.search("per_page", "100", "page", "10", "sort", "user_id:1")
	if rep.Status != 400 || rep.Body["errorCode"] != "invalid_paging" {
		t.Errorf("beyond a thousand: %d %s", rep.Status, rep.Raw)
	}
	if rep := tn.search("per_page", "2", "page", "1", "include_totals", "true", "q", "user_id:auth0|0007", "search_engine", "v3"); mustJSON(t, rep.Body) !=
		`{"length":0,"limit":2,"start":2,"total":1,"users":[]}` {
		t.Errorf("beyond the end: %d %s", rep.Status, rep.Raw)
	}
}

func TestSearchIsBehind(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{SearchDelay: 2 * time.Second, Now: clock.Now})
	sees := func(want string) {
		t.Helper()
		if rep := tn.search("fields", "name"); strings.TrimSpace(rep.Raw) != want {
			t.Errorf("the search sees %s, want %s", strings.TrimSpace(rep.Raw), want)
		}
	}
	id := tn.mustCreate("ada@example.com", `,"name":"Ada"`)
	sees(`[]`)
	clock.advance(time.Second)
	if rep := tn.call("PATCH", userPath(id), `{"name":"Ada Lovelace"}`); rep.Status != 200 {
		t.Fatal(rep.Raw)
	}
	clock.advance(time.Second)
	sees(`[{"name":"Ada"}]`)
	if rep := tn.call("DELETE", userPath(id), ""); rep.Status != 204 {
		t.Fatal(rep.Raw)
	}
	clock.advance(time.Second)
	sees(`[{"name":"Ada Lovelace"}]`)
	clock.advance(time.Second)
	sees(`[]`)

	tn.mustCreate("ada@example.com", "")
	clock.advance(2 * time.Second)
	tn.DeleteAll()
	sees(`[]`)
}

func TestSeed(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{SearchDelay: time.Hour, Now: clock.Now})
	if err := tn.Seed(auth0test.User{ID: "auth0|x", Email: "Ada@example.com"}); err != nil {
		t.Fatal(err)
	}
	if rep := tn.search(); len(rep.List) != 1 {
		t.Errorf("the search sees %s", rep.Raw)
	}
	seeded, _ := tn.User("auth0|x")
	if len(tn.Mails()) != 0 {
		t.Error("it got a mail")
	}
	for _, duplicate := range []auth0test.User{{ID: "auth0|x", Email: "bob@example.com"}, {ID: "auth0|y", Email: "ADA@example.com"}} {
		if err := tn.Seed(duplicate); err == nil {
			t.Errorf("%+v was accepted", duplicate)
		}
	}
	if rep := tn.call("DELETE", userPath("auth0|x"), ""); rep.Status != 204 {
		t.Fatal(rep.Raw)
	}
	tn.mustCreate("ada@example.com", `,"user_id":"x"`)
	if made, _ := tn.User("auth0|x"); mustJSON(t, made) != mustJSON(t, seeded) {
		t.Errorf("seeded %s\nmade %s", mustJSON(t, seeded), mustJSON(t, made))
	}
}
