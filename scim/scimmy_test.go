package scim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"testing"
	"time"

	"homeroom/identity"
	"homeroom/identity/identitytest"
	"homeroom/internal/flaky"
	"homeroom/internal/npmtest"
	"homeroom/scim"
)

// TestProviderAtScimmy runs the conformance suite against a SCIM server by other authors, with its own way to read
// bodies, filters and paths, and its own answers. A proxy in between injects the faults.
//
// It has groups, and no roles, so a group is used as the role here. Only the simulator covers the rest: Asgardeo's
// roles and applications, tokens that expire, e-mails as plain strings, and error numbers. Scimmy has no times of
// creation.
func TestProviderAtScimmy(t *testing.T) {
	t.Parallel()
	address := startScimmy(t)
	identitytest.TestProvider(t, func(t *testing.T) identitytest.Fixture { return scimmyFixture(t, address) })
}

func scimmyFixture(t *testing.T, address *url.URL) identitytest.Fixture {
	t.Helper()
	const users, groups = "/scim/v2/Users", "/scim/v2/Groups"
	proxy := httputil.NewSingleHostReverseProxy(address)
	server, err := flaky.Listen("127.0.0.1:0", func(string) flaky.Service {
		return flaky.Service{
			Handler: proxy,
			Fail:    func(w http.ResponseWriter, status int) { http.Error(w, "Injected failure", status) },
			Throttle: func(w http.ResponseWriter, _ *http.Request, after time.Duration) {
				w.Header().Set("Retry-After", strconv.Itoa(int(after.Seconds())))
				w.WriteHeader(http.StatusTooManyRequests)
			},
			Refuse: func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) },
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	now := &clock{}
	cfg := scim.Config{
		BaseURL: server.Address(), Token: "scimmy-canary", UsersPath: users, RolesPath: groups, AdminRole: "Heads", Now: now.Now,
	}
	return identitytest.Fixture{
		Provider: newClient(t, cfg),
		Inject: func(kind identitytest.Fault) {
			fault := kind.Flaky()
			fault.Method, fault.Path = http.MethodPost, users
			server.Inject(fault)
		},
		Creates:            func() int { return server.CountCalls(http.MethodPost, users) },
		Password:           password,
		WeakPassword:       "weakcanary",
		ProviderChoosesIDs: true,
		AllowsDuplicateIDs: true,
		Memberships: &identitytest.MembershipFixture{
			Roles: []string{identity.RoleOwner},
			Inject: func(kind identitytest.Fault, skip int) {
				fault := kind.Flaky()
				fault.Method, fault.Path, fault.Skip = http.MethodPatch, groups, skip
				server.Inject(fault)
			},
			Recover: func() {
				server.ClearFaults()
				now.advance(time.Minute)
			},
			Writes:          func() int { return server.CountCalls(http.MethodPatch, groups) },
			MembersWithRole: func(string, string) []string { return heads(t, address) },
			WithMissingRole: func() identity.Provider {
				cfg := cfg
				cfg.AdminRole = "Nobody"
				return newClient(t, cfg)
			},
		},
	}
}

// heads reads the members of the group, without our client.
func heads(t *testing.T, address *url.URL) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String()+"/scim/v2/Groups/head", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer scimmy-canary")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var group struct{ Members []struct{ Value string } }
	if err := json.NewDecoder(resp.Body).Decode(&group); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("read the group: %d, %v", resp.StatusCode, err)
	}
	ids := []string{}
	for _, m := range group.Members {
		ids = append(ids, m.Value)
	}
	return ids
}

// startScimmy runs the server until the test ends.
func startScimmy(t *testing.T) *url.URL {
	t.Helper()
	folder := npmtest.Install(t, "scimmy@1.3.5", "scimmy-routers@1.3.2", "express@4.22.3")
	return &url.URL{Scheme: "http", Host: "127.0.0.1:" + npmtest.Node(t, nil, "testdata/server.mjs", folder)}
}
