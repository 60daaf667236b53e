package auth0test

import "time"

// index is the data of the search: every user as of Config.SearchDelay ago. It is keyed by user id; each value is what
// the search is still to learn, the earliest first, after what it knows now.
type index map[string][]indexed

type indexed struct {
	at   time.Time // from when on
	user *User     // never changed; nil: removed
}

// learn has the search know of a user, or of its removal, from a time on.
func (x index) update(id string, at time.Time, user *User) { x[id] = append(x[id], indexed{at, user}) }

// users are those that the search knows now, in no order.
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

// reindex has the search know the user as it is now, when its delay is over. It needs s.mu.
func (s *Server) reindex(user User) {
	user = user.clone()
	s.index.update(user.ID, s.now().Add(s.cfg.SearchDelay), &user)
}
