package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/problem"
)

// confirmation is the body of POST /schools/confirm.
type confirmation struct {
	Token string `json:"token" minLength:"43" maxLength:"43" doc:"The token from the link in the mail."`

	wrong []problem.Field
}

// UnmarshalJSON takes the members one by one.
func (b *confirmation) UnmarshalJSON(text []byte) error {
	o, err := readObject(text)
	if err != nil {
		return err
	}
	b.Token = o.text("token")
	b.wrong = o.end()
	return nil
}

type confirmationInput struct{ Body confirmation }

// postConfirmation confirms the e-mail of a sign-up that was begun with the login of the access token.
func (s *server) postConfirmation(ctx context.Context, in *confirmationInput) (*postUserOutput, error) {
	if len(in.Body.wrong) > 0 {
		return nil, problem.Invalid(in.Body.wrong...)
	}
	outcome, err := s.cfg.Signup.ActivateWithAccount(ctx, in.Body.Token, claimsOf(ctx).Subject)
	if err != nil {
		return nil, err
	}
	return begun(outcome, false), nil
}

// registerConfirmation adds the way to confirm a sign-up for programs.
func (s *server) registerConfirmation() {
	register(s, anyUser, huma.Operation{
		OperationID: "confirmSchool", Method: http.MethodPost, Path: "/schools/confirm", Tags: []string{tagSignup},
		Summary: "Confirm the e-mail address of a sign-up that was begun with a login",
		Description: "For a sign-up of `POST /schools` or hosted registration that waits until its e-mail address is confirmed. " +
			"The link in the mail shows whose the address is, the access token whose the login is; only both together confirm the sign-up. " +
			"The page behind the link sends the browser to the application's login with `confirm`, the token. The answers are those of `POST /users`.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBodyBytes, SkipValidateBody: true,
		Errors: []int{
			http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
		},
		Middlewares: huma.Middlewares{s.requireJSON},
		Responses:   s.signupResponses(),
	}, s.postConfirmation)
}
