package auth0test

import (
	"cmp"
	"fmt"
	"strings"
)

// Seed stores users as old ones: none of their creates is among the calls, none gets a mail, none
// can log in with a password, and the search knows them at once. Of each, ID (such as "auth0|…") and Email are needed; the rest
// is as from a create when it is left out, and Identities defaults to the first connection. A user whose id or e-mail is
// taken ends it with an error; those before are stored.
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

// grown fills in what a create would.
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
