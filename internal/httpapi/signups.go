package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/catalog"
	"homeroom/signup"
)

func (s *server) registerSignups() {
	op := huma.Operation{
		OperationID: "signUp", Method: http.MethodPost, Path: "/users", Tags: []string{tagSignup},
		Metadata: flags(beginsSignup),
		Summary:  "Sign a school up",
		Description: "Creates the user at the identity provider, gives the school a database of its own, and answers when both are ready. " +
			"If a database must be built and that takes long, the answer is 202 and the sign-up continues: see its Location.",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true, // the handler validates, and reports all errors at once
		Errors:             []int{http.StatusForbidden, http.StatusConflict, http.StatusGone, http.StatusTooManyRequests, http.StatusServiceUnavailable},
		Responses:          s.signupResponses(),
	}
	register(s, anyone, op, s.postUser)
	register(s, anyone, huma.Operation{
		OperationID: "getSignup", Method: http.MethodGet, Path: "/signups/{id}", Tags: []string{tagSignup},
		Summary:     "Read a sign-up",
		Description: "Everybody who knows the id may read it. `user` and `school` are present once the sign-up is ready.",
		Errors:      []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getSignup)
	register(s, anyone, streaming(huma.Operation{
		OperationID: "followSignup", Method: http.MethodGet, Path: "/signups/{id}/events", Tags: []string{tagSignup},
		Summary:     "Follow a sign-up",
		Description: "The final statuses are ready, failed and expired.",
	}, "signup", "/signups/{id}", `{"signupId":"8c1f…","status":"provisioning","steps":[…]}`), s.getSignupEvents)
}

// SignupPath names a sign-up. It is exported, since huma does not read unexported embedded structs.
type SignupPath struct {
	ID string `path:"id" doc:"The signupId." example:"8c1f5a0e-3b0d-4c1e-9d2a-6f0b7c8d9e10"`
}

type signupOutput struct{ Body signup.View }

func (s *server) getSignup(ctx context.Context, in *SignupPath) (*signupOutput, error) {
	view, err := s.viewSignup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &signupOutput{view}, nil
}

type signupEventsInput struct {
	SignupPath
	EventsHeader
}

func (s *server) getSignupEvents(ctx context.Context, in *signupEventsInput) (*huma.StreamResponse, error) {
	return s.events(ctx, "signup", in.ID, in.LastEventID, func(ctx context.Context) (followed, error) { return s.viewSignup(ctx, in.ID) })
}

// viewSignup finds a sign-up. A text that is not an id is answered like an unknown id.
func (s *server) viewSignup(ctx context.Context, text string) (signup.View, error) {
	id, err := catalog.ParseID(text)
	if err != nil {
		return signup.View{}, err
	}
	return s.cfg.Signup.View(ctx, id)
}
