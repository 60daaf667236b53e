package auth0test

import (
	"cmp"
	"fmt"
	"strings"
)

// Seed stores users as old ones: none of their creates is recorded as a call, none gets a mail, none can log in with a
// password, and the search finds them at once. ID (such as "auth0|…") and Email are required. Omitted fields get the
// defaults of a create, and Identities defaults to the first connection. A user whose id or e-mail is taken ends it
// with an error; the earlier ones are stored.
func (s *Server) Seed(users ...User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.mustSave()
	for _, user := range users {
		user = s.fillDefaults(user.clone())
		if _, taken := s.users[user.ID]; taken || s.isTaken(user, byEmail) || s.isTaken(user, byUsername) {
			return fmt.Errorf("seed %s: %s", user.ID, userExists().Message)
		}
		s.put(&record{User: user, Hashes: []string{""}, SearchableSince: s.now()})
		known := user.clone()
		s.index.update(user.ID, s.now(), &known)
	}
	return nil
}

// fillDefaults sets the fields that a create would set.
func (s *Server) fillDefaults(user User) User {
	user.Email = strings.ToLower(user.Email)
	local, _, _ := strings.Cut(user.Email, "@")
	user.Name, user.Nickname = cmp.Or(user.Name, user.Email), cmp.Or(user.Nickname, local)
	user.Picture = cmp.Or(user.Picture, defaultPicture(user.Email))
	if len(user.Identities) == 0 {
		provider, id, _ := strings.Cut(user.ID, "|")
		user.Identities = []Identity{{Connection: s.firstConnection(), UserID: id, Provider: provider}}
	}
	if user.CreatedAt.IsZero() {
		user.CreatedAt = s.timestamp()
	}
	if user.UpdatedAt.IsZero() {
		user.UpdatedAt = user.CreatedAt
	}
	return user
}
