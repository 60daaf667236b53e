package signup_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"homeroom/catalog"
	"homeroom/internal/flaky"
	"homeroom/signup"
)

func verifyFirst(c *signup.Config)  { c.VerifyFirst = true }
func withApproval(c *signup.Config) { c.Mode = signup.WithApproval }

// waits signs up a school, which must wait.
func (b *bundle) waits(t *testing.T, req signup.Request, status catalog.Status) uuid.UUID {
	t.Helper()
	outcome, err := b.service.Begin(t.Context(), req)
	if err != nil || outcome.Status != status || outcome.Result != nil {
		t.Fatalf("it does not wait: %+v, %v", outcome, err)
	}
	return outcome.SignupID
}

// events lists the types of the events in the outbox, in order.
func (b *bundle) events(t *testing.T) []string {
	t.Helper()
	rows, err := b.catalog.Pool().Query(t.Context(), "select type from outbox_events order by number")
	if err != nil {
		t.Fatal(err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func (b *bundle) expectEvents(t *testing.T, want ...string) {
	t.Helper()
	if got := b.events(t); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// expireNow lets a waiting sign-up exceed its wait timeout, and lets the reconciler expire it and do the last recheck.
func (b *bundle) expireNow(t *testing.T, id uuid.UUID) {
	t.Helper()
	b.exec(t, "update signups set check_at = now() where id = $1", id)
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestASchoolWaitsForItsEmail(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, verifyFirst)
	req := request()
	id := b.waits(t, req, catalog.AwaitingVerification)
	token := b.service.ActivationToken(id)

	t.Run("without a database and without an account", func(t *testing.T) {
		if n := b.number(t, "select count(*) from tenants where state <> 'spare'"); n != 0 {
			t.Errorf("%d tenants are taken", n)
		}
		if users := b.auth0.Users(); len(users) != 0 {
			t.Errorf("the provider knows the account already: %+v", users)
		}
		b.expectEvents(t, catalog.SignupAwaitingVerification)
	})
	t.Run("and a repetition waits too", func(t *testing.T) {
		if again := b.waits(t, req, catalog.AwaitingVerification); again != id {
			t.Errorf("another sign-up")
		}
	})
	t.Run("and inspecting the link changes nothing", func(t *testing.T) {
		row, err := b.service.InspectActivation(t.Context(), token)
		if err != nil || row.Status != catalog.AwaitingVerification || row.Email != req.Email {
			t.Fatalf("%+v, %v", row, err)
		}
		if view, _ := b.service.View(t.Context(), id); view.Status != catalog.AwaitingVerification {
			t.Errorf("it is %s", view.Status)
		}
	})
	t.Run("and a wrong link has no effect", func(t *testing.T) {
		other := b.service.ActivationToken(uuid.New())
		for _, wrong := range []string{"", "x", other, token[:42] + "!", strings.ToUpper(token), b.service.InvitationToken(id)} {
			if _, err := b.service.Activate(t.Context(), wrong, chosen); !errors.Is(err, signup.ErrLinkGone) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	})
	t.Run("and gets its school when it is confirmed, once", func(t *testing.T) {
		first, err := b.service.Activate(t.Context(), token, chosen)
		if err != nil || first.Result == nil {
			t.Fatalf("%+v, %v", first, err)
		}
		b.usable(t, first.Result.School.Database)
		user, _ := b.auth0.User(first.Result.User.IdentityID)
		if !user.EmailVerified || user.AppMetadata["tenant_id"] != first.Result.School.ID.String() || !first.Result.User.EmailVerified {
			t.Errorf("at the provider: %+v", user)
		}
		again, err := b.service.Activate(t.Context(), token, chosen)
		if err != nil || again.Result == nil || *again.Result != *first.Result {
			t.Errorf("again: %+v, %v", again, err)
		}
		b.expectEvents(t, catalog.SignupAwaitingVerification, catalog.UserCreated, catalog.OrganizationCreated, catalog.TenantReady)
	})
}

func TestASchoolThatWaitsTooLongLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*signup.Config){"for its e-mail": verifyFirst, "for approval": withApproval} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 0, change)
			outcome, err := b.service.Begin(t.Context(), request())
			if err != nil {
				t.Fatal(err)
			}
			b.expireNow(t, outcome.SignupID)
			if users := b.auth0.Users(); len(users) != 0 {
				t.Errorf("the account is left: %+v", users)
			}
			if n := b.number(t, "select count(*) from users"); n != 0 {
				t.Errorf("%d users are left", n)
			}
			view, err := b.service.View(t.Context(), outcome.SignupID)
			if err != nil || view.Status != catalog.Expired || !view.Final() {
				t.Errorf("%+v, %v", view, err)
			}
			if _, err := b.service.Activate(t.Context(), b.service.ActivationToken(outcome.SignupID), chosen); !errors.Is(err, signup.ErrLinkGone) {
				t.Errorf("its link: %v", err)
			}
		})
	}
}

func TestASchoolWaitsForApproval(t *testing.T) {
	t.Parallel()
	operator := catalog.Actor{Name: "operator"}
	b := setup(t, 1, verifyFirst, withApproval)
	id := b.waits(t, request(), catalog.AwaitingVerification)
	if _, err := b.service.Approve(t.Context(), id, operator); !errors.Is(err, signup.ErrNotWaiting) {
		t.Fatalf("approved before it is confirmed: %v", err)
	}
	outcome, err := b.service.Activate(t.Context(), b.service.ActivationToken(id), chosen)
	if err != nil || outcome.Status != catalog.AwaitingApproval {
		t.Fatalf("%+v, %v", outcome, err)
	}
	waiting, err := b.catalog.Signups(t.Context(), catalog.AwaitingApproval, "", 10)
	if err != nil || len(waiting.Rows) != 1 || waiting.Rows[0].ID != id || !waiting.Rows[0].EmailVerified || waiting.Rows[0].SchoolName != "Lincoln High" {
		t.Fatalf("%+v, %v", waiting, err)
	}
	outcome, err = b.service.Approve(t.Context(), id, operator)
	if err != nil || outcome.Result == nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
	b.usable(t, outcome.Result.School.Database)
	if _, err := b.service.Approve(t.Context(), id, operator); !errors.Is(err, signup.ErrNotWaiting) {
		t.Errorf("approved twice: %v", err)
	}

	t.Run("or is rejected", func(t *testing.T) {
		id := b.waits(t, request(), catalog.AwaitingVerification)
		if _, err := b.service.Activate(t.Context(), b.service.ActivationToken(id), chosen); err != nil {
			t.Fatal(err)
		}
		if err := b.service.Reject(t.Context(), id, operator); err != nil {
			t.Fatal(err)
		}
		if err := b.service.ReconcileOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(b.auth0.Users()); n != 1 {
			t.Errorf("%d accounts, want the other's", n)
		}
		if told := b.events(t); told[len(told)-1] != catalog.SignupRejected {
			t.Errorf("told %v", told)
		}
		if err := b.service.Reject(t.Context(), id, operator); !errors.Is(err, signup.ErrNotWaiting) {
			t.Errorf("rejected twice: %v", err)
		}
	})
}

func TestConfirmingManyTimesAtOnceMakesOneSchool(t *testing.T) {
	t.Parallel()
	b := setup(t, 2, verifyFirst)
	id := b.waits(t, request(), catalog.AwaitingVerification)
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			_, err := b.service.Activate(t.Context(), b.service.ActivationToken(id), chosen)
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := b.number(t, "select count(*) from tenants where name is not null"); n != 1 {
		t.Errorf("%d schools", n)
	}
}

// TestAConfirmationOutlivesItsProcess stops a worker just after the tenant was assigned, and lets another one resume.
func TestAConfirmationOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, verifyFirst)
	id := b.waits(t, request(), catalog.AwaitingVerification)
	b.auth0.Inject(flaky.Fault{Method: "PATCH", Path: "/api/v2/users/", Kind: flaky.LostAnswer, Times: 1})
	if _, err := b.service.Activate(t.Context(), b.service.ActivationToken(id), chosen); err != nil {
		var unavailable *signup.Unavailable
		if !errors.As(err, &unavailable) {
			t.Fatal(err)
		}
	}
	row, err := b.catalog.Signup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if row.Status == catalog.AwaitingVerification {
		if _, err := b.catalog.Admit(t.Context(), row, placement(b)); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(t, "update signups set check_at = now() where id = $1 and check_at is not null", id)
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	view, err := b.service.View(t.Context(), id)
	if err != nil || view.Status != catalog.SignupReady {
		t.Fatalf("%+v, %v", view, err)
	}
	user, _ := b.auth0.User(view.User.IdentityID)
	if user.AppMetadata["tenant_id"] != view.School.ID.String() {
		t.Errorf("the account does not name its school: %v", user.AppMetadata)
	}
}

// placement is the first reservation of a tenant that a process asks for.
func placement(b *bundle) catalog.ReserveParams {
	schema := b.server.Migrations()
	return catalog.ReserveParams{
		TenantID: uuid.New(), Database: "t_" + strings.Repeat("a", 26), SchoolName: "Lincoln High", Slug: "lincoln-high",
		Lineage: schema.Lineage(), SchemaVersion: schema.Latest(), Servers: []string{"main"}, Lease: time.Minute,
	}
}

func TestTheModesOfSigningUp(t *testing.T) {
	t.Parallel()
	for mode, want := range map[signup.Mode]error{signup.Closed: signup.ErrClosed, signup.ByInvitation: signup.ErrInvitationRequired} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t, 0, func(c *signup.Config) { c.Mode = mode })
			if _, err := b.service.Begin(t.Context(), request()); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if n := b.number(t, "select count(*) from signups"); n != 0 || len(b.auth0.Users()) != 0 {
				t.Errorf("%d sign-ups and %d accounts", n, len(b.auth0.Users()))
			}
		})
	}
}

func TestAnInvitedPersonSignsUp(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, verifyFirst, func(c *signup.Config) { c.Mode = signup.ByInvitation })
	invite := func(t *testing.T, reservation signup.InviteRequest) string {
		t.Helper()
		reservation.By = catalog.Actor{Name: "operator"}
		made, err := b.service.Invite(t.Context(), reservation)
		if err != nil {
			t.Fatal(err)
		}
		return b.service.InvitationToken(made.ID)
	}
	owner := request()
	owner.Invitation = invite(t, signup.InviteRequest{Email: owner.Email})
	school := b.begin(t, owner).School

	t.Run("to a school, which is not created again", func(t *testing.T) {
		req := request()
		req.SchoolName = ""
		req.Invitation = invite(t, signup.InviteRequest{Tenant: &school.ID, Email: req.Email, Role: "admin"})
		result := b.begin(t, req)
		if result.School.ID != school.ID || result.School.Slug != school.Slug {
			t.Errorf("another school: %+v", result.School)
		}
		user, err := b.catalog.UserByIdentity(t.Context(), result.User.IdentityID)
		if err != nil || user.Role != "admin" || user.TenantID != school.ID {
			t.Errorf("%+v, %v", user, err)
		}
		if again := b.begin(t, req); *again != *result {
			t.Errorf("a repetition is answered %+v", again)
		}
		if _, err := b.service.Invitation(t.Context(), req.Invitation); !errors.Is(err, signup.ErrInvitationGone) {
			t.Errorf("the invitation is still open: %v", err)
		}
		if told := b.events(t); told[len(told)-1] != catalog.UserCreated || told[len(told)-2] != catalog.InvitationCreated {
			t.Errorf("told %v", told)
		}
	})
	t.Run("with the invited address only", func(t *testing.T) {
		req := request()
		req.Invitation = invite(t, signup.InviteRequest{Tenant: &school.ID, Email: "grace@lincoln.example"})
		var invalid *signup.ValidationError
		if _, err := b.service.Begin(t.Context(), req); !errors.As(err, &invalid) || invalid.Fields[0].Code != "not_invited" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not after it was revoked or has expired", func(t *testing.T) {
		for i, end := range []string{"revoked_at = now()", "expires_at = now()"} {
			req := request()
			made, err := b.service.Invite(t.Context(), signup.InviteRequest{Tenant: &school.ID, Email: fmt.Sprintf("late%d@lincoln.example", i)})
			if err != nil {
				t.Fatal(err)
			}
			req.Email, req.Invitation = made.Email, b.service.InvitationToken(made.ID)
			b.exec(t, "update invitations set "+end+" where id = $1", made.ID)
			if _, err := b.service.Begin(t.Context(), req); !errors.Is(err, signup.ErrInvitationGone) {
				t.Errorf("%s: %v", end, err)
			}
		}
	})
	t.Run("again renews it, and the first link stays valid", func(t *testing.T) {
		first := invite(t, signup.InviteRequest{Tenant: &school.ID, Email: "twice@lincoln.example"})
		second := invite(t, signup.InviteRequest{Tenant: &school.ID, Email: "twice@lincoln.example", Role: "admin"})
		found, err := b.service.Invitation(t.Context(), first)
		if err != nil || first != second || found.Role != "admin" {
			t.Errorf("%+v, %v", found, err)
		}
	})
	t.Run("and a refused one leaves the school as it was", func(t *testing.T) {
		req := request()
		req.Password = "weakweak"
		req.Invitation = invite(t, signup.InviteRequest{Tenant: &school.ID, Email: req.Email})
		if _, err := b.service.Begin(t.Context(), req); !rejected("password")(err) {
			t.Fatalf("got %v", err)
		}
		tenant, err := b.catalog.TenantByID(t.Context(), school.ID)
		if err != nil || tenant.State != catalog.Ready || tenant.Slug != school.Slug {
			t.Errorf("%+v, %v", tenant, err)
		}
		req.Password = password
		b.begin(t, req)
	})
}
