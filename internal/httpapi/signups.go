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
			"Where a database must be built and that takes long, the answer is 202 and the work goes on: look at its Location.",
		DefaultStatus:      http.StatusCreated,
		SkipValidateParams: true, // done by the handler, which tells everything at once
		Errors:             []int{http.StatusForbidden, http.StatusConflict, http.StatusGone, http.StatusTooManyRequests, http.StatusServiceUnavailable},
		Responses:          s.signupResponses(),
	}
	register(s, anyone, op, s.postUser)
	register(s, anyone, huma.Operation{
		OperationID: "getSignup", Method: http.MethodGet, Path: "/signups/{id}", Tags: []string{tagSignup},
		Summary:     "Look at a sign-up",
		Description: "Knowing the id is the permission. `user` and `school` are there once the sign-up is ready.",
		Errors:      []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.getSignup)
	register(s, anyone, streaming(huma.Operation{
		OperationID: "followSignup", Method: http.MethodGet, Path: "/signups/{id}/events", Tags: []string{tagSignup},
		Summary:     "Follow a sign-up",
		Description: "Final are ready, failed and expired.",
	}, "signup", "/signups/{id}", `{"signupId":"8c1f…","status":"provisioning","steps":[…]}`), s.getSignupEvents)
}

// SignupPath names a sign-up. It is exported, as huma does not look into embedded structs that are not.
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

// viewSignup finds a sign-up. Whatever is no id is as unknown as an id that nobody has.
func (s *server) viewSignup(ctx context.Context, text string) (signup.View, error) {
	id, err := catalog.ParseID(text)
	if err != nil {
		return signup.View{}, err
	}
	return s.cfg.Signup.View(ctx, id)
}
