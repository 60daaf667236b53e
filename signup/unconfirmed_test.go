package signup_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/signup"
)

func conceal(c *signup.Config) { c.VerifyFirst, c.HideAccounts = true, true }

// hiddenSignup is a sign-up as a person sees it who knows its id, without what is always different.
func (b *bundle) hiddenSignup(t *testing.T, id uuid.UUID) string {
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

func TestWhetherAnEmailHasAnAccountIsHidden(t *testing.T) {
	t.Parallel()
	b := setup(t, 1, conceal)
	known := request()
	first := b.waits(t, known, catalog.AwaitingVerification)
	if _, err := b.service.Activate(t.Context(), b.service.ActivationToken(first), chosen); err != nil {
		t.Fatal(err)
	}

	fresh, again := request(), request()
	again.Email = known.Email
	one, two := b.waits(t, fresh, catalog.AwaitingVerification), b.waits(t, again, catalog.AwaitingVerification)
	if x, y := b.hiddenSignup(t, one), b.hiddenSignup(t, two); x != y {
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
	if x, y := b.hiddenSignup(t, one), b.hiddenSignup(t, two); x != y || !strings.Contains(x, `"expired"`) {
		t.Errorf("expired, a new e-mail looks like\n%s\nand a known one like\n%s", x, y)
	}
	if n := len(b.auth0.Users()); n != 1 {
		t.Errorf("%d accounts, want the one with a school", n)
	}
}

func TestMailsToAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	b := setup(t, 0, conceal)
	req := request()
	for range 5 {
		req.IdempotencyKey = uuid.NewString()
		b.waits(t, req, catalog.AwaitingVerification)
	}
	if n := len(b.events(t)); n != 3 {
		t.Errorf("%d mails, want 3", n)
	}
}
