package signup_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/signup"
)

// interleavedStore is a catalog that runs another action just before a call.
type interleavedStore struct {
	signup.Store
	beforeUser, beforeAdmit func()
}

func (m interleavedStore) UserByID(ctx context.Context, id uuid.UUID) (catalog.User, error) {
	if m.beforeUser != nil {
		m.beforeUser()
	}
	return m.Store.UserByID(ctx, id)
}

func (m interleavedStore) Admit(ctx context.Context, row catalog.Signup, r catalog.ReserveParams) (catalog.Reservation, error) {
	if m.beforeAdmit != nil {
		m.beforeAdmit()
	}
	return m.Store.Admit(ctx, row, r)
}

// TestAConfirmationThatComesTooLateSaysSo: the sign-up expires, or is about to, while its e-mail is being confirmed.
func TestAConfirmationThatComesTooLateSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, verifyFirst)
	t.Run("when it has expired meanwhile", func(t *testing.T) {
		id := b.waits(t, request(), catalog.AwaitingVerification)
		late := b.newService(t, verifyFirst, func(c *signup.Config) {
			c.Catalog = interleavedStore{Store: c.Catalog, beforeUser: func() { b.expireNow(t, id) }}
		})
		if outcome, err := late.Activate(t.Context(), b.service.ActivationToken(id), chosen); !errors.Is(err, signup.ErrLinkGone) {
			t.Errorf("%+v, %v", outcome, err)
		}
	})
	t.Run("when another worker is about to end it", func(t *testing.T) {
		id := b.waits(t, request(), catalog.AwaitingVerification)
		late := b.newService(t, verifyFirst, func(c *signup.Config) {
			c.Catalog = interleavedStore{Store: c.Catalog, beforeAdmit: func() {
				b.exec(t, "update signups set lease_epoch = lease_epoch + 1 where id = $1", id)
			}}
		})
		if outcome, err := late.Activate(t.Context(), b.service.ActivationToken(id), chosen); !errors.Is(err, signup.ErrInProgress) {
			t.Errorf("%+v, %v", outcome, err)
		}
	})
}

// TestAnAccountThatIsBeingUnlinkedIsNotLinked: a person signs up again before their rejected sign-up was unlinked at
// the provider. The late unlink would remove the new school from the account's metadata.
func TestAnAccountThatIsBeingUnlinkedIsNotLinked(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, withApproval)
	account := b.person(t, "ada@lincoln.example")
	id := b.waits(t, withLogin(account), catalog.AwaitingApproval)
	if err := b.service.Reject(t.Context(), id, catalog.Actor{Name: "operator"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.service.Begin(t.Context(), withLogin(account)); !errors.Is(err, signup.ErrInProgress) {
		t.Errorf("it is linked: %v", err)
	}
	b.expectRecheck(t)
	b.expectRecheck(t)
	b.waits(t, withLogin(account), catalog.AwaitingApproval)
}

// expectRecheck checks that the expired sign-ups are checked again, one minute later.
func (b *bundle) expectRecheck(t *testing.T) {
	t.Helper()
	b.exec(t, "update signups set check_at = now(), finished_at = finished_at - interval '1 minute' where status = 'expired' and check_at is not null")
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestAnIdentityCreatedAgainAfterExpiryIsRemovedAgain: of two creates, the one with the lost answer takes effect only
// after the account of the other was removed.
func TestAnIdentityCreatedAgainAfterExpiryIsRemovedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, 0, withApproval)
	var provider identity.Provider
	b.newService(t, func(c *signup.Config) { provider = c.Identity })
	id := b.waits(t, request(), catalog.AwaitingApproval)
	row, err := b.catalog.Signup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b.expireNow(t, id)
	late := identity.NewUser{
		ID: row.UserID, Email: row.Email, Password: password,
		Metadata: identity.Metadata{SchoolName: row.SchoolName, SignupID: id.String()},
	}
	if _, err := provider.Create(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	b.expectRecheck(t)
	if users := b.auth0.Users(); len(users) != 0 {
		t.Errorf("users are left: %+v", users)
	}
}

// unavailableStore is a catalog that does not answer.
type unavailableStore struct{ signup.Store }

func (unavailableStore) Signup(context.Context, uuid.UUID) (catalog.Signup, error) {
	return catalog.Signup{}, net.ErrClosed
}

func TestAnOperatorIsToldThatTheCatalogIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t, 0, withApproval)
	service := b.newService(t, withApproval, func(c *signup.Config) { c.Catalog = unavailableStore{c.Catalog} })
	_, errApprove := service.Approve(t.Context(), uuid.New(), catalog.Actor{})
	for _, err := range []error{errApprove, service.Reject(t.Context(), uuid.New(), catalog.Actor{}), service.RemindVerification(t.Context(), uuid.New())} {
		if !unreachable(err) {
			t.Errorf("got %v", err)
		}
	}
}

// membershipProvider is a provider that manages organizations, and whose accounts can disappear.
type membershipProvider struct {
	identity.Provider
	vanish   func()
	withdraw func() error
}

func (membershipProvider) ManagesMemberships() bool      { return true }
func (membershipProvider) Prepare(context.Context) error { return nil }

func (p membershipProvider) Assign(context.Context, identity.Membership) (identity.Assignment, error) {
	p.vanish()
	return identity.Assignment{}, identity.ErrNotFound
}

func (p membershipProvider) Unassign(context.Context, identity.Membership) error { return p.withdraw() }

// TestTheOrganizationOfARemovedAccountIsRemoved: the provider cannot be reached when the membership is to be removed.
func TestTheOrganizationOfARemovedAccountIsRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	unreachable := []error{&identity.Unavailable{Err: net.ErrClosed}, &identity.Unavailable{Err: net.ErrClosed}}
	service := b.newService(t, func(c *signup.Config) {
		c.Identity = membershipProvider{Provider: c.Identity, vanish: b.auth0.DeleteAll, withdraw: func() (err error) {
			if len(unreachable) > 0 {
				err, unreachable = unreachable[0], unreachable[1:]
			}
			return err
		}}
	})
	outcome, err := service.Begin(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []catalog.Status{catalog.Provisioning, catalog.Provisioning, catalog.NeedsOperator} {
		if view, err := service.View(t.Context(), outcome.SignupID); err != nil || view.Status != want {
			t.Errorf("%+v, %v, want %s", view, err, want)
		}
		b.exec(t, "update signups set check_at = now() where check_at is not null")
		if err := service.ReconcileOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// overtaken is a provider at which another worker creates the account between two calls of this one.
type overtaken struct {
	identity.Provider
	wanted *identity.NewUser
}

func (o *overtaken) Create(ctx context.Context, user identity.NewUser) (identity.User, error) {
	if o.wanted == nil {
		o.wanted = &user
		return identity.User{}, identity.ErrExists
	}
	return o.Provider.Create(ctx, user)
}

func (o *overtaken) LookupEmail(ctx context.Context, email string) ([]identity.User, error) {
	if _, err := o.Provider.Create(ctx, *o.wanted); err != nil {
		return nil, err
	}
	return o.Provider.LookupEmail(ctx, email)
}

// TestAnAccountThatAnotherWorkerCreatesIsFound: two workers create the account of a sign-up, for example two
// confirmations at the same time. The slower one finds the e-mail taken.
func TestAnAccountThatAnotherWorkerCreatesIsFound(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	service := b.newService(t, func(c *signup.Config) { c.Identity = &overtaken{Provider: c.Identity} })
	if outcome, err := service.Begin(t.Context(), request()); err != nil || outcome.Result == nil {
		t.Errorf("%+v, %v", outcome, err)
	}
}
