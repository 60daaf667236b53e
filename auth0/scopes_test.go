package auth0_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/identity"
)

// everything calls each method of a client, one after the other.
func everything(t *testing.T, client *auth0.Client, tickets bool) error {
	t.Helper()
	ctx := t.Context()
	user := newUser()
	made, err := client.Create(ctx, user)
	e := identity.Membership{
		UserID: made.ID, OurID: user.ID, TenantID: user.ID, SignupID: user.ID, Slug: "lincoln", Role: identity.RoleOwner,
	}
	member := e
	member.Role = identity.RoleMember
	for _, step := range []func() error{
		func() error { return err },
		func() error { _, err := client.Lookup(ctx, user.ID); return err },
		func() error { _, err := client.LookupEmail(ctx, user.Email); return err },
		func() error { return client.List(ctx, func(identity.User) error { return nil }) },
		func() error { return client.Verify(ctx, made.ID) },
		func() error { _, err := client.LinkAccount(ctx, made.ID, user.Metadata); return err },
		func() error {
			if !tickets {
				return nil
			}
			_, err := client.PasswordResetLink(ctx, made.ID, "", time.Hour)
			return err
		},
		func() error { _, err := client.Assign(ctx, e); return err },
		func() error { _, err := client.Assign(ctx, member); return err },
		func() error { return client.Unassign(ctx, member) },
		func() error { return client.Unassign(ctx, e) },
		func() error { return client.UnlinkAccount(ctx, made.ID, user.Metadata.SignupID) },
		func() error { return client.Delete(ctx, user.ID) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestScopesAreWhatIsNeededAndNoMore(t *testing.T) {
	t.Parallel()
	// The documentation requires these to change roles for the whole tenant, and the 403 does not name them.
	unneeded := []string{"create:role_members", "delete:role_members"}
	for name, set := range map[string]func(*auth0.Config){
		"alone": func(*auth0.Config) {}, "roles": withRoles, "organizations": withOrganizations,
		"organizations without roles": func(c *auth0.Config) { c.Organizations = true },
		"tickets":                     func(c *auth0.Config) { c.Login = auth0.LoginTicket },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cfg auth0.Config
			set(&cfg)
			scopes := cfg.Scopes()
			run := func(scopes []string) error {
				tenant := auth0test.Start(t, auth0test.Config{Roles: roles, Scopes: scopes})
				client, _ := newRecordingClient(t, tenant, set)
				if _, managesMemberships := identity.MembershipManagerOf(client); managesMemberships != (len(scopes) > 5) {
					t.Errorf("the client manages memberships: %v", managesMemberships)
				}
				return everything(t, client, cfg.Login == auth0.LoginTicket)
			}
			if err := run(scopes); err != nil {
				t.Fatalf("with all scopes: %v", err)
			}
			for i, scope := range scopes {
				if slices.Contains(unneeded, scope) {
					continue
				}
				err := run(slices.Delete(slices.Clone(scopes), i, i+1))
				if err == nil {
					t.Errorf("nothing needs the scope %s", scope)
					continue
				}
				var refused *identity.Misconfigured
				if !errors.As(err, &refused) {
					t.Errorf("without %s: %v; want a misconfiguration", scope, err)
					continue
				}
				if asked, _, _ := strings.Cut(refused.Hint, ";"); !strings.Contains(asked, scope) {
					t.Errorf("without %s the hint is %q", scope, refused.Hint)
				}
			}
		})
	}
}
