package auth0_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

// withRoles and withOrganizations are configurations with the two kinds of memberships.
func withRoles(c *auth0.Config) { c.OwnerRole, c.AdminRole, c.MemberRole = "owner", "staff", "pupil" }

func withOrganizations(c *auth0.Config) {
	withRoles(c)
	c.Organizations = true
}

func startTenant(t *testing.T) *auth0test.Server {
	t.Helper()
	return auth0test.Start(t, auth0test.Config{Roles: roles})
}

// assigned creates an account, and returns the membership that it is to get.
func assigned(t *testing.T, client *auth0.Client, slug string) identity.Membership {
	t.Helper()
	user := newUser()
	user.Email = user.ID.String() + "@lincoln.example"
	made, err := client.Create(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return identity.Membership{
		UserID: made.ID, OurID: user.ID, TenantID: uuid.New(), SignupID: uuid.New(),
		SchoolName: "Łódź “Lincoln” High", Slug: slug, Role: identity.RoleOwner,
	}
}

// wantMembership checks that there is one organization, with this one member, who has the role.
func wantMembership(t *testing.T, tenant *auth0test.Server, e identity.Membership, organizations int) {
	t.Helper()
	orgs := tenant.Organizations()
	if len(orgs) != organizations {
		t.Fatalf("%d organizations, want %d", len(orgs), organizations)
	}
	have := tenant.RolesOf(e.UserID)
	if organizations > 0 {
		managed := orgs[len(orgs)-1]
		if len(managed.Members) != 1 || managed.Members[0].UserID != e.UserID || managed.Metadata["tenant_id"] != e.TenantID.String() {
			t.Errorf("the organization is %+v, want only the account as member", managed)
		}
		if len(have) != 0 {
			t.Errorf("the account has roles for the whole tenant: %v", have)
		}
		have = tenant.MemberRoles(managed.ID, e.UserID)
	}
	if !slices.Equal(have, []string{"owner"}) {
		t.Errorf("the roles are %v, want the owner's", have)
	}
}

// crashingTransport cancels a context after this number of answers of the Management API.
type crashingTransport struct {
	mu     sync.Mutex
	left   int
	cancel context.CancelFunc
}

// RoundTrip implements http.RoundTripper.
func (k *crashingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left == 0 {
		k.cancel()
	}
	return res, err
}

func TestAssignSurvivesACrashAfterEachRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set           func(*auth0.Config)
		organizations int
		requests      int // of Prepare and Assign
	}{
		"roles":         {withRoles, 0, 3 + 1},
		"organizations": {withOrganizations, 1, 4 + 4},
	} {
		for death := 1; death <= c.requests+1; death++ {
			t.Run(fmt.Sprintf("%s, after %d", name, death), func(t *testing.T) {
				t.Parallel()
				tenant := startTenant(t)
				cfg := configOf(tenant)
				c.set(&cfg)
				e := assigned(t, newClient(t, cfg), "lincoln")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				dying := cfg
				dying.Transport = &crashingTransport{left: 1 + death, cancel: cancel} // the first is for the token
				_, err := newClient(t, dying).Assign(ctx, e)
				if died := ctx.Err() != nil; died != (death <= c.requests) {
					t.Fatalf("crashed: %v; want an assignment of %d requests", died, c.requests)
				}
				if err != nil && !identity.Temporary(err) && !identity.OutcomeUnknown(err) {
					t.Errorf("%v; want a temporary error", err)
				}
				again := newClient(t, cfg)
				for range 2 {
					if _, err := again.Assign(t.Context(), e); err != nil {
						t.Fatal(err)
					}
					wantMembership(t, tenant, e, c.organizations)
				}
			})
		}
	}
}

func TestTwoReplicasMakeOneOrganization(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	take(t, tenant, "lincoln")
	cfg := configOf(tenant)
	withOrganizations(&cfg)
	e := assigned(t, newClient(t, cfg), "lincoln")
	places := make([]identity.Assignment, 2)
	var wg sync.WaitGroup
	for i := range places {
		client := newClient(t, cfg)
		wg.Go(func() {
			var err error
			if places[i], err = client.Assign(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if places[0] != places[1] || places[0].OrganizationID == "" {
		t.Errorf("the assignments are %+v", places)
	}
	wantMembership(t, tenant, e, 2) // one is unmanaged
}

func TestAnOrganizationIsMadeWithAllThatItNeeds(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln-high")
	place, err := client.Assign(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	org := tenant.Organizations()[0]
	if org.ID != place.OrganizationID || org.Name != "lincoln-high" || org.DisplayName != e.SchoolName ||
		org.Metadata["signup_id"] != e.SignupID.String() || len(org.Metadata) != 2 {
		t.Errorf("the organization is %+v", org)
	}
	if len(org.Connections) != 1 || org.Connections[0].AssignMembershipOnLogin || org.Connections[0].SignupEnabled {
		t.Errorf("the connections are %+v; want one that makes nobody a member", org.Connections)
	}
	if n := tenant.CountCalls("POST", "/api/v2/organizations/"+org.ID+"/enabled_connections"); n != 0 {
		t.Errorf("the connection was enabled %d times more", n)
	}
}

func TestAFoundOrganizationGetsItsConnection(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln")
	if _, err := tenant.SeedOrganization("lincoln", map[string]string{"tenant_id": e.TenantID.String()}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.Assign(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if org := tenant.Organizations()[0]; len(org.Connections) != 1 {
			t.Errorf("the connections are %+v, want one", org.Connections)
		}
	}
	wantMembership(t, tenant, e, 1)
}

func TestNamesOfUnmanagedOrganizationsAreSkipped(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln")
	take(t, tenant, "lincoln")
	for n := 2; n <= 9; n++ {
		take(t, tenant, fmt.Sprintf("lincoln-%d", n))
	}
	if _, err := client.Assign(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	orgs := tenant.Organizations()
	if id := e.TenantID.String(); len(orgs) != 10 || orgs[9].Name != "lincoln-"+id[len(id)-8:] {
		t.Errorf("the %d organizations end with %+v", len(orgs), orgs[len(orgs)-1])
	}
	wantMembership(t, tenant, e, 10)

	other := assigned(t, client, "lincoln")
	id := other.TenantID.String()
	take(t, tenant, "lincoln-"+id[len(id)-8:])
	_, err := client.Assign(t.Context(), other)
	checkError(t, err, misconfigured, "all names", "lincoln")
}

func TestAMembersOrganizationIsFoundUnderALaterName(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	owner := assigned(t, client, "lincoln")
	// The earlier names belonged to unmanaged organizations, and are free again.
	id, err := tenant.SeedOrganization("lincoln-4", map[string]string{"tenant_id": owner.TenantID.String()})
	if err != nil {
		t.Fatal(err)
	}
	member := assigned(t, client, "lincoln")
	member.TenantID, member.Role = owner.TenantID, identity.RoleMember
	place, err := client.Assign(t.Context(), member)
	if err != nil || place.OrganizationID != id || len(tenant.Organizations()) != 1 {
		t.Errorf("the assignment is %+v, %v; want it in %s", place, err, id)
	}
	if have := tenant.MemberRoles(id, member.UserID); !slices.Equal(have, []string{"pupil"}) {
		t.Errorf("the roles are %v, want the member's", have)
	}
}

func TestOrganizationsAreNamedByAuth0sRules(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, _ := newRecordingClient(t, tenant, withOrganizations)
	long := strings.Repeat("a-", 40)
	for slug, want := range map[string]string{
		"lincoln":       "lincoln",
		"Lincoln High!": "lincoln-high",
		"--x--":         "x",
		"":              "school",
		long:            strings.TrimRight(long[:50], "-"),
		"42nd_street":   "42nd_street",
	} {
		if _, err := client.Assign(t.Context(), assigned(t, client, slug)); err != nil {
			t.Fatalf("%q: %v", slug, err)
		}
		orgs := tenant.Organizations()
		if got := orgs[len(orgs)-1].Name; got != want {
			t.Errorf("%q is named %q, want %q", slug, got, want)
		}
	}
	if _, err := client.Assign(t.Context(), assigned(t, client, long+"another")); err != nil {
		t.Fatal(err)
	}
	orgs := tenant.Organizations()
	if got := orgs[len(orgs)-1].Name; got != strings.TrimRight(long[:48], "-")+"-2" || len(got) > 50 {
		t.Errorf("the second long one is named %q", got)
	}
}

func TestIDsAreLookedUpOnce(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant, withOrganizations)
	if err := client.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(recorded.requests)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := client.Prepare(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(recorded.requests); n != before {
		t.Errorf("%d requests more, want none", n-before)
	}
}

func TestARoleThatIsRemovedIsNoticed(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*auth0.Config){"roles": withRoles, "organizations": withOrganizations} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := startTenant(t)
			client, _ := newRecordingClient(t, tenant, set)
			if err := client.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			tenant.RemoveRole("owner")
			e := assigned(t, client, "lincoln")
			if _, err := client.Assign(t.Context(), e); !identity.Temporary(err) {
				t.Errorf("%v; want a temporary error, because the cached ids are stale", err)
			}
			_, err := client.Assign(t.Context(), e)
			checkError(t, err, misconfigured, `"owner"`, "OwnerRole")
		})
	}
}

func TestAMissingConnectionIsMisconfigured(t *testing.T) {
	t.Parallel()
	client, _ := newRecordingClient(t, startTenant(t), withOrganizations, func(c *auth0.Config) { c.Connection = "schools" })
	err := client.Prepare(t.Context())
	checkError(t, err, misconfigured, `"schools"`, "Connection")
}

func TestAMemberWhoIsRefusedBecauseTheUserIsGone(t *testing.T) {
	t.Parallel()
	tenant := startTenant(t)
	client, recorded := newRecordingClient(t, tenant, withOrganizations)
	e := assigned(t, client, "lincoln")
	other := newClient(t, configOf(tenant))
	recorded.before = func(r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/members") {
			return
		}
		if err := other.Delete(context.WithoutCancel(r.Context()), e.OurID); err != nil {
			t.Error(err)
		}
	}
	if _, err := client.Assign(t.Context(), e); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("%v; want that the account is gone", err)
	}
	if err := client.Unassign(t.Context(), e); err != nil || len(tenant.Organizations()) != 0 {
		t.Errorf("unassign: %v; %d organizations are left", err, len(tenant.Organizations()))
	}
}
