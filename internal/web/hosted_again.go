package web

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	"homeroom/catalog"
	"homeroom/hosted"
	"homeroom/internal/wait"
	"homeroom/messages"
)

// pollInterval and maxPolls are how often, and how many times, the sign-up of another request of the same
// registration is looked up; maxPollsUnknown is how many times while there is none.
const (
	pollInterval    = 200 * time.Millisecond
	maxPolls        = 50
	maxPollsUnknown = 10
)

// followSignup redirects a person to the result of the sign-up that another request of the same registration makes.
// It reports whether there is one, and has answered then. The cookie has shown that the registration is the browser's
// own.
func (s *Site) followSignup(c *gin.Context, state hosted.FlowState) bool {
	ctx := c.Request.Context()
	for inspectErr := range maxPolls {
		row, unfinished, err := s.signupOf(ctx, state)
		switch {
		case err == nil && row.Status != unfinished:
			s.redirectWithResult(c, state, row.ID, row.Status)
			return true
		case err != nil && (!errors.Is(err, catalog.ErrNotFound) || inspectErr >= maxPollsUnknown):
			return false
		}
		if wait.For(ctx, pollInterval) != nil {
			return false
		}
	}
	return false
}

// signupOf finds the sign-up of a registration, and its status before the registration's end.
func (s *Site) signupOf(ctx context.Context, state hosted.FlowState) (row catalog.Signup, unfinished catalog.Status, err error) {
	if state.Confirm != "" {
		row, err = s.cfg.Signup.InspectActivation(ctx, state.Confirm)
		return row, catalog.AwaitingVerification, err
	}
	row, err = s.cfg.Catalog.SignupByKey(ctx, idempotencyKey(state))
	return row, catalog.Pending, err
}

// followFinished redirects a person whose registration was finished before.
func (s *Site) followFinished(c *gin.Context, localizer messages.Localizer, state hosted.FlowState) {
	view, err := s.viewSignup(c.Request.Context(), state.SignupID)
	if err != nil {
		s.showEnding(c, localizer, state, err)
		return
	}
	s.redirectWithResult(c, state, view.SignupID, view.Status)
}

// idempotencyKey returns the idempotency key of a registration's sign-up.
func idempotencyKey(state hosted.FlowState) string { return "hosted." + state.ID }
