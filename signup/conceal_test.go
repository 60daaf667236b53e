package signup_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/auth0/auth0test"
	"homeroom/catalog"
	"homeroom/signup"
)

func conceal(c *signup.Config) { c.VerifyFirst, c.Conceal = true, true }

// concealed is how a sign-up looks to whoever knows its id, without what differs between any two.
func (b *bundle) concealed(t *testing.T, id uuid.UUID) string {
	t.Helper()
	view, err := b.service.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range view.Steps {
		view.Steps[i].StartedAt, view.Steps[i].DurationMS = view.Steps[0].StartedAt, 0
	}
	text, err := json.Marshal(map[string]any{
		"status": view.Status, "steps": len(view.Steps), "last": view.Steps[len(view.Steps)-1].Name,
		"user": view.User, "school": view.School, "problem": view.Problem,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhetherAnEmailHasAnAccountIsConcealed(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, conceal)
	known := request()
	first := b.waits(t, known, catalog.AwaitingVerification)
	b.service.WaitConcealed()
	if _, err := b.service.Activate(t.Context(), b.service.ActivationToken(first), ""); err != nil {
		t.Fatal(err)
	}

	fresh, again := request(), request()
	again.Email = known.Email
	one, two := b.waits(t, fresh, catalog.AwaitingVerification), b.waits(t, again, catalog.AwaitingVerification)
	b.service.WaitConcealed()
	if x, y := b.concealed(t, one), b.concealed(t, two); x != y {
		t.Errorf("a new e-mail looks like\n%s\nand a known one like\n%s", x, y)
	}
	if x, y := b.waits(t, fresh, catalog.AwaitingVerification), b.waits(t, again, catalog.AwaitingVerification); x != one || y != two {
		t.Error("a repetition is another sign-up")
	}
	if got := strings.Join(b.events(t)[4:], ", "); got != "signup.awaiting_verification, signup.repeated" {
		t.Errorf("told %s", got)
	}
	for name, id := range map[string]uuid.UUID{"new": one, "known": two} {
		if err := b.service.RemindVerification(t.Context(), id); err != nil {
			t.Errorf("remind a %s one: %v", name, err)
		}
	}
	b.expireNow(t, one)
	b.expireNow(t, two)
	if x, y := b.concealed(t, one), b.concealed(t, two); x != y || !strings.Contains(x, `"expired"`) {
		t.Errorf("expired, a new e-mail looks like\n%s\nand a known one like\n%s", x, y)
	}
	if n := len(b.auth0.Users()); n != 1 {
		t.Errorf("%d logins, want the one with a school", n)
	}
}

func TestAConcealedSignUpAsksForThePasswordAgainWhereItMust(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, conceal)
	b.auth0.Inject(auth0test.Fault{Method: "POST", Path: "/api/v2/users", Kind: auth0test.FaultStatusBefore, Status: 503, Times: 100})
	id := b.waits(t, request(), catalog.AwaitingVerification)
	b.service.WaitConcealed()
	b.auth0.ClearFaults()
	token := b.service.ActivationToken(id)
	row, err := b.service.LookActivation(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if ask, err := b.service.NeedsPassword(t.Context(), row); err != nil || !ask {
		t.Fatalf("it asks for none: %v, %v", ask, err)
	}
	var invalid *signup.ValidationError
	if _, err := b.service.Activate(t.Context(), token, ""); !errors.As(err, &invalid) || invalid.Fields[0].Field != "password" {
		t.Errorf("without a password: %v", err)
	}
	if _, err := b.service.Activate(t.Context(), token, "weakweak"); !rejected("password")(err) {
		t.Errorf("with a weak password: %v", err)
	}
	outcome, err := b.service.Activate(t.Context(), token, password)
	if err != nil || outcome.Result == nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
	b.usable(t, outcome.Result.School.Database)
}

func TestAnAddressIsNotFloodedWithMails(t *testing.T) {
	t.Parallel()
	b := setup(t, 0, conceal)
	req := request()
	for range 5 {
		req.IdempotencyKey = uuid.NewString()
		b.waits(t, req, catalog.AwaitingVerification)
	}
	b.service.WaitConcealed()
	if n := len(b.events(t)); n != 3 {
		t.Errorf("%d mails, want 3", n)
	}
}
