package httpapi

import (
	"context"
	"errors"
	"regexp"
	"time"

	"homeroom/catalog"
	"homeroom/internal/captcha"
)

// captchaField is the member of a request's body that holds the CAPTCHA's token.
const captchaField = "captchaToken"

// plausibleKey is what an idempotency key must look like to be looked up; the sign-up says what is wrong with others.
var plausibleKey = regexp.MustCompile(`^[!-~]{16,255}$`)

// repeats tells whether a sign-up of this key is known. A repetition needs no CAPTCHA: its token is used up.
func (s *server) repeats(ctx context.Context, idempotencyKey string) (bool, error) {
	if s.cfg.Captcha == nil || !plausibleKey.MatchString(idempotencyKey) {
		return false, nil
	}
	_, err := s.cfg.Catalog.SignupByKey(ctx, idempotencyKey)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// missingToken tells that the CAPTCHA was left out, together with whatever else is wrong.
func (s *server) missingToken(n newcomer, repeats bool) []FieldProblem {
	if s.cfg.Captcha == nil || n.captchaToken != "" || repeats {
		return nil
	}
	return []FieldProblem{{captchaField, "required", "Solve the CAPTCHA."}}
}

// checkCaptcha makes sure that a person is behind a sign-up. It is asked last before the sign-up begins, since a token is
// good once. Without an answer nobody is let in.
func (s *server) checkCaptcha(ctx context.Context, n newcomer, repeats bool) error {
	if s.cfg.Captcha == nil || repeats {
		return nil
	}
	err := s.cfg.Captcha.Verify(ctx, captcha.Request{
		Token: n.captchaToken, RemoteIP: requestOf(ctx).client, Key: n.request.IdempotencyKey,
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, captcha.ErrExpired):
		return invalidFields(FieldProblem{captchaField, "expired", "The CAPTCHA was solved too long ago, or used before. Solve it once more."}).because(err)
	case errors.Is(err, captcha.ErrInvalid):
		return invalidFields(FieldProblem{captchaField, "invalid", "The CAPTCHA was not solved here. Solve it once more."}).because(err)
	}
	return newProblem(busy, "The CAPTCHA cannot be checked at this moment. Try again later.").after(5 * time.Second).because(err)
}
