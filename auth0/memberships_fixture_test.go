package auth0_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
	"homeroom/identity/identitytest"
)

// roles are the roles of the suite's tenants. Auth0's filter finds the first three for "owner".
var roles = []string{"Owner", "co-owner", "owner", "staff", "pupil"}

// ours are their names by the roles of package identity.
var ours = map[string]string{identity.RoleOwner: "owner", identity.RoleAdmin: "staff", identity.RoleMember: "pupil"}

// isWrite reports whether a call of the Management API changes something, except creating a user.
func isWrite(r *http.Request) bool { return changes(r.Method, r.URL.Path) }

func changes(method, path string) bool {
	return method != http.MethodGet && strings.HasPrefix(path, "/api/v2/") && (method != http.MethodPost || path != "/api/v2/users")
}

func membershipFixture(t *testing.T, tenant *auth0test.Server, cfg auth0.Config, now *clock) *identitytest.MembershipFixture {
	fixture := &identitytest.MembershipFixture{
		Roles: []string{identity.RoleOwner, identity.RoleAdmin, identity.RoleMember},
		Inject: func(kind identitytest.Fault, skip int) {
			fault := kind.Flaky()
			fault.Match, fault.Skip = isWrite, skip
			tenant.Inject(fault)
		},
		Recover: func() {
			tenant.ClearFaults()
			now.advance(5 * time.Second)
		},
		Writes: func() int { return writes(tenant) },
		MembersWithRole: func(role, organizationID string) []string {
			var holders []string
			for _, user := range tenant.Users() {
				have := tenant.RolesOf(user.ID)
				if organizationID != "" {
					have = tenant.MemberRoles(organizationID, user.ID)
				}
				if slices.Contains(have, ours[role]) {
					holders = append(holders, user.ID)
				}
			}
			return holders
		},
		WithMissingRole: func() identity.Provider {
			broken := cfg
			broken.OwnerRole = "OWNER"
			return newClient(t, broken)
		},
	}
	if cfg.Organizations {
		fixture.Organizations = true
		fixture.ListOrganizations = func() []identitytest.Organization { return schools(tenant) }
		fixture.AddUnmanaged = func(name string) { take(t, tenant, name) }
	}
	return fixture
}

func writes(tenant *auth0test.Server) int {
	n := 0
	for _, call := range tenant.Calls() {
		if changes(call.Method, call.Path) {
			n++
		}
	}
	return n
}

func schools(tenant *auth0test.Server) []identitytest.Organization {
	var all []identitytest.Organization
	for _, org := range tenant.Organizations() {
		one := identitytest.Organization{ID: org.ID, TenantID: org.Metadata["tenant_id"]}
		for _, member := range org.Members {
			one.Members = append(one.Members, member.UserID)
		}
		all = append(all, one)
	}
	return all
}

// take creates an unmanaged organization with a name.
func take(t *testing.T, tenant *auth0test.Server, name string) {
	t.Helper()
	if _, err := tenant.SeedOrganization(name, map[string]string{"owner": "somebody else"}); err != nil {
		t.Fatal(err)
	}
}
