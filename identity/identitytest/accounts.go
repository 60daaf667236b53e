package identitytest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"homeroom/identity"
)

func roundTrip(s *setup) {
	user := s.newUser()
	made := s.create(user)
	s.checkSame(made, user)
	if !made.CreatedAt.IsZero() && time.Since(made.CreatedAt).Abs() > time.Hour {
		s.Errorf("created at %s, which is not now", made.CreatedAt)
	}

	found := s.find(user)
	if found.ID != made.ID {
		s.Errorf("create said id %q, look-up %q", made.ID, found.ID)
	}
	byEmail, err := s.Provider.LookupEmail(s.Context(), user.Email)
	s.checkNoSecrets(err)
	if err != nil || len(byEmail) != 1 || byEmail[0].ID != made.ID {
		s.Fatalf("look-up by e-mail: %v, %v; want the one account", byEmail, err)
	}
	s.checkSame(byEmail[0], user)

	if err := s.Provider.Delete(s.Context(), user.ID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.checkAbsent(user.ID)
	if byEmail, err = s.Provider.LookupEmail(s.Context(), user.Email); err != nil || len(byEmail) != 0 {
		s.Errorf("look-up by e-mail after the delete: %v, %v; want none", byEmail, err)
	}
}

func withoutNames(s *setup) {
	user := s.newUser()
	user.GivenName, user.FamilyName, user.Name = "", "", ""
	s.create(user)
	s.find(user)
}

func notFound(s *setup) {
	s.checkAbsent(uuid.New())
	found, err := s.Provider.LookupEmail(s.Context(), "nobody+1@lincoln.example")
	if err != nil || len(found) != 0 {
		s.Errorf("look-up of an unknown e-mail: %v, %v; want none and no error", found, err)
	}
}

func deleteTwice(s *setup) {
	user := s.newUser()
	s.create(user)
	for range 2 {
		if err := s.Provider.Delete(s.Context(), user.ID); err != nil {
			s.Fatalf("delete: %v", err)
		}
	}
	if err := s.Provider.Delete(s.Context(), uuid.New()); err != nil {
		s.Errorf("delete of an account that never existed: %v", err)
	}
}

func emailFreed(s *setup) {
	first := s.newUser()
	s.create(first)
	if err := s.Provider.Delete(s.Context(), first.ID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	second := s.newUser()
	second.Email = first.Email
	s.create(second)
	s.find(second)
}

func emailTaken(s *setup) {
	first := s.newUser()
	s.create(first)
	for _, email := range []string{first.Email, strings.ToUpper(first.Email)} {
		second := s.newUser()
		second.Email = email
		_, err := s.Provider.Create(s.Context(), second)
		s.checkError(err, identity.ErrExists)
		s.checkAbsent(second.ID)
	}
	s.find(first)
}

func idTaken(s *setup) {
	first := s.newUser()
	s.create(first)
	second := s.newUser()
	second.ID = first.ID
	if s.AllowsDuplicateIDs {
		second.Email = first.Email
	}
	_, err := s.Provider.Create(s.Context(), second)
	s.checkError(err, identity.ErrExists)
	s.find(first)
}

func oneWinner(s *setup) {
	const racers = 8
	users := make([]identity.NewUser, racers)
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range users {
		users[i] = s.newUser()
		users[i].Email = users[0].Email
		wg.Go(func() { _, errs[i] = s.Provider.Create(s.Context(), users[i]) })
	}
	wg.Wait()

	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			s.checkError(err, identity.ErrExists)
		case winner >= 0:
			s.Errorf("creates %d and %d of one e-mail both succeeded", winner, i)
		default:
			winner = i
		}
	}
	if winner < 0 {
		s.Fatal("no create succeeded")
	}
	found, err := s.Provider.LookupEmail(s.Context(), users[0].Email)
	if err != nil || len(found) != 1 {
		s.Fatalf("look-up by e-mail: %v, %v; want the winner", found, err)
	}
	s.checkSame(found[0], users[winner])
}

func manyAtOnce(s *setup) {
	var wg sync.WaitGroup
	for range 16 {
		user := s.newUser()
		wg.Go(func() {
			_, err := s.Provider.Create(s.Context(), user)
			s.checkNoSecrets(err)
			if err != nil {
				s.Errorf("create: %v", err)
				return
			}
			found, err := s.Provider.Lookup(s.Context(), user.ID)
			if err != nil || found.OurID != user.ID || found.Metadata != s.storedMetadata(user.Metadata) {
				s.Errorf("look up: %+v, %v; want %+v", found, err, s.storedMetadata(user.Metadata))
			}
		})
	}
	wg.Wait()
}

// weakPassword checks that a bad password is refused by field. A provider without passwords
// ignores it.
func weakPassword(s *setup) {
	user := s.newUser()
	if !identity.TakesPassword(s.Provider) {
		user.Password = "weak"
		s.create(user)
		s.find(user)
		return
	}
	user.Password = s.WeakPassword
	_, err := s.Provider.Create(s.Context(), user)
	s.checkNoSecrets(err)
	var rejected *identity.Rejected
	if !errors.As(err, &rejected) {
		s.Fatalf("create with a weak password: %v; want a *identity.Rejected", err)
	}
	if rejected.Field != "password" || rejected.Code == "" || rejected.Message.IsZero() {
		s.Errorf("the refusal is %+v; want the field password, a code and a message", *rejected)
	}
	if identity.Temporary(err) || identity.OutcomeUnknown(err) {
		s.Errorf("a weak password is not definite: %v", err)
	}
	s.checkAbsent(user.ID)

	user.Password = s.Password
	s.create(user)
}

func cancelled(s *setup) {
	user := s.newUser()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	_, err := s.Provider.Create(ctx, user)
	s.checkNoSecrets(err)
	if !identity.Temporary(err) || !errors.Is(err, context.Canceled) {
		s.Errorf("create with a cancelled context: %v; want a temporary error that wraps context.Canceled", err)
	}
	if n := s.Creates(); n != 0 {
		s.Errorf("%d creates were sent, want none", n)
	}
	s.checkAbsent(user.ID)
}

// checkError checks that err is the wanted one, and is definite.
func (s *setup) checkError(err, want error) {
	s.Helper()
	s.checkNoSecrets(err)
	if !errors.Is(err, want) {
		s.Errorf("error is %v, want %v", err, want)
	}
	if identity.Temporary(err) || identity.OutcomeUnknown(err) {
		s.Errorf("the error is not definite: %v", err)
	}
}
