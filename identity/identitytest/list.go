package identitytest

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
)

// ListFixture is what the cases of [identity.Lister] need besides.
type ListFixture struct {
	// Inject makes a request of the next list fail, after skip successful ones.
	Inject func(fault Fault, skip int)
	// Seed adds accounts without a create. One with zero metadata is unmanaged.
	Seed func(users []identity.NewUser)
	// WaitConsistent returns when the list contains all earlier changes.
	WaitConsistent func()
	// Many is a number of accounts that needs at least three requests.
	Many int
}

// withLister runs a case only for providers that list.
func withLister(run func(*setup, identity.Lister)) func(*setup) {
	return func(s *setup) {
		lister, ok := s.Provider.(identity.Lister)
		switch {
		case ok && s.List == nil:
			s.Fatal("the provider lists, and the fixture has no List")
		case ok:
			run(s, lister)
		case s.List != nil:
			s.Fatal("the fixture has a List, and the provider does not list")
		}
	}
}

func listManaged(s *setup, lister identity.Lister) {
	made, unmanaged := s.newUser(), s.newUser()
	unmanaged.Metadata = identity.Metadata{}
	account := s.create(made)
	s.List.Seed([]identity.NewUser{unmanaged})
	s.List.WaitConsistent()

	listed := s.list(lister)
	if len(listed) != 1 {
		s.Fatalf("%d accounts are listed, want the managed one", len(listed))
	}
	got := listed[made.ID]
	s.checkSame(got, made)
	if !got.CreatedAt.Equal(account.CreatedAt) {
		s.Errorf("created at %s, and listed as of %s", account.CreatedAt, got.CreatedAt)
	}
}

func listEmpty(s *setup, lister identity.Lister) {
	if listed := s.list(lister); len(listed) != 0 {
		s.Errorf("%d accounts are listed, want none", len(listed))
	}
}

func listPages(s *setup, lister identity.Lister) {
	users := s.seedMany()
	listed := s.list(lister)
	for _, user := range users {
		if user.Metadata != (identity.Metadata{}) {
			s.checkSame(listed[user.ID], user)
		}
	}
	if want := len(users) - 1; len(listed) != want {
		s.Errorf("%d accounts are listed, want %d", len(listed), want)
	}
}

func listAfterDelete(s *setup, lister identity.Lister) {
	stored, gone := s.newUser(), s.newUser()
	s.create(stored)
	s.create(gone)
	s.List.WaitConsistent()
	s.list(lister)
	if err := s.Provider.Delete(s.Context(), gone.ID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.List.WaitConsistent()
	listed := s.list(lister)
	if len(listed) != 1 || listed[stored.ID].ID == "" {
		s.Errorf("%d accounts are listed after a delete, want the other one", len(listed))
	}
}

// listWhileDeleting removes each account when it is listed, which must not hide another.
func listWhileDeleting(s *setup, lister identity.Lister) {
	users := s.seedMany()
	listed := 0
	err := lister.List(s.Context(), func(u identity.User) error {
		listed++
		err := s.Provider.Delete(s.Context(), u.OurID)
		s.List.WaitConsistent()
		return err
	})
	if want := len(users) - 1; err != nil || listed != want {
		s.Errorf("%d accounts are listed, with error %v; want %d", listed, err, want)
	}
}

func listStopsOnCallbackError(s *setup, lister identity.Lister) {
	s.seedMany()
	stop := errors.New("enough")
	calls := 0
	err := lister.List(s.Context(), func(identity.User) error {
		if calls++; calls == s.List.Many/2 {
			return stop
		}
		return nil
	})
	if err != stop { //nolint:errorlint // unchanged
		s.Errorf("error is %v, want the one that ended the list, unchanged", err)
	}
	if calls != s.List.Many/2 {
		s.Errorf("each was called %d times, want none after the error", calls)
	}
}

func listCancelled(s *setup, lister identity.Lister) {
	s.seedMany()
	ctx, cancel := context.WithCancel(s.Context())
	err := lister.List(ctx, func(identity.User) error {
		cancel()
		return nil
	})
	s.checkNoSecrets(err)
	if !identity.Temporary(err) || !errors.Is(err, context.Canceled) {
		s.Errorf("list with a context that was cancelled: %v; want a temporary error that wraps context.Canceled", err)
	}
}

// listFails is the case of a fault in the middle of a list: the list is complete, or ends with a temporary error.
func listFails(fault Fault) func(*setup) {
	return withLister(func(s *setup, lister identity.Lister) {
		want := len(s.seedMany()) - 1
		s.List.Inject(fault, 1)
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		listed := map[string]bool{}
		err := lister.List(ctx, func(u identity.User) error {
			if len(listed) == 0 && fault == Hang {
				time.AfterFunc(hangTimeout, cancel)
			}
			listed[u.ID] = true
			return nil
		})
		s.checkNoSecrets(err)
		switch {
		case err == nil && len(listed) != want:
			s.Errorf("%d of %d accounts are listed without an error", len(listed), want)
		case err != nil && !identity.Temporary(err):
			s.Errorf("list: %v; want a temporary error, or none", err)
		case fault == Throttled && err != nil && (identity.RetryAfter(err) <= 0 || identity.RetryAfter(err) > time.Hour):
			s.Errorf("RetryAfter is %s; want more than zero, at most an hour", identity.RetryAfter(err))
		}
		if listed := s.list(lister); len(listed) != want {
			s.Errorf("%d accounts are listed when the fault is over, want %d", len(listed), want)
		}
	})
}

// seedMany seeds accounts that need several requests, one of them unmanaged.
func (s *setup) seedMany() []identity.NewUser {
	s.Helper()
	users := make([]identity.NewUser, s.List.Many+1)
	for i := range users {
		users[i] = s.newUser()
	}
	users[len(users)/2].Metadata = identity.Metadata{}
	s.List.Seed(users)
	s.List.WaitConsistent()
	return users
}

// list reads a list without a fault, by our ids.
func (s *setup) list(lister identity.Lister) map[uuid.UUID]identity.User {
	s.Helper()
	listed := map[uuid.UUID]identity.User{}
	err := lister.List(s.Context(), func(u identity.User) error {
		if _, twice := listed[u.OurID]; twice {
			s.Errorf("%s is listed twice", u.ID)
		}
		listed[u.OurID] = u
		return nil
	})
	s.checkNoSecrets(err)
	if err != nil {
		s.Fatalf("list: %v", err)
	}
	return listed
}
