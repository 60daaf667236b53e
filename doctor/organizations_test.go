package doctor_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

func withOrganizations(c *auth0.Config) {
	c.Organizations, c.OwnerRole, c.MemberRole = true, "owner", "member"
}

// seedOrganization creates an organization without members.
func (w *world) seedOrganization(name string, tenantID uuid.UUID) string {
	w.Helper()
	id, err := w.auth0.SeedOrganization(name, map[string]string{"tenant_id": tenantID.String()})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// place is a person's membership at a school.
func place(result *signup.Result, role string) identity.Membership {
	return identity.Membership{
		UserID: result.User.IdentityID, OurID: result.User.ID, TenantID: result.School.ID, SignupID: result.SignupID,
		SchoolName: result.School.Name, Slug: result.School.Slug, Role: role,
	}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	w := setup(t, 1, withOrganizations)
	school := w.school()
	member := w.begin(w.invited(school.School.ID))
	organization := func() string { return value[string](w, "select organization_id from tenants where state = 'ready'") }
	first := organization()
	elsewhere := identity.Membership{
		UserID: "auth0|eve", TenantID: uuid.New(), SignupID: uuid.New(), SchoolName: "Elsewhere", Slug: "elsewhere", Role: identity.RoleOwner,
	}
	// recorded records an organization in the catalog, as of some time ago.
	recorded := func(w *world, organization string) {
		w.sql("update tenants set organization_id = $1, updated_at = now() - interval '16 minutes' where state = 'ready'", organization)
	}
	run(t, w, []testCase{
		{
			name: "of an unknown tenant", finds: "organization_without_school",
			make: func(w *world) { w.seedOrganization("nobodys", uuid.New()) },
		},
		{
			name:       "of an unknown tenant, with members",
			unfollowed: true,
			finds:      "organization_without_school", leaves: "organization_without_school",
			make: func(w *world) {
				if err := w.auth0.Seed(userWith("eve", "eve@elsewhere.example", nil)); err != nil {
					w.Fatal(err)
				}
				if _, err := w.client.Assign(w.Context(), elsewhere); err != nil {
					w.Fatal(err)
				}
			},
			repair: func(w *world) {
				if err := w.client.Unassign(w.Context(), elsewhere); err != nil {
					w.Fatal(err)
				}
			},
		},
		{
			name: "of a spare", finds: "organization_without_school",
			make: func(w *world) {
				w.seedOrganization("late", value[uuid.UUID](w, "select id from tenants where state = 'spare'"))
			},
		},
		{
			name: "a second one of a school", finds: "organization_without_school",
			make: func(w *world) { w.seedOrganization("second", school.School.ID) },
		},
		{
			name: "that is not in the catalog", finds: "organization_without_school",
			make: func(w *world) { w.sql("update tenants set organization_id = null") },
		},
		{
			name: "another than the catalog has", finds: "organization_missing organization_without_school",
			make: func(w *world) { recorded(w, "org_another") },
		},
		{
			name: "that somebody has removed", finds: "organization_missing",
			make: func(w *world) {
				for role, result := range map[string]*signup.Result{identity.RoleMember: member, identity.RoleOwner: school} {
					if err := w.client.Unassign(w.Context(), place(result, role)); err != nil {
						w.Fatal(err)
					}
				}
				if left := w.auth0.Organizations(); len(left) != 0 {
					w.Fatalf("still there: %+v", left)
				}
				w.finds("") // the lists may be outdated
				recorded(w, organization())
			},
		},
		{
			name: "of a school without an owner, removed", finds: "organization_missing", leaves: "organization_missing",
			make: func(w *world) {
				w.sql("update users set role = 'member' where role = 'owner'")
				recorded(w, "org_away")
				for _, result := range []*signup.Result{member, school} {
					if err := w.client.Unassign(w.Context(), place(result, identity.RoleMember)); err != nil {
						w.Fatal(err)
					}
				}
			},
			repair: func(w *world) {
				w.sql("update users set role = 'owner' where id = $1", school.User.ID)
				w.fix(w.finds("organization_missing"))
			},
		},
	})
	now := organization()
	for role, result := range map[string]*signup.Result{"member": member, "owner": school} {
		if roles := w.auth0.MemberRoles(now, result.User.IdentityID); !slices.Equal(roles, []string{role}) {
			t.Errorf("the %s has the roles %v", role, roles)
		}
	}
	if all := w.auth0.Organizations(); now == first || len(all) != 1 || all[0].ID != now {
		t.Errorf("the catalog has %s, and there are %+v", now, all)
	}
}

// A repair does nothing if an organization is needed again since the examination.
func TestAnOrganizationIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, 0, withOrganizations)
	school := w.school()
	recorded := value[string](w, "select organization_id from tenants")
	changed := func(name string, report doctor.Report) {
		t.Helper()
		onResult := 0
		_, err := w.doctor.Fix(t.Context(), report, func(_ doctor.Finding, err error) {
			if onResult++; !errors.Is(err, catalog.ErrStateChanged) {
				t.Errorf("%s: the repair returned %v", name, err)
			}
		})
		if err != nil || onResult != 1 {
			t.Errorf("%s: %d repairs, %v", name, onResult, err)
		}
	}
	stray := w.seedOrganization("stray", school.School.ID)
	report := w.finds("organization_without_school")
	w.sql("update tenants set organization_id = $1", stray)
	changed("one that is a school's by now", report)
	w.sql("update tenants set organization_id = $1", recorded)
	w.fix(report)
	w.finds("")

	w.sql("update tenants set organization_id = null")
	report = w.finds("organization_without_school")
	w.sql("update tenants set organization_id = 'org_another', updated_at = now() - interval '16 minutes'")
	changed("a school that has one by now", report)

	report = w.finds("organization_missing organization_without_school")
	report.Findings = report.Findings[:1]
	w.sql("update tenants set state = 'suspended'")
	changed("a school that was suspended", report)
	w.sql("update tenants set state = 'ready', organization_id = $1", recorded)
	w.finds("")
}

// An incomplete list of organizations, or a provider that no longer manages any, does not show what is missing.
func TestOrganizationsThatAreNotListed(t *testing.T) {
	t.Parallel()
	w := setup(t, 0, withOrganizations)
	w.school()
	w.auth0.Inject(flaky.Fault{
		Method: "GET", Path: "/api/v2/organizations", Kind: flaky.StatusBefore, Status: 500, Times: -1,
	})
	w.finds("identities_unreachable")
	w.auth0.ClearFaults()
	w.finds("")
	w.sql("update tenants set organization_id = 'org_of_long_ago', updated_at = now() - interval '16 minutes'")
	w.finds("organization_missing organization_without_school")
	w.config.Identity = w.newClient()
	w.doctor = w.newDoctor(w.config)
	w.finds("")
}

// A large number of differences is one finding, and only some are looked up.
func TestOrganizationsOfAnotherTenantOfTheProvider(t *testing.T) {
	t.Parallel()
	w := setup(t, 0, withOrganizations)
	for range 60 {
		w.seedOrganization("of-"+uuid.NewString(), uuid.New())
	}
	found := map[doctor.Code]int{}
	for _, f := range w.examine().Findings {
		found[f.Code]++
	}
	if found[doctor.IdentitiesUnconfirmed] != 1 || found[doctor.OrganizationWithoutSchool] != 50 || len(found) != 2 {
		t.Errorf("found %v", found)
	}
}
