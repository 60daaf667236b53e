package signup_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

// person returns an account that a person has created at the provider.
func (b *bundle) person(t *testing.T, email string) identity.User {
	t.Helper()
	id := "auth0|" + uuid.NewString()
	if err := b.auth0.Seed(auth0test.User{ID: id, Email: email, EmailVerified: true, AppMetadata: map[string]any{"theirs": "stays"}}); err != nil {
		t.Fatal(err)
	}
	account, err := b.service.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func withLogin(account identity.User) signup.Request {
	return signup.Request{Email: account.Email, Account: &account, SchoolName: "Lincoln High", IdempotencyKey: uuid.NewString()}
}

func TestAnExistingAccountGetsASchool(t *testing.T) {
	t.Parallel()
	for name, spares := range map[string]int{"with a spare": 1, "without a spare": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, spares, verifyFirst)
			account := b.person(t, "ada@lincoln.example")
			result := b.begin(t, withLogin(account))
			b.usable(t, result.School.Database)
			user, _ := b.auth0.User(account.ID)
			if user.AppMetadata["tenant_id"] != result.School.ID.String() || user.AppMetadata["theirs"] != "stays" {
				t.Errorf("metadata: %v", user.AppMetadata)
			}
			if result.User.IdentityID != account.ID || b.creates() != 0 {
				t.Errorf("%+v, %d creates", result.User, b.creates())
			}
			if _, err := b.service.Begin(t.Context(), withLogin(account)); !errors.Is(err, signup.ErrHasSchool) {
				t.Errorf("a second school: %v", err)
			}
		})
	}
}

func TestAnAccountIsLinkedAfterEveryCrash(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	account := b.person(t, "ada@lincoln.example")
	for range 3 { // every attempt fails
		b.auth0.Inject(flaky.Fault{Method: "PATCH", Path: "/api/v2/users/", Kind: flaky.LostAnswer, Times: 1})
	}
	req := withLogin(account)
	_, err := b.service.Begin(t.Context(), req)
	var unavailable *signup.Unavailable
	if err != nil && !errors.As(err, &unavailable) {
		t.Fatal(err)
	}
	b.auth0.ClearFaults()
	b.exec(t, "update signups set check_at = now() where check_at is not null")
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	result := b.begin(t, req)
	if user, _ := b.auth0.User(account.ID); user.AppMetadata["signup_id"] != result.SignupID.String() {
		t.Errorf("metadata: %v", user.AppMetadata)
	}
	if n := b.number(t, "select count(*) from tenants where name is not null"); n != 1 {
		t.Errorf("%d schools", n)
	}
}

func TestALinkedAccountIsUnlinkedAndNeverDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t, 0, withApproval)
	account := b.person(t, "ada@lincoln.example")
	id := b.waits(t, withLogin(account), catalog.AwaitingApproval)
	b.expireNow(t, id)
	user, ok := b.auth0.User(account.ID)
	if !ok {
		t.Fatal("a person's own account was removed")
	}
	if user.AppMetadata["signup_id"] != nil || user.AppMetadata["theirs"] != "stays" {
		t.Errorf("metadata: %v", user.AppMetadata)
	}
	if _, err := b.service.Begin(t.Context(), withLogin(account)); !errors.Is(err, signup.ErrInProgress) {
		t.Errorf("it is linked while the earlier sign-up still has it: %v", err)
	}
	b.expectRecheck(t)
	b.waits(t, withLogin(account), catalog.AwaitingApproval)
}

func TestOnlyAPersonsTokenSignsASchoolUp(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	for _, id := range []string{"homeroom-dev@clients", "auth0|" + uuid.NewString()} {
		if _, err := b.service.Account(t.Context(), id); !errors.Is(err, signup.ErrNotAPerson) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
