package signup_test

import (
	"testing"

	"homeroom/beyondidentity"
	"homeroom/beyondidentity/bitest"
	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/secret"
	"homeroom/scim"
	"homeroom/scim/scimtest"
	"homeroom/signup"
)

// TestEveryProviderCreatesTheAccountAfterConfirmation: no provider knows of a sign-up before its e-mail is confirmed.
// Then the provider gets the chosen password, if it takes one.
func TestEveryProviderCreatesTheAccountAfterConfirmation(t *testing.T) {
	t.Parallel()
	organization := scimtest.Start(t, scimtest.Config{})
	asgardeo, err := scim.New(scim.Config{
		BaseURL: organization.URL(), ClientID: organization.Config().ClientID, ClientSecret: secret.String(organization.Config().ClientSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	tenant := bitest.Start(t, bitest.Config{})
	passkeys, err := beyondidentity.New(beyondidentity.Config{
		BaseURL: tenant.Address(), ClientID: tenant.Config().ClientID, ClientSecret: secret.String(tenant.Config().ClientSecret),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, provider := range map[string]identity.Provider{"SCIM": asgardeo, "Beyond Identity": passkeys} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1, verifyFirst, func(c *signup.Config) { c.Identity = provider })
			req, enters := request(), chosen
			if !identity.TakesPassword(provider) {
				req.Password, enters = "", ""
			}
			id := b.waits(t, req, catalog.AwaitingVerification)
			if users, err := provider.LookupEmail(t.Context(), req.Email); err != nil || len(users) != 0 {
				t.Fatalf("the provider knows the account already: %v, %v", users, err)
			}
			row, err := b.catalog.Signup(t.Context(), id)
			if err != nil || b.service.NeedsPassword(row) != identity.TakesPassword(provider) {
				t.Errorf("a password is asked for: %v, %v", b.service.NeedsPassword(row), err)
			}
			outcome, err := b.service.Activate(t.Context(), b.service.ActivationToken(id), enters)
			if err != nil || outcome.Result == nil || !outcome.Result.User.EmailVerified {
				t.Fatalf("%+v, %v", outcome, err)
			}
			user, err := b.catalog.UserByEmail(t.Context(), req.Email)
			if err != nil || !user.EmailVerified {
				t.Errorf("%+v, %v", user, err)
			}
			if enters != "" && organization.Users()[0].Password != enters.Reveal() {
				t.Error("the account has another password")
			}
		})
	}
}

// TestAnInterruptedConfirmationIsDoneAgainWithAnotherPassword: the account was created, and the answer was lost.
func TestAnInterruptedConfirmationIsDoneAgainWithAnotherPassword(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, verifyFirst)
	id := b.waits(t, request(), catalog.AwaitingVerification)
	token := b.service.ActivationToken(id)
	interrupted := b.newService(t, verifyFirst, func(c *signup.Config) {
		c.Catalog = interleavedStore{Store: c.Catalog, beforeAdmit: func() {
			b.exec(t, "update signups set lease_epoch = lease_epoch + 1, check_at = now() + interval '1 hour' where id = $1", id)
		}}
	})
	if _, err := interrupted.Activate(t.Context(), token, chosen); err == nil {
		t.Fatal("it was not interrupted")
	}
	before := b.auth0.Users()[0].LastPasswordReset
	outcome, err := b.service.Activate(t.Context(), token, "Chosen-0therwise")
	if err != nil || outcome.Result == nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
	if users := b.auth0.Users(); len(users) != 1 || users[0].LastPasswordReset == before {
		t.Errorf("the account has the password of the first attempt: %+v", users)
	}
}
