package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/tenant"
)

// userWith returns an old account with this metadata.
func userWith(id, email string, metadata map[string]any) auth0test.User {
	return auth0test.User{ID: "auth0|" + id, Email: email, AppMetadata: metadata}
}

// remake replaces an account by one with other metadata or another e-mail.
func remake(w *world, id string, change func(*auth0test.User)) {
	w.Helper()
	user, ok := w.auth0.User(id)
	if !ok {
		w.Fatalf("there is no account %s", id)
	}
	change(&user)
	others := w.auth0.Users()
	w.auth0.DeleteAll()
	for _, o := range others {
		if o.ID == id {
			o = user
		}
		if err := w.auth0.Seed(o); err != nil {
			w.Fatal(err)
		}
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	w := setup(t, 1)
	school := w.school()
	account := school.User.IdentityID
	original, _ := w.auth0.User(account)
	restore := func(w *world) {
		w.auth0.DeleteAll()
		if err := w.auth0.Seed(original); err != nil {
			w.Fatal(err)
		}
	}
	expired := uuid.New()
	run(t, w, []testCase{
		{
			name: "of an unknown sign-up", finds: "identity_without_signup", leaves: "identity_without_signup",
			make: func(w *world) {
				err := w.auth0.Seed(userWith(uuid.NewString(), "eve@elsewhere.example", map[string]any{
					"signup_id": uuid.NewString(), "tenant_id": uuid.NewString(), "database": "t_elsewhere", "school_name": "Elsewhere",
				}))
				if err != nil {
					w.Fatal(err)
				}
			},
			repair: restore,
		},
		{
			name: "of an expired sign-up", unfollowed: true, finds: "identity_of_expired_signup",
			make: func(w *world) {
				user := uuid.NewString()
				w.sql(`insert into signups (id, request_hash, user_id, email, school_name, status, finished_at)
					values ($1, '', $2, 'eve@lincoln.example', 'Eve', 'expired', now())`, expired, user)
				if err := w.auth0.Seed(userWith(user, "eve@lincoln.example", map[string]any{"signup_id": expired.String()})); err != nil {
					w.Fatal(err)
				}
			},
		},
		{
			name: "with the sign-up of another", finds: "identity_mismatch", leaves: "identity_mismatch",
			make: func(w *world) {
				if err := w.auth0.Seed(userWith(uuid.NewString(), "eve@lincoln.example", map[string]any{"signup_id": expired.String()})); err != nil {
					w.Fatal(err)
				}
			},
			repair: restore,
		},
		{
			name: "missing", finds: "identity_missing", leaves: "identity_missing",
			make:   func(w *world) { w.auth0.DeleteAll() },
			repair: restore,
		},
		{
			name: "of another tenant", finds: "identity_mismatch", leaves: "identity_mismatch",
			make: func(w *world) {
				remake(w, account, func(u *auth0test.User) { u.AppMetadata["tenant_id"] = uuid.NewString() })
			},
			repair: restore,
		},
		{
			name: "with another database", finds: "identity_mismatch", leaves: "identity_mismatch",
			make:   func(w *world) { remake(w, account, func(u *auth0test.User) { u.AppMetadata["database"] = "t_other" }) },
			repair: restore,
		},
		{
			name: "with another e-mail", finds: "identity_mismatch", leaves: "identity_mismatch",
			make:   func(w *world) { remake(w, account, func(u *auth0test.User) { u.Email = "other@lincoln.example" }) },
			repair: restore,
		},
		{
			name: "without its sign-up's id", finds: "identity_mismatch", leaves: "identity_mismatch",
			make:   func(w *world) { remake(w, account, func(u *auth0test.User) { delete(u.AppMetadata, "signup_id") }) },
			repair: restore,
		},
	})
	report, err := w.doctor.Examine(t.Context(), doctor.Options{Open: doctor.All, Only: []string{school.School.Slug}})
	if err != nil || codes(report) != "" || report.Counts.Identities != 1 || report.Counts.Tenants != 1 || report.Counts.Opened != 1 {
		t.Errorf("one school: %+v, %v%s", report.Counts, err, describe(report))
	}
	w.auth0.DeleteAll()
	if report, err = w.doctor.Examine(t.Context(), doctor.Options{Only: []string{school.School.Database}}); err != nil || codes(report) != "identity_missing" {
		t.Errorf("one school: %q, %v", codes(report), err)
	}
	if _, err = w.doctor.Examine(t.Context(), doctor.Options{Only: []string{"nobody"}}); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a tenant that does not exist: %v", err)
	}
}

func TestAProviderThatDoesNotAnswerIsNotTakenForAnEmptyOne(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	w.auth0.Inject(flaky.Fault{Method: "GET", Path: "/api/v2/users", Kind: flaky.StatusBefore, Status: 500, Times: -1})
	w.finds("identities_unreachable")
	w.auth0.ClearFaults()
	w.finds("")

	w.config.Identity = nil
	w.doctor = w.newDoctor(w.config)
	if report := w.finds(""); len(report.Skipped) != 1 || !strings.Contains(report.Skipped[0], "no identity provider is configured") {
		t.Errorf("without a provider it skipped %v", report.Skipped)
	}
}

// staleList is a provider whose list is outdated: it is empty, or shows removed accounts.
type staleList struct {
	identity.Provider
	shows []identity.User
}

func (b staleList) List(_ context.Context, each func(identity.User) error) error {
	for _, user := range b.shows {
		if err := each(user); err != nil {
			return err
		}
	}
	return nil
}

func TestAStaleListIsNoFinding(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	w.school()
	w.config.Identity = staleList{w.client, []identity.User{{
		ID: "auth0|gone", OurID: uuid.New(), Metadata: identity.Metadata{SignupID: uuid.NewString()},
	}}}
	w.doctor = w.newDoctor(w.config)
	w.finds("")
}

// A large number of differences is one finding, and the provider is not asked for each account.
func TestAWrongConnectionIsOneFinding(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	var all []identity.User
	for range 60 {
		all = append(all, identity.User{ID: "auth0|" + uuid.NewString(), OurID: uuid.New(), Metadata: identity.Metadata{SignupID: uuid.NewString()}})
	}
	w.config.Identity = staleList{w.client, all}
	w.doctor = w.newDoctor(w.config)
	w.finds("identities_unconfirmed")
}

// Accounts of sign-ups in progress are no finding, however many there are.
func TestSignupsInProgressAreNoFinding(t *testing.T) {
	t.Parallel()
	w := setup(t, 0)
	var all []identity.User
	for n := range 60 {
		id, user, signup := tenant.NewID(), uuid.New(), uuid.New()
		email := fmt.Sprintf("ada%d@lincoln.example", n)
		w.sql(`insert into tenants (id, server, database, lineage, state, name, slug) values ($1, 'main', $2, 'x', 'building', 'Lincoln High', $3)`,
			id.UUID(), id.Database(), fmt.Sprintf("lincoln-%d", n))
		w.sql(`insert into users (id, tenant_id, email) values ($1, $2, $3)`, user, id.UUID(), email)
		w.sql(`insert into signups (id, request_hash, user_id, tenant_id, email, school_name, status, check_at)
			values ($1, '', $2, $3, $4, 'Lincoln High', 'pending', now() + interval '15 s')`, signup, user, id.UUID(), email)
		all = append(all, identity.User{ID: "auth0|" + user.String(), OurID: user, Email: email, Metadata: identity.Metadata{SignupID: signup.String()}})
	}
	w.config.Identity = staleList{w.client, all}
	w.doctor = w.newDoctor(w.config)
	w.finds("")
	if n := w.auth0.CountCalls("GET", "/api/v2/users/"); n != 0 {
		t.Errorf("%d accounts were looked up", n)
	}
}
