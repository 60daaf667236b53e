package signup_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0"
	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/signup"
)

var byOperator = catalog.Actor{Name: "operator"}

// stopped returns a sign-up that needs an operator and has everything of a sign-up just before it is ready.
func (b *bundle) stopped(t *testing.T, req signup.Request) *signup.Result {
	t.Helper()
	result := b.begin(t, req)
	b.exec(t, "update users set state = 'pending' where id = $1", result.User.ID)
	b.exec(t, "update tenants set state = 'reserved', ready_at = null where id = $1", result.School.ID)
	b.exec(t, `update signups set status = 'needs_operator', result = null, finished_at = null, problem = '{"code":"needs_operator"}'
		where id = $1`, result.SignupID)
	return result
}

// rewrite writes another sign-up into an account's metadata.
func (b *bundle) rewrite(t *testing.T, id string) {
	t.Helper()
	user, _ := b.auth0.User(id)
	user.AppMetadata["signup_id"] = "another"
	b.auth0.DeleteAll()
	if err := b.auth0.Seed(user); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) resolve(t *testing.T, id uuid.UUID, finish bool) signup.Resolution {
	t.Helper()
	resolve := b.service.ResolveUndo
	if finish {
		resolve = b.service.ResolveFinish
	}
	resolved, err := resolve(t.Context(), id, byOperator)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// endRechecks lets the last rechecks of the expired sign-ups happen, and runs the refiller.
func (b *bundle) endRechecks(t *testing.T) {
	t.Helper()
	b.exec(t, "update signups set check_at = now(), finished_at = finished_at - interval '1 hour' where status = 'expired' and check_at is not null")
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.service.RefillSpares(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestASignupThatNeedsAnOperatorKeepsItsEmail(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	req := request()
	id := b.stopped(t, req).SignupID
	b.exec(t, "update signups set tenant_id = null where id = $1", id) // as for a sign-up that has waited for approval
	if _, err := b.service.Begin(t.Context(), req); !errors.Is(err, signup.ErrNeedsOperator) {
		t.Errorf("the same request: %v", err)
	}
	req.IdempotencyKey = uuid.NewString()
	if _, err := b.service.Begin(t.Context(), req); !errors.Is(err, signup.ErrEmailExists) {
		t.Errorf("another request with its e-mail: %v", err)
	}
	if view, err := b.service.View(t.Context(), id); err != nil || view.Status != catalog.NeedsOperator || view.Final() {
		t.Errorf("it is shown as %+v, %v", view, err)
	}
}

func TestAnOperatorFinishesASignup(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	before := b.stopped(t, request())
	for range 2 {
		resolved := b.resolve(t, before.SignupID, true)
		if resolved.Cause != nil || resolved.Result == nil || resolved.Result.School.ID != before.School.ID {
			t.Fatalf("%+v", resolved)
		}
	}
	b.usable(t, before.School.Database)
	if n := b.number(t, "select count(*) from audit_events where action = 'signup.finish' and actor = 'operator' and signup_id = $1", before.SignupID); n != 1 {
		t.Errorf("the decision was recorded %d times", n)
	}
	if resolved, err := b.service.ResolveUndo(t.Context(), before.SignupID, byOperator); !errors.Is(err, signup.ErrNotWaiting) || resolved.Status != catalog.SignupReady {
		t.Errorf("a ready one is undone: %+v, %v", resolved, err)
	}
}

func TestAnOperatorIsToldWhyASignupCannotBeFinished(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	gone, rewritten := b.stopped(t, request()), b.stopped(t, request())
	b.rewrite(t, rewritten.User.IdentityID) // so that it finds no other one
	resolved := b.resolve(t, gone.SignupID, true)
	if !errors.Is(resolved.Cause, identity.ErrNotFound) || resolved.Status != catalog.NeedsOperator {
		t.Errorf("without its account: %+v", resolved)
	}
	if resolved = b.resolve(t, rewritten.SignupID, true); resolved.Cause == nil || resolved.Status != catalog.NeedsOperator {
		t.Errorf("with an account of another sign-up: %+v", resolved)
	}
	if n := b.number(t, "select count(*) from users where state = 'pending'"); n != 2 {
		t.Errorf("%d users are left, want both", n)
	}
}

func TestAnOperatorUndoesASignup(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	req := request()
	before := b.stopped(t, req)
	for range 2 {
		if resolved := b.resolve(t, before.SignupID, false); resolved.Cause != nil || resolved.Status != catalog.Expired {
			t.Fatalf("%+v", resolved)
		}
	}
	if users := b.auth0.Users(); len(users) != 0 {
		t.Errorf("accounts are left: %+v", users)
	}
	if _, err := b.service.ResolveFinish(t.Context(), before.SignupID, byOperator); !errors.Is(err, signup.ErrNotWaiting) {
		t.Errorf("one that is undone is finished: %v", err)
	}
	again := b.begin(t, req) // with its key, its e-mail and its slug
	if again.School.ID == before.School.ID || again.School.Slug != before.School.Slug {
		t.Errorf("the next is %+v", again.School)
	}
	b.endRechecks(t)
	if n := b.number(t, "select count(*) from tenants where id = $1", before.School.ID); n != 0 {
		t.Error("its tenant is not discarded")
	}
	if n := b.number(t, "select count(*) from audit_events where action = 'signup.undo' and signup_id = $1", before.SignupID); n != 1 {
		t.Errorf("the decision was recorded %d times", n)
	}
}

func TestUndoingASignupDropsNothingThatMayBeSomebodys(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	before := b.stopped(t, request())
	b.usable(t, before.School.Database) // and the person writes something
	b.rewrite(t, before.User.IdentityID)
	b.resolve(t, before.SignupID, false)
	b.endRechecks(t)
	if _, ok := b.auth0.User(before.User.IdentityID); !ok {
		t.Error("an account of another sign-up was removed")
	}
	b.usable(t, before.School.Database)
	if next := b.begin(t, request()); next.School.ID == before.School.ID {
		t.Error("the next school got the database that another account names")
	}
}

// The organization of a sign-up is removed with it.
func TestUndoingASignupRemovesItsMembership(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.service = b.newService(t, organizes(t, b.auth0))
	before := b.stopped(t, request())
	if n := len(b.auth0.Organizations()); n != 1 {
		t.Fatalf("%d organizations", n)
	}
	if resolved := b.resolve(t, before.SignupID, false); resolved.Cause != nil {
		t.Fatal(resolved.Cause)
	}
	if left := b.auth0.Organizations(); len(left) != 0 || len(b.auth0.Users()) != 0 {
		t.Errorf("organizations %+v and %d accounts are left", left, len(b.auth0.Users()))
	}
}

// organizes makes this provider create an organization for every school.
func organizes(t *testing.T, at *auth0test.Server) func(*signup.Config) {
	t.Helper()
	client, err := auth0.New(auth0.Config{BaseURL: at.URL(), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret", Organizations: true})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *signup.Config) { c.Identity = client }
}
