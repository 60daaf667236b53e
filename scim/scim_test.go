package scim_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
	"homeroom/identity/identitytest"
	"homeroom/internal/secret"
	"homeroom/scim"
	"homeroom/scim/scimtest"
)

const (
	password  = "Tr0ub4dor-canary"
	usersAt   = scimtest.Organization + "/scim2/Users"
	rolesAt   = scimtest.Organization + "/scim2/v2/Roles"
	adminRole = "School Admin"
)

// configOf returns the configuration of a client for an organization.
func configOf(server *scimtest.Server) scim.Config {
	return scim.Config{
		BaseURL: server.URL(), ClientID: server.Config().ClientID, ClientSecret: secret.String(server.Config().ClientSecret),
		UserNamePrefix: "DEFAULT/", Application: "School Portal", AdminRole: adminRole,
	}
}

func newClient(t *testing.T, cfg scim.Config) *scim.Client {
	t.Helper()
	client, err := scim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// setup starts an organization and a client of it.
func setup(t *testing.T, cfg scimtest.Config, change ...func(*scim.Config)) (*scimtest.Server, *scim.Client) {
	t.Helper()
	server := scimtest.Start(t, cfg)
	of := configOf(server)
	for _, f := range change {
		f(&of)
	}
	return server, newClient(t, of)
}

func newUser() identity.NewUser {
	return identity.NewUser{ID: uuid.New(), Email: "ada.canary@lincoln.example", Password: password, Person: identity.Person{GivenName: "Ada"}}
}

// clock is shared by a server and its client, and advanced by a test.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func fixture(t *testing.T, quirks scimtest.Quirks) identitytest.Fixture {
	now := &clock{}
	server := scimtest.Start(t, scimtest.Config{Quirks: quirks, Now: now.Now})
	cfg := configOf(server)
	cfg.Now = now.Now
	return identitytest.Fixture{
		Provider: newClient(t, cfg),
		Inject: func(kind identitytest.Fault) {
			fault := kind.Flaky()
			fault.Method, fault.Path = http.MethodPost, usersAt
			server.Inject(fault)
		},
		Creates:      func() int { return server.CountCalls(http.MethodPost, usersAt) },
		Password:     password,
		WeakPassword: "weak-canary",
		AcceptsPassword: func(email string, password secret.String) bool {
			return slices.ContainsFunc(server.Users(), func(u scimtest.User) bool { return u.Email == email && u.Password == password.Reveal() })
		},
		ProviderChoosesIDs: true,
		AllowsDuplicateIDs: true,
		Memberships: &identitytest.MembershipFixture{
			Roles: []string{identity.RoleOwner, identity.RoleAdmin},
			Inject: func(kind identitytest.Fault, skip int) {
				fault := kind.Flaky()
				fault.Method, fault.Path, fault.Skip = http.MethodPatch, rolesAt, skip
				server.Inject(fault)
			},
			Recover: func() {
				server.ClearFaults()
				now.advance(time.Minute)
			},
			Writes:          func() int { return server.CountCalls(http.MethodPatch, rolesAt) },
			MembersWithRole: func(string, string) []string { return server.Members(adminRole) },
			WithMissingRole: func() identity.Provider {
				cfg := cfg
				cfg.AdminRole = "Nobody"
				return newClient(t, cfg)
			},
		},
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	for name, quirks := range map[string]scimtest.Quirks{
		"Asgardeo": {},
		"another server": {
			BareSchemas: true, NumericStatus: true, DuplicateIsBadRequest: true, QuotedPaths: true, NoTarget: true,
			EmptyIs404: true, LooseFilters: true, ObjectEmails: true, OmitsRoles: true,
		},
		"a server with numbers for ids, and a single e-mail": {NumericIDs: true, ObjectEmails: true, Reshape: func(user map[string]any) {
			if emails, ok := user["emails"].([]map[string]any); ok {
				user["emails"] = emails[1]
			}
			user["meta"], user["active"], user["urn:scim:wso2:schema"] = "none", "True", []string{}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture { return fixture(t, quirks) })
		})
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	good := scim.Config{BaseURL: "https://api.asgardeo.io/t/lincoln/", ClientID: "id", ClientSecret: "secret"}
	for name, c := range map[string]struct {
		change func(*scim.Config)
		want   string // what the error contains; empty for none
	}{
		"a valid configuration":   {func(*scim.Config) {}, ""},
		"a token instead":         {func(c *scim.Config) { c.ClientID, c.ClientSecret, c.Token = "", "", "t" }, ""},
		"no address":              {func(c *scim.Config) { c.BaseURL = "" }, "BaseURL"},
		"a bare domain":           {func(c *scim.Config) { c.BaseURL = "api.asgardeo.io" }, "BaseURL"},
		"a token URL with query":  {func(c *scim.Config) { c.TokenURL = "https://a.example/token?x=y" }, "TokenURL"},
		"no client":               {func(c *scim.Config) { c.ClientID = "" }, "ClientID"},
		"no secret":               {func(c *scim.Config) { c.ClientSecret = "" }, "ClientSecret"},
		"a path without slash":    {func(c *scim.Config) { c.UsersPath = "Users" }, `"Users"`},
		"an application, no role": {func(c *scim.Config) { c.Application = "School Portal" }, "AdminRole"},
		"a negative timeout":      {func(c *scim.Config) { c.Timeout = -1 }, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			c.change(&cfg)
			_, err := scim.New(cfg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one of %q", err, c.want)
			}
		})
	}
}
