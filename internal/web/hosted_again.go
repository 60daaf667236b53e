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

// knownEvery and knownFor are how often, and how many times, it is looked for the sign-up that another request of the same
// registration works on; knownSoon is how many times while there is none at all.
const (
	knownEvery = 200 * time.Millisecond
	knownFor   = 50
	knownSoon  = 10
)

// leadOn leads a person on to the sign-up that another request of the same registration has made, or is about to. It reports
// whether there is one, and has answered then. The browser has shown that the registration is its own.
func (s *site) leadOn(c *gin.Context, trip hosted.FlowState) bool {
	ctx := c.Request.Context()
	for look := range knownFor {
		row, unfinished, err := s.signupOf(ctx, trip)
		switch {
		case err == nil && row.Status != unfinished:
			s.sendOn(c, trip, row.ID, row.Status)
			return true
		case err != nil && (!errors.Is(err, catalog.ErrNotFound) || look >= knownSoon):
			return false
		}
		if wait.For(ctx, knownEvery) != nil {
			return false
		}
	}
	return false
}

// signupOf finds the sign-up of a registration, and what its status is before the registration's end.
func (s *site) signupOf(ctx context.Context, trip hosted.FlowState) (row catalog.Signup, unfinished catalog.Status, err error) {
	if trip.Confirm != "" {
		row, err = s.cfg.Signup.InspectActivation(ctx, trip.Confirm)
		return row, catalog.AwaitingVerification, err
	}
	row, err = s.cfg.Catalog.SignupByKey(ctx, keyOf(trip))
	return row, catalog.Pending, err
}

// leadBack leads a person on whose registration was finished before.
func (s *site) leadBack(c *gin.Context, says messages.Localizer, trip hosted.FlowState) {
	view, err := s.viewSignup(c.Request.Context(), trip.SignupID)
	if err != nil {
		s.endHosted(c, says, trip, err)
		return
	}
	s.sendOn(c, trip, view.SignupID, view.Status)
}

// keyOf is the idempotency key of a registration's sign-up.
func keyOf(trip hosted.FlowState) string { return "hosted." + trip.ID }
