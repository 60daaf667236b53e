package identitytest

import (
	"context"
	"time"

	"homeroom/identity"
)

// hangTimeout is how long a create may hang: long enough to be sent on a busy machine.
const hangTimeout = 3 * time.Second

// unknown is the case of a create that fails with fault; done is true if the account exists nevertheless.
func unknown(fault Fault, done bool) func(*setup) {
	return func(s *setup) {
		user := s.newUser()
		s.checkAbsent(user.ID) // gets a token and opens a connection
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
			s.create(user) // allowed, as there is no account
			return
		}
		s.find(user) // checks our id, and the metadata if it is stored
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
		s.Errorf("RetryAfter is %s; want more than zero, at most an hour", wait)
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
