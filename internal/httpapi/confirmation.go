package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// confirmation is the body of POST /schools/confirm.
type confirmation struct {
	Token string `json:"token" minLength:"43" maxLength:"43" doc:"The token from the link in the mail."`

	members
}

// UnmarshalJSON reads the members one by one.
func (b *confirmation) UnmarshalJSON(text []byte) error {
	return b.read(text, func(o *object) { b.Token = o.text("token") })
}

type confirmationInput struct{ Body confirmation }

// postConfirmation confirms the e-mail of a sign-up with an existing account, that of the access token.
func (s *server) postConfirmation(ctx context.Context, in *confirmationInput) (*postUserOutput, error) {
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	outcome, err := s.cfg.Signup.ActivateWithAccount(ctx, in.Body.Token, claimsOf(ctx).Subject)
	if err != nil {
		return nil, err
	}
	return begun(outcome, false), nil
}

// registerConfirmation adds the operation with which programs confirm a sign-up.
func (s *server) registerConfirmation() {
	register(s, anyUser, huma.Operation{
		OperationID: "confirmSchool", Method: http.MethodPost, Path: "/schools/confirm", Tags: []string{tagSignup},
		Summary: "Confirm the e-mail address of a sign-up with an existing account",
		Description: "For a sign-up of `POST /schools` or hosted registration that waits until its e-mail address is confirmed. " +
			"The link in the mail proves the ownership of the address, the access token that of the account; both together confirm the sign-up. " +
			"The page behind the link sends the browser to the application's login with `confirm`, the token. The answers are those of `POST /users`.",
		DefaultStatus: http.StatusCreated,
		Errors:        []int{http.StatusForbidden, http.StatusConflict, http.StatusGone, http.StatusServiceUnavailable},
		Responses:     s.signupResponses(),
	}, s.postConfirmation)
}
