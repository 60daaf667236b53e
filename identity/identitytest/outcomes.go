package identitytest

import (
	"context"
	"time"

	"homeroom/identity"
)

// hangTimeout is how long a create may hang: long enough to be sent on a busy machine.
const hangTimeout = 3 * time.Second

// unknown is the case of a create that is broken off by fault; done says whether the login is there all the same.
func unknown(fault Fault, done bool) func(*setup) {
	return func(s *setup) {
		user := s.newUser()
		s.checkAbsent(user.ID) // and so there is a token, and a connection that was used before
		s.Inject(fault)
		ctx := s.Context()
		if fault == Hang {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, hangTimeout)
			defer cancel()
		}
		_, err := s.Provider.Create(ctx, user)
		s.checkNoSecrets(err)
		if !identity.OutcomeUnknown(err) || identity.Temporary(err) {
			s.Errorf("create: %v; want an unknown outcome", err)
		}
		if n := s.Creates(); n != 1 {
			s.Errorf("the create was sent %d times, want once", n)
		}
		if !done {
			s.checkAbsent(user.ID)
			s.create(user) // which is what an absent login allows
			return
		}
		s.find(user) // which tells whose it is, by our id and by metadata where there is any
		_, err = s.Provider.Create(s.Context(), user)
		s.checkError(err, identity.ErrExists)
	}
}

func throttled(s *setup) {
	user := s.newUser()
	s.Inject(Throttled)
	_, err := s.Provider.Create(s.Context(), user)
	s.checkNoSecrets(err)
	if !identity.Temporary(err) {
		s.Fatalf("create: %v; want a temporary error", err)
	}
	if wait := identity.RetryAfter(err); wait <= 0 || wait > time.Hour {
		s.Errorf("told to come back after %s; want a time between now and an hour", wait)
	}
	if n := s.Creates(); n != 1 {
		s.Errorf("the create was sent %d times, want once", n)
	}
	s.checkAbsent(user.ID)
	s.create(user)
}

func unauthorized(s *setup) {
	user := s.newUser()
	s.checkAbsent(user.ID)
	s.Inject(Unauthorized)
	s.create(user)
	s.find(user)
}
