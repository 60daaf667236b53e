package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/identity"
	"homeroom/signup"
)

func verifyFirst(c *signup.Config)  { c.VerifyFirst = true }
func withApproval(c *signup.Config) { c.Mode = signup.WithApproval }
func hideAccounts(c *signup.Config) { c.VerifyFirst, c.HideAccounts = true, true }

// own returns an account that a person has created at the provider, and signs up with.
func (w *world) own(id, email string) signup.Request {
	w.Helper()
	provider, local, _ := strings.Cut(id, "|")
	user := auth0test.User{ID: id, Email: email, EmailVerified: true, AppMetadata: map[string]any{"theirs": "stays"}}
	if provider != "auth0" {
		user.Identities = []auth0test.Identity{{Connection: provider, UserID: local, Provider: provider, IsSocial: true}}
	}
	if err := w.auth0.Seed(user); err != nil {
		w.Fatal(err)
	}
	account, err := w.service.Account(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return signup.Request{Email: account.Email, Account: &account, SchoolName: "Lincoln High", IdempotencyKey: uuid.NewString()}
}

// invited accepts an invitation to a school.
func (w *world) invited(school uuid.UUID) signup.Request {
	w.Helper()
	req := request()
	made, err := w.service.Invite(w.Context(), signup.InviteRequest{Tenant: &school, Email: req.Email, By: catalog.Actor{Name: "operator"}})
	if err != nil {
		w.Fatal(err)
	}
	req.SchoolName, req.Invitation = "", w.service.InvitationToken(made.ID)
	return req
}

// waits signs up with a service where the sign-up must wait.
func (w *world) waits(service *signup.Service, req signup.Request, status catalog.Status) uuid.UUID {
	w.Helper()
	outcome, err := service.Begin(w.Context(), req)
	if err != nil || outcome.Status != status {
		w.Fatalf("it does not wait: %+v, %v", outcome, err)
	}
	return outcome.SignupID
}

// TestHealthyPeopleAreNoFinding has people of every kind in one world: people who wait, who used an existing account,
// who joined a school, whose account is hidden, and who have organizations.
func TestHealthyPeopleAreNoFinding(t *testing.T) {
	t.Parallel()
	w := setup(t, 1, withOrganizations)
	school := w.school()
	w.begin(w.invited(school.School.ID))
	w.begin(w.own("auth0|"+uuid.NewString(), "native@lincoln.example"))
	social := w.begin(w.own("google-oauth2|1234567890", "social@lincoln.example"))
	w.waits(w.newService(verifyFirst), request(), catalog.AwaitingVerification)
	approving := w.newService(withApproval)
	waiting := w.waits(approving, request(), catalog.AwaitingApproval)
	w.waits(approving, w.own("auth0|5f7c8ec7c33c6c004bbafe82", "waits@lincoln.example"), catalog.AwaitingApproval)
	concealing := w.newService(hideAccounts)
	w.waits(concealing, request(), catalog.AwaitingVerification)
	decoy := request()
	decoy.Email = school.User.Email
	w.waits(concealing, decoy, catalog.AwaitingVerification)
	for name, metadata := range map[string]map[string]string{
		"strangers": nil, "under-way": {"tenant_id": uuid.NewString(), "signup_id": waiting.String()},
	} {
		if _, err := w.auth0.SeedOrganization(name, metadata); err != nil {
			t.Fatal(err)
		}
	}
	look := func() {
		t.Helper()
		report := w.finds("")
		if c := report.Counts; len(report.Skipped) > 0 || c.Unfinished != 5 || c.Identities != 6 || c.Organizations != 4 {
			t.Errorf("examined %+v: %v", c, report.Skipped)
		}
	}
	look()
	// The examination does not change the provider's accounts.
	w.config.Pause = 0
	w.doctor = w.newDoctor(w.config)
	look()
	for _, slug := range []string{school.School.Slug, social.School.Slug} {
		report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All, Only: []string{slug}})
		if err != nil || codes(report) != "" {
			t.Errorf("one school: %v%s", err, describe(report))
		}
	}
	// Sign-ups that exceed the wait timeout leave nothing behind.
	w.sql("update signups set check_at = now() where status like 'awaiting%'")
	if err := w.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.finds("")
	w.sql("update signups set check_at = now(), finished_at = now() - interval '1 hour' where status = 'expired'")
	if err := w.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.finds("organization_without_school") // the one of a sign-up that has ended
}

func TestLinkedAccounts(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	native := w.begin(w.own("auth0|"+uuid.NewString(), "native@lincoln.example")).User.IdentityID
	social := w.begin(w.own("google-oauth2|1234567890", "social@lincoln.example")).User.IdentityID
	whole := w.auth0.Users()
	restore := func(w *world) {
		w.auth0.DeleteAll()
		if err := w.auth0.Seed(whole...); err != nil {
			w.Fatal(err)
		}
	}
	removed := func(w *world, id string) {
		restore(w)
		w.auth0.DeleteAll()
		for _, user := range whole {
			if user.ID != id {
				if err := w.auth0.Seed(user); err != nil {
					w.Fatal(err)
				}
			}
		}
	}
	left := uuid.New()
	run(t, w, []testCase{
		{
			name: "and removed", finds: "identity_missing", leaves: "identity_missing",
			make: func(w *world) { removed(w, native) }, repair: restore,
		},
		{
			name: "and removed elsewhere", finds: "identity_missing", leaves: "identity_missing",
			make: func(w *world) { removed(w, social) }, repair: restore,
		},
		{
			name:  "and lead to another tenant",
			finds: "identity_mismatch identity_mismatch", leaves: "identity_mismatch identity_mismatch",
			make: func(w *world) {
				for _, id := range []string{native, social} {
					remake(w, id, func(u *auth0test.User) { u.AppMetadata["tenant_id"] = uuid.NewString() })
				}
			},
			repair: restore,
		},
		{
			name: "by a sign-up that is over", unfollowed: true, finds: "identity_of_expired_signup",
			make: func(w *world) {
				id := "auth0|5f7c8ec7c33c6c004bbafe82"
				w.sql(`insert into signups (id, request_hash, user_id, identity_id, email, school_name, status, finished_at)
					values ($1, '', gen_random_uuid(), $2, 'eve@lincoln.example', 'Eve', 'expired', now())`, left, id)
				err := w.auth0.Seed(auth0test.User{ID: id, Email: "eve@lincoln.example", AppMetadata: map[string]any{
					"signup_id": left.String(), "school_name": "Eve", "theirs": "stays",
				}})
				if err != nil {
					w.Fatal(err)
				}
			},
		},
		{
			name: "by another's sign-up", finds: "identity_mismatch", leaves: "identity_mismatch",
			make: func(w *world) {
				metadata := map[string]any{"signup_id": left.String()}
				if err := w.auth0.Seed(userWith("another", "mallory@lincoln.example", metadata)); err != nil {
					w.Fatal(err)
				}
			},
			repair: restore,
		},
	})
	w.T = t
	w.sql("delete from signups where id = $1", left)
	removed(w, "")
	if err := w.auth0.Seed(userWith("5f7c8ec7c33c6c004bbafe82", "eve@lincoln.example", map[string]any{"theirs": "stays"})); err != nil {
		t.Fatal(err)
	}
	w.finds("")
}

// An account that was linked is unlinked, and never removed, whatever metadata it has by then.
func TestALinkedAccountIsNotDeleted(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	req := w.own("auth0|"+uuid.NewString(), "ada@lincoln.example")
	id := w.waits(w.newService(withApproval), req, catalog.AwaitingApproval)
	w.sql("update signups set status = 'expired', check_at = null, finished_at = now() where id = $1", id)
	w.sql("delete from users")
	report := w.finds("identity_of_expired_signup")
	if f := report.Findings[0]; !strings.Contains(f.Advice, "must not be deleted") || !strings.Contains(f.Fix, "metadata from the account") {
		t.Errorf("it reports %+v", f)
	}
	// Another worker has taken the sign-up over: it stays.
	w.sql("update signups set check_at = now() + interval '1 hour' where id = $1", id)
	_, err := w.doctor.Fix(t.Context(), report, func(_ doctor.Finding, err error) {
		if !errors.Is(err, catalog.ErrStateChanged) {
			t.Errorf("the repair returned %v", err)
		}
	})
	if user, _ := w.auth0.User(req.Account.ID); err != nil || user.AppMetadata["signup_id"] != id.String() {
		t.Errorf("%v, %v", user.AppMetadata, err)
	}
	w.sql("update signups set check_at = null where id = $1", id)
	w.fix(report)
	user, there := w.auth0.User(req.Account.ID)
	if !there || user.AppMetadata["signup_id"] != nil || user.AppMetadata["theirs"] != "stays" {
		t.Errorf("the login: %+v", user)
	}
	w.finds("")
}

func TestWaitingSignups(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	verifying, approving := w.newService(verifyFirst), w.newService(withApproval)
	w.config.Reconcile, w.config.Resume = verifying.ReconcileOnce, resumer(verifying)
	w.doctor = w.newDoctor(w.config)
	run(t, w, []testCase{
		{
			name: "for too long", unfollowed: true, finds: "signup_unattended signup_unattended",
			make: func(w *world) {
				w.waits(verifying, request(), catalog.AwaitingVerification)
				w.waits(approving, request(), catalog.AwaitingApproval)
				w.sql("update signups set check_at = now() - interval '2 minutes'")
			},
		},
		{
			name: "and need an operator, without a tenant", unfollowed: true, finds: "signup_needs_operator",
			make: func(w *world) {
				id := w.waits(approving, request(), catalog.AwaitingApproval)
				w.sql("update users set identity_id = null")
				w.sql(`update signups set status = 'needs_operator', check_at = null, problem = '{"code": "needs_operator"}',
					steps = '[{"name": "identity", "problem": "needs_operator"}]' where id = $1`, id)
			},
		},
	})
	if n := value[int](w, "select count(*) from signups where status = 'awaiting_verification'"); n != 1 || len(w.auth0.Users()) != 1 {
		t.Errorf("%d wait, and there are %d accounts; want the one that was resumed", n, len(w.auth0.Users()))
	}
}

// Of the sign-ups with one tenant one has created the school.
func TestMembersShareTheirSchool(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school()
	w.begin(w.invited(school.School.ID))
	run(t, w, []testCase{
		{
			name: "with another school", finds: "tenant_shared", leaves: "tenant_shared",
			make:   func(w *world) { w.sql(other + " and kind = 'school'") },
			repair: func(w *world) { w.sql("delete from signups where school_name = 'Other'") },
		},
		{
			name: "without the member's user", finds: "signup_without_school", leaves: "signup_without_school",
			make:   func(w *world) { w.sql("update users set state = 'pending' where role = 'member'") },
			repair: func(w *world) { w.sql("update users set state = 'active'") },
		},
	})
}

// noMetadataProvider is a provider that stores no metadata and cannot list accounts. It counts the look-ups.
type noMetadataProvider struct {
	identity.Provider
	mu        sync.Mutex
	gone      uuid.UUID
	lastAsked map[uuid.UUID]int
}

func (f *noMetadataProvider) MetadataUnsupported() bool { return true }

func (f *noMetadataProvider) Lookup(_ context.Context, id uuid.UUID) (identity.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lastAsked[id]++; id == f.gone {
		return identity.User{}, identity.ErrNotFound
	}
	return identity.User{ID: "elsewhere|" + id.String(), OurID: id, Email: id.String() + "@lincoln.example"}, nil
}

// A provider that cannot list its accounts is asked for some of them in each examination, then for the next ones.
// Accounts that it cannot find without metadata are not reported as missing.
func TestAProviderWithoutMetadataIsAskedInBatches(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	school := w.school()
	w.sql("update users set identity_id = 'elsewhere|' || id, email = id || '@lincoln.example'")
	for range 59 {
		w.sql(`
			with person as (
				insert into users (id, tenant_id, email, identity_id, role, state)
				select id, $1, id || '@lincoln.example', 'elsewhere|' || id, 'member', 'active'
				from (select gen_random_uuid() as id) as new
				returning id, email
			)
			insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, kind, result)
			select gen_random_uuid(), '', id, $1, email, 'Lincoln High', 'ready', 'member', '{}' from person`, school.School.ID)
	}
	provider := &noMetadataProvider{Provider: w.client, lastAsked: map[uuid.UUID]int{}}
	w.config.Identity = provider
	w.doctor = w.newDoctor(w.config)
	for range 2 {
		report := w.finds("")
		if len(report.Skipped) != 1 || !strings.Contains(report.Skipped[0], "Of 60 users, the accounts of 50") || report.Counts.Identities != 50 {
			t.Errorf("skipped %v, %+v", report.Skipped, report.Counts)
		}
	}
	if len(provider.lastAsked) != 60 {
		t.Errorf("%d of 60 were looked up", len(provider.lastAsked))
	}
	provider.gone = school.User.ID
	var found []string
	for range 2 {
		found = append(found, codes(w.examine()))
	}
	if all := fmt.Sprint(found); !strings.Contains(all, "identity_missing") {
		t.Errorf("found %s", all)
	}
}
