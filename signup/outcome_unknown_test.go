package signup_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/signup"
)

// TestALateCreateAfterARefusedRepetitionIsRemoved: a worker dies while its create is under way, and the same request
// comes again with a password that the provider refuses. The create takes effect only then.
func TestALateCreateAfterARefusedRepetitionIsRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	req := request()
	late := make(chan identity.NewUser, 1)
	victim := b.newService(t, func(c *signup.Config) { c.Identity = slow{c.Identity, late} })
	go func() { _, _ = victim.Begin(context.WithoutCancel(t.Context()), req) }()
	user := <-late
	b.exec(t, "update signups set check_at = now()")
	repetition := req
	repetition.Password = "password"
	var rejected *identity.Rejected
	if _, err := b.service.Begin(t.Context(), repetition); !errors.As(err, &rejected) {
		t.Fatalf("got %v", err)
	}
	if n := b.number(t, "select count(*) from tenants where state = 'spare'"); n != 0 {
		t.Error("its tenant was released, though the identity names it")
	}
	var provider identity.Provider
	b.newService(t, func(c *signup.Config) { provider = c.Identity })
	if _, err := provider.Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "update signups set check_at = now()")
	if err := b.service.ReconcileOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if users := b.auth0.Users(); len(users) != 0 {
		t.Errorf("users are left: %+v", users)
	}
	b.usable(t, b.begin(t, req).School.Database) // the key and the e-mail are free again
}

// interrupted is a catalog that runs another action just before it looks for a sign-up by its user.
type interrupted struct {
	signup.Store
	before func()
}

func (i interrupted) SignupByUser(ctx context.Context, user uuid.UUID) (catalog.Signup, error) {
	i.before()
	return i.Store.SignupByUser(ctx, user)
}

// TestAnEmailThatBecomesFreeIsNotTaken: the sign-up with the e-mail expires while another one checks who has it.
func TestAnEmailThatBecomesFreeIsNotTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, 2)
	late := make(chan identity.NewUser, 1)
	victim := b.newService(t, func(c *signup.Config) { c.Identity = slow{c.Identity, late} })
	req := request()
	go func() { _, _ = victim.Begin(context.WithoutCancel(t.Context()), req) }()
	<-late
	other := b.newService(t, func(c *signup.Config) {
		c.Catalog = interrupted{c.Catalog, func() {
			b.exec(t, "update signups set check_at = now()")
			if err := b.service.ReconcileOnce(t.Context()); err != nil {
				t.Error(err)
			}
		}}
	})
	req.IdempotencyKey = uuid.NewString()
	if outcome, err := other.Begin(t.Context(), req); err != nil || outcome.Result == nil {
		t.Errorf("%+v, %v", outcome, err)
	}
}
