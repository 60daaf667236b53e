package auth0_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/identity/identitytest"
	"homeroom/internal/secret"
)

const password = "Tr0ub4dor&3-canary"

// configOf returns the configuration of a client for a tenant.
func configOf(tenant *auth0test.Server) auth0.Config {
	is := tenant.Config()
	return auth0.Config{
		BaseURL: is.BaseURL, ClientID: is.ClientID, ClientSecret: secret.String(is.ClientSecret),
		ManagementAudience: is.ManagementAudience,
	}
}

func newClient(t *testing.T, cfg auth0.Config) *auth0.Client {
	t.Helper()
	client, err := auth0.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// seededAt is about when seeded users were created.
var seededAt = time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)

// searchDelay is the delay of the search of the suite's tenants.
const searchDelay = time.Second

// clock is shared by a tenant and its client, and advanced by a test.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// opener logs people in, in a tenant with passwords.
func opener(t *testing.T, tenant *auth0test.Server, cfg auth0.Config) func(string, secret.String) bool {
	cfg.Audience = tenant.Config().Audience
	client := newClient(t, cfg)
	return func(email string, password secret.String) bool {
		_, err := client.OpenSession(t.Context(), email, password, "")
		return err == nil
	}
}

func fixture(t *testing.T, tenant *auth0test.Server, cfg auth0.Config, now *clock) identitytest.Fixture {
	cfg.Now, cfg.Timeout = now.Now, time.Minute // the tenant is not slow, only the machine may be
	cfg.OwnerRole, cfg.AdminRole, cfg.MemberRole = "owner", "staff", "pupil"
	return identitytest.Fixture{
		Memberships: membershipFixture(t, tenant, cfg, now),
		Provider:    newClient(t, cfg),
		Inject: func(kind identitytest.Fault) {
			fault := kind.Flaky()
			fault.Method, fault.Path = http.MethodPost, "/api/v2/users"
			tenant.Inject(fault)
		},
		Creates:         func() int { return tenant.CountCalls(http.MethodPost, "/api/v2/users") },
		Password:        password,
		WeakPassword:    "weak-canary",
		AcceptsPassword: opener(t, tenant, cfg),
		List: &identitytest.ListFixture{
			Inject: func(kind identitytest.Fault, skip int) {
				fault := kind.Flaky()
				fault.Method, fault.Path, fault.Skip = http.MethodGet, "/api/v2/users", skip
				tenant.Inject(fault)
			},
			Seed:           func(users []identity.NewUser) { seed(t, tenant, users...) },
			WaitConsistent: func() { now.advance(searchDelay) },
			Many:           230,
		},
	}
}

// seed adds users to the tenant without creates. Three at a time were created in the same millisecond.
func seed(t *testing.T, tenant *auth0test.Server, users ...identity.NewUser) {
	t.Helper()
	there := make([]auth0test.User, len(users))
	for i, u := range users {
		there[i] = auth0test.User{
			ID: tenant.Config().Connections[0].Strategy + "|" + u.ID.String(), Email: u.Email, GivenName: u.GivenName, FamilyName: u.FamilyName, Name: u.Name,
			CreatedAt: auth0test.Time{Time: seededAt.Add(time.Duration(i/3) * time.Millisecond)},
		}
		if m := u.Metadata; m != (identity.Metadata{}) {
			there[i].AppMetadata = map[string]any{
				"tenant_id": m.TenantID, "database": m.Database, "school_name": m.SchoolName, "signup_id": m.SignupID,
			}
		}
	}
	if err := tenant.Seed(there...); err != nil {
		t.Fatal(err)
	}
}

func TestProvider(t *testing.T) {
	t.Parallel()
	identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture {
		now := &clock{}
		tenant := auth0test.Start(t, auth0test.Config{SearchDelay: searchDelay, Now: now.Now, Roles: roles})
		return fixture(t, tenant, configOf(tenant), now)
	})
}

// Auth0 uses HTTP/2, for which net/http has other rules to repeat a request. Here each school has an organization, and
// in the other tests none has.
func TestProviderOverHTTP2(t *testing.T) {
	t.Parallel()
	identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture {
		server, now := httptest.NewUnstartedServer(nil), &clock{}
		tenant, err := auth0test.New(auth0test.Config{
			BaseURL: "https://" + server.Listener.Addr().String(), SearchDelay: searchDelay, Now: now.Now,
			Roles: roles, MemberDelay: searchDelay,
		})
		if err != nil {
			t.Fatal(err)
		}
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				t.Errorf("%s was sent by %s", r.URL.Path, r.Proto)
			}
			tenant.ServeHTTP(w, r)
		})
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(func() {
			tenant.Close()
			server.Close()
		})
		cfg := configOf(tenant)
		cfg.Transport = server.Client().Transport
		cfg.Organizations = true
		return fixture(t, tenant, cfg, now)
	})
}

func TestWarmFetchesTheToken(t *testing.T) {
	t.Parallel()
	tenant := auth0test.Start(t, auth0test.Config{})
	client := newClient(t, configOf(tenant))
	for range 2 {
		if err := client.Warm(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n := tenant.CountCalls("", ""); n != 1 {
		t.Errorf("%d calls, want one for the token", n)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	good := auth0.Config{BaseURL: "https://lincoln.eu.auth0.com/", ClientID: "id", ClientSecret: "secret"}
	if _, err := auth0.New(good); err != nil {
		t.Fatalf("a valid configuration is refused: %v", err)
	}
	for name, change := range map[string]func(*auth0.Config){
		"no address":            func(c *auth0.Config) { c.BaseURL = "" },
		"a bare domain":         func(c *auth0.Config) { c.BaseURL = "lincoln.eu.auth0.com" },
		"another scheme":        func(c *auth0.Config) { c.BaseURL = "ftp://lincoln.eu.auth0.com" },
		"an address with path":  func(c *auth0.Config) { c.BaseURL += "api/v2" },
		"no client":             func(c *auth0.Config) { c.ClientID = "" },
		"no secret":             func(c *auth0.Config) { c.ClientSecret = "" },
		"a negative timeout":    func(c *auth0.Config) { c.Timeout = -1 },
		"a negative wait":       func(c *auth0.Config) { c.MaxWait = -1 },
		"an address with query": func(c *auth0.Config) { c.BaseURL += "?x" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			change(&cfg)
			if _, err := auth0.New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// The passwordless connection has ids with another prefix, and no passwords.
func TestProviderWithoutPasswords(t *testing.T) {
	t.Parallel()
	identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture {
		now := &clock{}
		tenant := auth0test.Start(t, auth0test.Config{
			SearchDelay: searchDelay, Now: now.Now, Roles: roles,
			Connections: []auth0test.Connection{{Name: "email", Strategy: "email"}},
		})
		cfg := configOf(tenant)
		cfg.Login = auth0.LoginEmail
		return fixture(t, tenant, cfg, now)
	})
}
