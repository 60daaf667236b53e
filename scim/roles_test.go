package scim_test

import (
	"net/http"
	"testing"
	"time"

	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/scim"
	"homeroom/scim/scimtest"
)

// owner is the owner's membership of a new user.
func owner(t *testing.T, client *scim.Client) identity.Membership {
	t.Helper()
	made, err := client.Create(t.Context(), newUser())
	if err != nil {
		t.Fatal(err)
	}
	return identity.Membership{UserID: made.ID, OurID: made.OurID, Role: identity.RoleOwner}
}

func TestPrepareLooksUpOnce(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	for range 3 {
		if err := client.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.CountCalls("", ""); n != 3 {
		t.Errorf("%d calls, want three: for the token, the application and the role", n)
	}
}

func TestPrepareWantsExactlyOneOfEachName(t *testing.T) {
	t.Parallel()
	loose := scimtest.Quirks{LooseFilters: true}
	for name, c := range map[string]struct {
		is     scimtest.Config
		change func(*scim.Config)
		hint   string // empty for a success
	}{
		"as set up":                         {scimtest.Config{}, func(*scim.Config) {}, ""},
		"no such application":               {scimtest.Config{}, func(c *scim.Config) { c.Application = "Portal" }, "Application"},
		"an application with a longer name": {scimtest.Config{Quirks: loose}, func(c *scim.Config) { c.Application = "School" }, "Application"},
		"two applications":                  {scimtest.Config{Applications: []string{"School Portal", "School Portal"}}, func(*scim.Config) {}, "Application"},
		"no such role":                      {scimtest.Config{}, func(c *scim.Config) { c.AdminRole = "Head" }, "AdminRole"},
		"no such role, with status 404":     {scimtest.Config{Quirks: scimtest.Quirks{EmptyIs404: true}}, func(c *scim.Config) { c.AdminRole = "Head" }, "AdminRole"},
		"a role with a longer name":         {scimtest.Config{Quirks: loose}, func(c *scim.Config) { c.AdminRole = "School" }, "AdminRole"},
		"no such role for members":          {scimtest.Config{}, func(c *scim.Config) { c.MemberRole = "Pupil" }, "MemberRole"},
		"a quote in the name":               {scimtest.Config{Roles: []string{`The "Head"`}}, func(c *scim.Config) { c.AdminRole = `The "Head"` }, ""},
		"one role for all":                  {scimtest.Config{}, func(c *scim.Config) { c.MemberRole = adminRole }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client := setup(t, c.is, c.change)
			err := client.Prepare(t.Context())
			if c.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			misconfigured(t, err, c.hint)
		})
	}
}

func TestARoleOfAnotherApplicationIsNotOurs(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Applications: []string{"Shop"}, Quirks: scimtest.Quirks{LooseFilters: true}})
	ours := server.AddApplication("School Portal")
	misconfigured(t, client.Prepare(t.Context()), "AdminRole")
	server.AddRole(adminRole, ours)
	if err := client.Prepare(t.Context()); err != nil {
		t.Errorf("after the role was created: %v", err)
	}
	cfg := configOf(server)
	cfg.Application = ""
	misconfigured(t, newClient(t, cfg).Prepare(t.Context()), "Application")
}

func TestAssignReadsBeforeItWrites(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{})
	place := owner(t, client)
	for range 3 {
		if _, err := client.Assign(t.Context(), place); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.CountCalls(http.MethodPatch, ""); n != 1 {
		t.Errorf("%d writes, want one", n)
	}
	for range 3 {
		if err := client.Unassign(t.Context(), place); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.CountCalls(http.MethodPatch, ""); n != 2 {
		t.Errorf("%d writes after an unassign, want two", n)
	}
}

// A server may list a user twice in a role after two adds, so the second attempt reads first.
func TestALostAnswerOfAssignIsResolvedByALookup(t *testing.T) {
	t.Parallel()
	for kind, writes := range map[flaky.Kind]int{flaky.LostAnswer: 1, flaky.Truncated: 1, flaky.StatusBefore: 2, flaky.Reset: 2} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server, client := setup(t, scimtest.Config{})
			place := owner(t, client)
			if err := client.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.Inject(flaky.Fault{Method: http.MethodPatch, Kind: kind})
			if _, err := client.Assign(t.Context(), place); err != nil {
				t.Error(err)
			}
			if n := server.CountCalls(http.MethodPatch, ""); n != writes || len(server.Members(adminRole)) != 1 {
				t.Errorf("%d writes, and the role has %v; want %d and one", n, server.Members(adminRole), writes)
			}
		})
	}
	server, client := setup(t, scimtest.Config{})
	place := owner(t, client)
	server.Inject(flaky.Fault{Method: http.MethodPatch, Kind: flaky.StatusBefore, Status: http.StatusConflict, Times: -1})
	if _, err := client.Assign(t.Context(), place); !identity.OutcomeUnknown(err) {
		t.Errorf("a concurrently changed role: %v, want an unknown outcome", err)
	}
}

func TestMembersHaveNoRoleUnlessOneIsNamed(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Roles: []string{adminRole, "Pupil"}})
	place := owner(t, client)
	place.Role = identity.RoleMember
	for _, do := range []func() error{
		func() error { _, err := client.Assign(t.Context(), place); return err },
		func() error { return client.Unassign(t.Context(), place) },
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
	}
	if n := server.CountCalls(http.MethodPatch, ""); n != 0 {
		t.Errorf("%d writes, want none", n)
	}
	cfg := configOf(server)
	cfg.MemberRole = "Pupil"
	if _, err := newClient(t, cfg).Assign(t.Context(), place); err != nil {
		t.Fatal(err)
	}
	if len(server.Members("Pupil")) != 1 || len(server.Members(adminRole)) != 0 {
		t.Errorf("pupils are %v, admins %v", server.Members("Pupil"), server.Members(adminRole))
	}
	cfg.AdminRole, cfg.MemberRole, cfg.Application = "", "", ""
	if newClient(t, cfg).ManagesMemberships() {
		t.Error("a client without roles manages memberships")
	}
}

func TestARoleThatWasMadeAnewIsFound(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{Applications: []string{}}, func(c *scim.Config) { c.Application = "" })
	place := owner(t, client)
	if err := client.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.RemoveRoles(adminRole)
	_, err := client.Assign(t.Context(), place)
	misconfigured(t, err, "AdminRole")
	if err := client.Unassign(t.Context(), place); err != nil {
		t.Errorf("unassign from a deleted role: %v", err)
	}
	server.AddRole(adminRole, "")
	if _, err := client.Assign(t.Context(), place); err != nil || len(server.Members(adminRole)) != 1 {
		t.Errorf("%v, and the role has %v", err, server.Members(adminRole))
	}
}

func TestAPauseHoldsTheNextCallBack(t *testing.T) {
	t.Parallel()
	server, client := setup(t, scimtest.Config{}, func(c *scim.Config) { c.MaxWait = 20 * time.Second })
	place := owner(t, client)
	if err := client.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Inject(flaky.Fault{Method: http.MethodPatch, Kind: flaky.RateLimited, RetryAfter: 40 * time.Second})
	for range 2 {
		_, err := client.Assign(t.Context(), place)
		if wait := identity.RetryAfter(err); !identity.Temporary(err) || wait < 30*time.Second || wait > 40*time.Second {
			t.Errorf("error is %v, to retry after %s; want about 40 s", err, wait)
		}
	}
	if n := server.CountCalls(http.MethodPatch, ""); n != 1 {
		t.Errorf("%d calls were sent, want one: the second was refused here", n)
	}
}
