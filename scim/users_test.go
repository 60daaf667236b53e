package scim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/internal/secret"
	"homeroom/scim"
	"homeroom/scim/scimtest"
)

func TestCreateSendsWhatIsThere(t *testing.T) {
	t.Parallel()
	bare := newUser()
	bare.GivenName = ""
	full := newUser()
	full.Email, full.FamilyName, full.Name = "Grace@Lincoln.example", "Hopper", "Grace Hopper"
	full.Profile = map[string]string{
		"company": "Lincoln High", "phone": "+1 555 0100", "address": "1 Main St", "locality": "Springfield", "region": "IL",
		"postalCode": "62701",
	}
	for name, c := range map[string]struct {
		user identity.NewUser
		want string
	}{
		"little": {bare, `{"emails":[{"primary":true,"value":"ada.canary@lincoln.example"}],"externalId":"` + bare.ID.String() +
			`","password":"Tr0ub4dor-canary","schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],` +
			`"userName":"DEFAULT/ada.canary@lincoln.example"}`},
		"much": {full, `{"addresses":[{"locality":"Springfield","postalCode":"62701","region":"IL","streetAddress":"1 Main St",` +
			`"type":"work"}],"displayName":"Grace Hopper","emails":[{"primary":true,"value":"grace@lincoln.example"}],` +
			`"externalId":"` + full.ID.String() + `","name":{"familyName":"Hopper","formatted":"Grace Hopper","givenName":"Ada"},` +
			`"password":"Tr0ub4dor-canary","phoneNumbers":[{"type":"work","value":"+1 555 0100"}],` +
			`"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],` +
			`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"organization":"Lincoln High"},` +
			`"userName":"DEFAULT/grace@lincoln.example"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := setup(t, scimtest.Config{})
			if _, err := client.Create(t.Context(), c.user); err != nil {
				t.Fatal(err)
			}
			sent, err := json.Marshal(server.Users()[0].Body)
			if err != nil || string(sent) != c.want {
				t.Errorf("sent %s\nwant %s", sent, c.want)
			}
		})
	}
}

// Without escaping, the value would end the string and add its own filter.
func TestFiltersAreEscaped(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	odd := `a"b\c" and userName eq "x&y=z+@lincoln.example`
	server.AddUser(scimtest.User{UserName: "somebody", Email: odd})
	server.AddUser(scimtest.User{UserName: "DEFAULT/" + strings.ToUpper(odd)})
	found, err := client.LookupEmail(t.Context(), odd)
	if err != nil || len(found) != 2 || found[0].Email != odd {
		t.Errorf("found %+v, %v; want both", found, err)
	}
	var queries []string
	for _, call := range server.Calls() {
		if call.Path == usersAt {
			query, _ := url.ParseQuery(call.Query)
			queries = append(queries, query.Get("filter"))
		}
	}
	want := `emails eq "a\"b\\c\" and username eq \"x&y=z+@lincoln.example"`
	if len(queries) != 2 || queries[0] != want {
		t.Errorf("filters are %q, want first %q", queries, want)
	}
}

func TestOnlyAnExactMatchCounts(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Quirks: scimtest.Quirks{LooseFilters: true}})
	id := uuid.New()
	server.AddUser(scimtest.User{UserName: "a", ExternalID: id.String() + "-old", Email: "ada@lincoln.example.org"})
	if _, err := client.Lookup(t.Context(), id); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("look-up: %v, want that there is none", err)
	}
	if found, err := client.LookupEmail(t.Context(), "ada@lincoln.example"); err != nil || len(found) != 0 {
		t.Errorf("look-up by e-mail: %v, %v; want none", found, err)
	}
	if err := client.Delete(t.Context(), id); err != nil || len(server.Users()) != 1 {
		t.Errorf("delete: %v, and %d users are left, want the unmanaged one", err, len(server.Users()))
	}
}

func TestTwoUsersWithOurID(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	id := uuid.New()
	server.AddUser(scimtest.User{UserName: "a", ExternalID: id.String()})
	server.AddUser(scimtest.User{UserName: "b", ExternalID: id.String()})
	_, err := client.Lookup(t.Context(), id)
	misconfigured(t, err, "remove")
	if err := client.Delete(t.Context(), id); err != nil || len(server.Users()) != 0 {
		t.Errorf("delete: %v, and %d users are left", err, len(server.Users()))
	}
}

func TestAServerThatDropsTheExternalID(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Quirks: scimtest.Quirks{DropsExternalIDs: true}})
	_, err := client.Create(t.Context(), newUser())
	misconfigured(t, err, "externalId")
	if n := len(server.Users()); n != 0 {
		t.Errorf("%d users are left whom nobody can find", n)
	}
	server.Inject(flaky.Fault{Method: http.MethodDelete, Kind: flaky.StatusBefore, Times: 3})
	if _, err = client.Create(t.Context(), newUser()); !identity.OutcomeUnknown(err) {
		t.Errorf("error is %v; want an unknown outcome, as one is left", err)
	}
}

func TestUsersAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	id := uuid.New()
	made := time.Date(2026, 11, 20, 10, 0, 0, 123e6, time.UTC)
	own := server.AddUser(scimtest.User{UserName: "DEFAULT/ada@lincoln.example", ExternalID: id.String(), EmailVerified: true, CreatedAt: made})
	strange := server.AddUser(scimtest.User{UserName: "grace", ExternalID: "4711", Email: "grace@lincoln.example"})
	ours, err := client.Find(t.Context(), own)
	if err != nil || ours.OurID != id || ours.Email != "ada@lincoln.example" || !ours.EmailVerified || !ours.CreatedAt.Equal(made) {
		t.Errorf("ours is %+v, %v", ours, err)
	}
	theirs, err := client.LinkAccount(t.Context(), strange, identity.Metadata{SignupID: "s"})
	if err != nil || theirs.OurID != uuid.Nil || theirs.EmailVerified || theirs.Metadata != (identity.Metadata{}) {
		t.Errorf("theirs is %+v, %v", theirs, err)
	}
	if err := client.UnlinkAccount(t.Context(), strange, "s"); err != nil {
		t.Error(err)
	}
	for _, u := range server.Users() {
		if u.ID == strange && u.ExternalID != "4711" {
			t.Errorf("the externalId of an unmanaged user became %q", u.ExternalID)
		}
	}
	for _, find := range []func() (identity.User, error){
		func() (identity.User, error) { return client.Find(t.Context(), "nobody") },
		func() (identity.User, error) { return client.LinkAccount(t.Context(), "no/bo?dy", identity.Metadata{}) },
	} {
		if _, err := find(); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("error is %v, want that there is none", err)
		}
	}
}

func TestReadsAndDeletesAreRepeated(t *testing.T) {
	t.Parallel()
	for _, kind := range []flaky.Kind{flaky.StatusBefore, flaky.LostAnswer, flaky.Reset, flaky.Truncated} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server, client := setup(t, scimtest.Config{})
			user := newUser()
			server.Inject(flaky.Fault{Path: scimtest.Organization + "/oauth2/token", Kind: kind})
			if _, err := client.Create(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			server.Inject(flaky.Fault{Method: http.MethodGet, Kind: kind})
			if _, err := client.Lookup(t.Context(), user.ID); err != nil {
				t.Error(err)
			}
			server.Inject(flaky.Fault{Method: http.MethodDelete, Kind: kind})
			if err := client.Delete(t.Context(), user.ID); err != nil || len(server.Users()) != 0 {
				t.Errorf("%v, and %d users are left", err, len(server.Users()))
			}
		})
	}
}

func TestLogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	server, client := setup(t, scimtest.Config{}, func(c *scim.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if _, err := client.Create(t.Context(), newUser()); err != nil {
		t.Fatal(err)
	}
	server.Inject(flaky.Fault{Method: http.MethodGet, Kind: flaky.Reset, Times: -1})
	if _, err := client.LookupEmail(t.Context(), newUser().Email); !identity.Temporary(err) {
		t.Fatal(err)
	}
	log := out.String()
	for _, want := range []string{"route=/scim2/Users", "oauth2/token", "status=201", "exchange failed"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not have %q:\n%s", want, log)
		}
	}
	for _, hidden := range []string{"canary", server.Config().ClientSecret} {
		if strings.Contains(log, hidden) {
			t.Errorf("the log shows %q:\n%s", hidden, log)
		}
	}
}

func TestATokenThatWasGivenIsUsed(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Token: "given-canary"}, func(c *scim.Config) {
		c.ClientID, c.ClientSecret, c.Token = "", "", secret.String("given-canary")
	})
	if _, err := client.Create(t.Context(), newUser()); err != nil {
		t.Fatal(err)
	}
	if n := server.CountCalls("", scimtest.Organization+"/oauth2"); n != 0 {
		t.Errorf("%d calls for a token, want none", n)
	}
	server.Inject(flaky.Fault{Kind: flaky.Unauthorized, Times: -1})
	_, err := client.Lookup(t.Context(), uuid.New())
	misconfigured(t, err, "check BaseURL")
}

func TestRevokedTokensAreRenewed(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	if err := client.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.RevokeTokens()
	if _, err := client.Create(t.Context(), newUser()); err != nil {
		t.Fatal(err)
	}
	if n := server.CountCalls(http.MethodPost, usersAt); n != 2 {
		t.Errorf("the create was sent %d times, want twice: refused, then done", n)
	}
}
