package auth0test_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"homeroom/auth0/auth0test"
)

const orgsPath = "/api/v2/organizations"

// mustCreateOrganization creates an organization and returns its path.
func (tn *tenant) mustCreateOrganization(body string) string {
	tn.t.Helper()
	rep := tn.call("POST", orgsPath, body)
	if rep.Status != http.StatusCreated {
		tn.t.Fatalf("create organization %s: %d %s", body, rep.Status, rep.Raw)
	}
	return orgsPath + "/" + rep.Body["id"].(string)
}

func TestOrganizationNames(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	for _, name := range []string{"a", "9_lives-", strings.Repeat("x", 50)} {
		tn.mustCreateOrganization(`{"name":"` + name + `"}`)
	}
	for _, name := range []string{"", "Lincoln", "a b", "é", "a.b", strings.Repeat("x", 51)} {
		if rep := tn.call("POST", orgsPath, `{"name":"`+name+`"}`); rep.Status != 400 || rep.Body["errorCode"] != "invalid_body" {
			t.Errorf("%q: %d %s", name, rep.Status, rep.Raw)
		}
	}
	wantError(t, tn.call("POST", orgsPath, `{"name":"a"}`), 409, "organization_conflict", "An organization with this name already exists.")
	wantError(t, tn.call("POST", orgsPath, `{"name":"b","x":1}`), 400, "invalid_body",
		"Payload validation error: 'Additional properties not allowed: x'.")
	for _, metadata := range []string{`{"a":1}`, `{"a":"` + strings.Repeat("x", 256) + `"}`} {
		if rep := tn.call("POST", orgsPath, `{"name":"b","metadata":`+metadata+`}`); rep.Status != 400 {
			t.Errorf("metadata %s: %d", metadata, rep.Status)
		}
	}
}

func TestOrganizationsAreFoundAndChanged(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	path := tn.mustCreateOrganization(`{"name":"lincoln","display_name":"Lincoln","metadata":{"a":"1","b":"2"}}`)
	rep := tn.call("PATCH", path, `{"display_name":"Lincoln High","metadata":{"a":null,"c":"3"}}`)
	if rep.Status != 200 || rep.Body["display_name"] != "Lincoln High" || mustJSON(t, rep.Body["metadata"]) != `{"b":"2","c":"3"}` {
		t.Errorf("changed: %d %s", rep.Status, rep.Raw)
	}
	for _, where := range []string{path, orgsPath + "/name/lincoln"} {
		if got := tn.call("GET", where, ""); got.Status != 200 || got.Raw != rep.Raw {
			t.Errorf("%s: %d %s, want %s", where, got.Status, got.Raw, rep.Raw)
		}
	}
	const missing = "No organization found by that id or name"
	wantError(t, tn.call("GET", orgsPath+"/name/nobody", ""), 404, "", missing)
	for _, method := range []string{"GET", "DELETE"} {
		wantError(t, tn.call(method, orgsPath+"/org_0000000000000000", ""), 404, "", missing)
	}
	wantError(t, tn.call("GET", path+"/nonsense", ""), 404, "", "Not Found")
	if rep := tn.call("DELETE", path, ""); rep.Status != 204 || len(tn.Organizations()) != 0 {
		t.Errorf("delete: %d %s", rep.Status, rep.Raw)
	}
}

func TestListsHaveThreeForms(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	for _, name := range []string{"a", "b", "c"} {
		tn.mustCreateOrganization(`{"name":"` + name + `","metadata":{"tenant_id":"` + name + `"}}`)
	}
	if rep := tn.call("GET", orgsPath, ""); len(rep.List) != 3 || mustJSON(t, rep.List[0]["metadata"]) != `{"tenant_id":"a"}` {
		t.Errorf("bare: %s", rep.Raw)
	}
	rep := tn.call("GET", orgsPath+"?include_totals=true&per_page=2&page=1", "")
	if list, _ := rep.Body["organizations"].([]any); len(list) != 1 || rep.Body["total"] != 3.0 || rep.Body["start"] != 2.0 {
		t.Errorf("with totals: %s", rep.Raw)
	}
	seen, from := 0, ""
	for pages := 1; ; pages++ {
		rep := tn.call("GET", orgsPath+"?take=2&from="+from, "")
		list, _ := rep.Body["organizations"].([]any)
		seen += len(list)
		next, more := rep.Body["next"].(string)
		if !more {
			if pages != 2 || seen != 3 {
				t.Errorf("%d pages with %d organizations", pages, seen)
			}
			break
		}
		from = next
	}
	if rep := tn.call("GET", orgsPath+"?take=0", ""); rep.Status != 400 {
		t.Errorf("take=0: %d", rep.Status)
	}
}

func TestMembersAreListedLater(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := setup(t, auth0test.Config{MemberDelay: 2 * time.Second, Now: clock.Now})
	path := tn.mustCreateOrganization(`{"name":"lincoln"}`)
	ada, bob := tn.mustCreate("ada@example.com", ""), tn.mustCreate("bob@example.com", "")
	listed := func(want string) {
		t.Helper()
		var emails []string
		for _, m := range tn.call("GET", path+"/members", "").List {
			if email, ok := m["email"].(string); ok {
				emails = append(emails, email)
			} else {
				emails = append(emails, "?")
			}
		}
		if got := strings.Join(emails, " "); got != want {
			t.Errorf("listed are %q, want %q", got, want)
		}
	}
	for range 2 {
		if rep := tn.call("POST", path+"/members", `{"members":["`+ada+`","`+bob+`"]}`); rep.Status != 204 {
			t.Fatalf("%d %s", rep.Status, rep.Raw)
		}
	}
	listed("")
	if rep := tn.call("GET", userPath(ada)+"/organizations", ""); len(rep.List) != 1 {
		t.Errorf("the user's organizations: %s", rep.Raw)
	}
	clock.advance(2 * time.Second)
	listed("ada@example.com bob@example.com")
	if rep := tn.call("DELETE", path+"/members", `{"members":["`+ada+`"]}`); rep.Status != 204 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	tn.call("DELETE", userPath(bob), "")
	listed("ada@example.com ?")
	if rep := tn.call("GET", userPath(ada)+"/organizations", ""); len(rep.List) != 0 {
		t.Errorf("the user's organizations: %s", rep.Raw)
	}
	clock.advance(2 * time.Second)
	listed("")
	rep := tn.call("POST", path+"/members", `{"members":["auth0|nobody"]}`)
	wantError(t, rep, 400, "", "One or more users do not exist.")
	wantError(t, tn.call("GET", userPath("auth0|nobody")+"/organizations", ""), 404, "inexistent_user", "The user does not exist.")
}

func TestMemberRolesAreLimited(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Roles: []string{}})
	path, ada := tn.mustCreateOrganization(`{"name":"lincoln"}`), tn.mustCreate("ada@example.com", "")
	var ids []string
	for i := range 51 {
		ids = append(ids, tn.call("POST", "/api/v2/roles", `{"name":"role `+strconv.Itoa(i)+`"}`).Body["id"].(string))
	}
	roles := path + "/members/" + url.PathEscape(ada) + "/roles"
	give := func(ids ...string) reply { return tn.call("POST", roles, `{"roles":["`+strings.Join(ids, `","`)+`"]}`) }
	if rep := give(ids[:50]...); rep.Status != 204 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	wantError(t, give(ids[50]), 409, "", "No more roles can be assigned to this organization member.")
	if rep := give(ids[0]); rep.Status != 204 {
		t.Errorf("an existing one: %d %s", rep.Status, rep.Raw)
	}
	wantError(t, give("rol_0000000000000000"), 404, "", "The role does not exist.")
	tn.call("DELETE", "/api/v2/roles/"+ids[0], "")
	if rep := tn.call("GET", roles+"?per_page=100", ""); len(rep.List) != 49 {
		t.Errorf("%d roles, want the remaining ones", len(rep.List))
	}
	if rep := tn.call("DELETE", roles, `{"roles":["`+ids[1]+`"]}`); rep.Status != 204 || len(tn.MemberRoles(strings.TrimPrefix(path, orgsPath+"/"), ada)) != 48 {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}

func TestConnectionsOfAnOrganization(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{Scopes: []string{"create:organizations", "read:connections", "create:organization_connections", "read:organization_connections"}})
	rep := tn.call("GET", "/api/v2/connections?name="+auth0test.DefaultConnection, "")
	if len(rep.List) != 1 || rep.List[0]["strategy"] != "auth0" {
		t.Fatalf("connections: %s", rep.Raw)
	}
	if all := tn.call("GET", "/api/v2/connections", ""); len(all.List) != 2 || all.List[1]["strategy"] != "email" {
		t.Errorf("all connections: %s", all.Raw)
	}
	con := rep.List[0]["id"].(string)
	if rep := tn.call("GET", "/api/v2/connections/"+con, ""); rep.Body["name"] != auth0test.DefaultConnection {
		t.Errorf("by id: %s", rep.Raw)
	}
	wantError(t, tn.call("GET", "/api/v2/connections/con_0000000000000000", ""), 404, "inexistent_connection", "The connection does not exist")

	enabled := tn.mustCreateOrganization(`{"name":"lincoln"}`) + "/enabled_connections"
	wantError(t, tn.call("GET", enabled+"/"+con, ""), 404, "", "No connection found by that id")
	for range 2 {
		if rep := tn.call("POST", enabled, `{"connection_id":"`+con+`"}`); rep.Status != 201 || rep.Body["assign_membership_on_login"] != false {
			t.Errorf("enable: %d %s", rep.Status, rep.Raw)
		}
	}
	if rep := tn.call("GET", enabled, ""); len(rep.List) != 1 {
		t.Errorf("enabled: %s", rep.Raw)
	}
	wantError(t, tn.call("POST", enabled, `{"connection_id":"con_0000000000000000"}`), 404, "", "No connection found by that id")
	if rep := tn.call("POST", enabled, `{"connection_id":"`+con+`","is_signup_enabled":true}`); rep.Status != 400 {
		t.Errorf("sign-up without membership: %d", rep.Status)
	}
	if rep := tn.call("GET", enabled+"/"+con, ""); rep.Status != 200 {
		t.Errorf("enabled: %d %s", rep.Status, rep.Raw)
	}

	tn.token = tn.IssueToken(auth0test.TokenRequest{Audience: []string{tn.Config().ManagementAudience}, Scope: "create:organizations"})
	wantError(t, tn.call("POST", orgsPath, `{"name":"x","enabled_connections":[{"connection_id":"`+con+`"}]}`), 403, "insufficient_scope",
		"Insufficient scope, expected any of: create:organization_connections")
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	tn := setup(t, auth0test.Config{})
	org := tn.mustCreateOrganization(`{"name":"lincoln"}`)
	path := org + "/invitations"
	rep := tn.call("POST", path, `{"inviter":{"name":"Ada"},"invitee":{"email":"bob@example.com"},"client_id":"c"}`)
	if rep.Status != 201 {
		t.Fatalf("%d %s", rep.Status, rep.Raw)
	}
	made, _ := time.Parse(time.RFC3339, rep.Body["created_at"].(string))
	if ends, _ := time.Parse(time.RFC3339, rep.Body["expires_at"].(string)); ends.Sub(made) != 7*24*time.Hour {
		t.Errorf("it is valid for %s, want a week", ends.Sub(made))
	}
	ticket, _ := rep.Body["ticket_id"].(string)
	link, err := url.Parse(rep.Body["invitation_url"].(string))
	if err != nil || link.Query().Get("invitation") != ticket || link.Query().Get("organization_name") != "lincoln" {
		t.Errorf("the link is %v", link)
	}
	if mails := tn.Mails(); len(mails) != 1 || mails[0].To != "bob@example.com" || mails[0].Link != link.String() {
		t.Errorf("mails are %+v", mails)
	}
	one := path + "/" + rep.Body["id"].(string)
	if rep := tn.call("GET", one, ""); rep.Status != 200 || rep.Body["ticket_id"] != ticket {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("POST", path, `{"inviter":{"name":"A"},"invitee":{"email":"c@example.com"},"client_id":"c","send_invitation_email":false,"ttl_sec":60}`); rep.Status != 201 || len(tn.Mails()) != 1 {
		t.Errorf("without a mail: %d %s, %d mails", rep.Status, rep.Raw, len(tn.Mails()))
	}
	for _, bad := range []string{
		`{"inviter":{"name":"A"},"invitee":{"email":"c@example.com"}}`, `{"inviter":{},"invitee":{"email":"c@example.com"},"client_id":"c"}`,
		`{"inviter":{"name":"A"},"invitee":{"email":"c"},"client_id":"c"}`,
		`{"inviter":{"name":"A"},"invitee":{"email":"c@example.com"},"client_id":"c","ttl_sec":2592001}`,
	} {
		if rep := tn.call("POST", path, bad); rep.Status != 400 {
			t.Errorf("%s: %d", bad, rep.Status)
		}
	}
	if rep := tn.call("GET", path, ""); len(rep.List) != 2 {
		t.Errorf("listed: %s", rep.Raw)
	}
	if rep := tn.call("DELETE", one, ""); rep.Status != 204 {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
	if rep := tn.call("GET", one, ""); rep.Status != 404 || rep.Body["errorCode"] != "inexistent_invitation" {
		t.Errorf("%d %s", rep.Status, rep.Raw)
	}
}
