package auth0test

import "time"

// index is the data of the search: every user as it was Config.SearchDelay ago. It is keyed by user id; each value has
// the state that the search shows now, and then the states that it will show, the earliest first.
type index map[string][]indexed

type indexed struct {
	at   time.Time // since when
	user *User     // immutable; nil: removed
}

// update sets the state of a user in the search from a time on; nil removes it.
func (x index) update(id string, at time.Time, user *User) { x[id] = append(x[id], indexed{at, user}) }

// users returns the users that the search shows now, in no particular order.
func (x index) users(now time.Time) []*User {
	var known []*User
	for id, states := range x {
		for len(states) > 1 && !states[1].at.After(now) {
			states = states[1:]
		}
		x[id] = states
		switch first := states[0]; {
		case first.at.After(now):
		case first.user != nil:
			known = append(known, first.user)
		case len(states) == 1:
			delete(x, id)
		}
	}
	return known
}

// reindex sets the user's present state in the search, after its delay. It needs s.mu.
func (s *Server) reindex(user User) {
	user = user.clone()
	s.index.update(user.ID, s.now().Add(s.cfg.SearchDelay), &user)
}
