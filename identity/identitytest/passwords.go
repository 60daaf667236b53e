package identitytest

import (
	"errors"

	"homeroom/identity"
	"homeroom/internal/secret"
)

// withPasswordSetter runs a case only with a provider that is an [identity.PasswordSetter].
func withPasswordSetter(run func(*setup, identity.PasswordSetter)) func(*setup) {
	return func(s *setup) {
		setter, ok := s.Provider.(identity.PasswordSetter)
		if ok && identity.TakesPassword(s.Provider) {
			run(s, setter)
		}
	}
}

const replacement secret.String = "Replaced-canary-9"

// checkPassword checks which of the two passwords an account has.
func (s *setup) checkPassword(user identity.NewUser, password, not secret.String) {
	s.Helper()
	if s.AcceptsPassword == nil {
		return
	}
	if !s.AcceptsPassword(user.Email, password) {
		s.Error("the password is refused")
	}
	if s.AcceptsPassword(user.Email, not) {
		s.Error("the other password is accepted")
	}
}

func replacePassword(s *setup, setter identity.PasswordSetter) {
	user := s.newUser()
	made := s.create(user)
	s.checkPassword(user, user.Password, replacement)
	for range 2 {
		if err := setter.SetPassword(s.Context(), made.ID, replacement); err != nil {
			s.Fatalf("set password: %v", err)
		}
		s.checkPassword(user, replacement, user.Password)
	}
	s.find(user)
}

func weakReplacement(s *setup, setter identity.PasswordSetter) {
	user := s.newUser()
	made := s.create(user)
	err := setter.SetPassword(s.Context(), made.ID, s.WeakPassword)
	s.checkNoSecrets(err)
	var rejected *identity.Rejected
	if !errors.As(err, &rejected) || rejected.Field != "password" || rejected.Code == "" || rejected.Message.IsZero() {
		s.Fatalf("set a weak password: %v; want a *identity.Rejected for the field password", err)
	}
	s.checkPassword(user, user.Password, s.WeakPassword)
}

func replaceForDeletedAccount(s *setup, setter identity.PasswordSetter) {
	user := s.newUser()
	made := s.create(user)
	if err := s.Provider.Delete(s.Context(), user.ID); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.checkError(setter.SetPassword(s.Context(), made.ID, replacement), identity.ErrNotFound)
}

func createVerified(s *setup) {
	user := s.newUser()
	user.EmailVerified = true
	made := s.create(user)
	found, err := s.Provider.Lookup(s.Context(), user.ID)
	if err != nil {
		s.Fatalf("look up: %v", err)
	}
	if _, verifiable := s.Provider.(identity.Verifier); verifiable && (!made.EmailVerified || !found.EmailVerified) {
		s.Error("the provider does not say that the e-mail is verified")
	}
}
