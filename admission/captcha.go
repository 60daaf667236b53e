package admission

import (
	"context"
	"errors"
	"time"

	"homeroom/internal/captcha"
	"homeroom/messages"
	"homeroom/signup"
)

// CaptchaField is the field of a sign-up with the CAPTCHA's token.
const CaptchaField = "captchaToken"

// AsksForCaptcha reports whether some entry points need a CAPTCHA.
func (a *Admission) AsksForCaptcha() bool { return a.cfg.Captcha != nil }

// needsCaptcha reports whether this applicant must solve a CAPTCHA.
func (a *Admission) needsCaptcha(applicant Applicant) bool {
	return applicant.EntryPoint.captcha && a.cfg.Captcha != nil
}

// checkCaptcha verifies the CAPTCHA's token. This comes just before the budget, since a token is valid once. Without an
// answer the applicant is refused.
func (a *Admission) checkCaptcha(ctx context.Context, applicant Applicant) error {
	err := a.cfg.Captcha.Verify(ctx, captcha.Request{
		Token: applicant.CaptchaToken, RemoteIP: applicant.Caller.Address, Key: applicant.Request.IdempotencyKey,
	})
	invalid := func(code string, message messages.Message) error {
		return &signup.ValidationError{Fields: []signup.FieldError{{Field: CaptchaField, Code: code, Message: message}}, Cause: err}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, captcha.ErrExpired):
		return invalid("expired", messages.ID("field.captcha_old"))
	case errors.Is(err, captcha.ErrInvalid):
		return invalid("invalid", messages.ID("field.captcha_elsewhere"))
	}
	return &signup.Unavailable{What: signup.Captcha, RetryAfter: 5 * time.Second, Err: err}
}
