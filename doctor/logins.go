package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
)

// mostLookups bounds the logins that are asked for one by one in a look: the provider's rate limit is the sign-ups' too. So
// many that differ are one finding.
const mostLookups = 50

// logins is what the provider has, compared with the catalog as of before.
type logins struct {
	// listed: the list came to its end, or every user that was asked for was looked up.
	listed bool
	looked int
	// odd are those that the catalog does not explain, absent the users whose login was not in the list.
	odd    []identity.User
	absent []uuid.UUID
	// blocked are those that the provider lets nobody in with.
	blocked []identity.User
	// turn are users whose login no list shows, and whose turn it is to be asked for.
	turn []uuid.UUID
}

// listIdentities compares the provider's list with the catalog as of before: what differs is looked at more closely later.
func (e *examination) listIdentities(ctx context.Context) error {
	switch {
	case e.previous != nil && e.previous.logins.listed:
		e.logins = e.previous.logins
	case e.cfg.Identity == nil:
		e.skipped = append(e.skipped, "Identities were not looked at: no identity provider is configured.")
	case e.only != nil:
		for _, u := range e.before.Users {
			if e.only[u.TenantID] && u.Active {
				e.logins.absent = append(e.logins.absent, u.ID)
			}
		}
		e.logins.looked, e.logins.listed = len(e.logins.absent), true
	case e.lister() == nil:
		var all []uuid.UUID
		for id, u := range e.before.Users {
			if u.Active {
				all = append(all, id)
			}
		}
		e.logins.turn = e.nextOf(all)
		e.logins.looked = len(e.logins.turn)
		e.skipped = append(e.skipped, fmt.Sprintf(
			"Of %s, the logins of %d were looked up: the identity provider cannot list them, so none was looked for that nobody knows.",
			count(len(all), "user"), len(e.logins.turn)))
	default:
		return e.listAll(ctx)
	}
	return nil
}

// lister is the provider, when it can list the logins that we made. One that keeps nothing for us cannot tell them from
// others.
func (d *Doctor) lister() identity.Lister {
	lister, ok := d.cfg.Identity.(identity.Lister)
	if !ok || !identity.SupportsMetadata(d.cfg.Identity) {
		return nil
	}
	return lister
}

// listAll reads the whole list. It need not show logins that sign-ups took on, which may be of another connection.
func (e *examination) listAll(ctx context.Context) error {
	users := map[string]uuid.UUID{} // by login
	for login, id := range e.before.Identities {
		if e.before.Users[id].Active {
			users[login] = id
		}
	}
	err := e.lister().List(ctx, func(login identity.User) error {
		e.logins.looked++
		delete(users, login.ID)
		e.noteBlocked(login)
		if e.mismatch(login, e.before) != "" {
			e.logins.odd = append(e.logins.odd, login)
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
		e.logins = logins{}
		return nil
	}
	e.logins.listed = true
	takenOn := takenOn(e.before)
	var elsewhere []uuid.UUID
	for _, id := range users {
		if takenOn[id] {
			elsewhere = append(elsewhere, id)
		} else {
			e.logins.absent = append(e.logins.absent, id)
		}
	}
	e.logins.turn = e.nextOf(elsewhere)
	e.logins.looked += len(e.logins.turn)
	return nil
}

// takenOn are the users whose login was there before they signed up.
func takenOn(survey catalog.Survey) map[uuid.UUID]bool {
	users := map[uuid.UUID]bool{}
	for _, s := range survey.Signups {
		if s.IdentityID != nil {
			users[s.UserID] = true
		}
	}
	return users
}

// nextOf takes the users that come after those of the last examination. The second look takes those of the first.
func (e *examination) nextOf(users []uuid.UUID) []uuid.UUID {
	if e.previous != nil {
		return e.previous.logins.turn
	}
	slices.SortFunc(users, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	if len(users) <= mostLookups {
		return users
	}
	e.Doctor.mu.Lock()
	defer e.Doctor.mu.Unlock()
	from, _ := slices.BinarySearchFunc(users, e.asked, func(id, last uuid.UUID) int {
		return cmp.Or(slices.Compare(id[:], last[:]), -1)
	})
	turn := slices.Concat(users[from:], users[:from])[:mostLookups]
	e.asked = turn[len(turn)-1]
	return turn
}

// errCannotAsk says that nobody can tell whether a login is there: it was taken on, and this provider takes on none.
var errCannotAsk = errors.New("the identity provider cannot be asked for this login")

// loginOf asks for the login of an active user: by the provider's id where that is possible, for one that was taken on has no
// id of ours.
func (e *examination) loginOf(ctx context.Context, user catalog.SurveyedUser) (identity.User, error) {
	login, err := e.askFor(ctx, user)
	if err == nil {
		e.noteBlocked(login)
	}
	return login, err
}

func (e *examination) askFor(ctx context.Context, user catalog.SurveyedUser) (identity.User, error) {
	if adopter, ok := e.cfg.Identity.(identity.AccountLinker); ok {
		return adopter.Find(ctx, user.IdentityID)
	}
	if takenOn(e.after)[user.ID] {
		return identity.User{}, errCannotAsk
	}
	return e.cfg.Identity.Lookup(ctx, user.ID)
}

func (e *examination) noteBlocked(login identity.User) {
	if login.Blocked {
		e.logins.blocked = append(e.logins.blocked, login)
	}
}

// compareBlocked tells of active users whom the provider does not let in.
func (e *examination) compareBlocked() {
	for _, login := range e.logins.blocked {
		if user, ok := userOf(login, e.after); ok && user.Active && user.IdentityID == login.ID {
			e.add(Finding{Code: IdentityBlocked, Subject: login.ID, TenantID: &user.TenantID, Detail: "the login is blocked at the identity provider"})
		}
	}
}

// again asks for a login that was listed, as it is now, where the provider can be asked for it.
func (d *Doctor) again(ctx context.Context, listed identity.User) (identity.User, error) {
	if adopter, ok := d.cfg.Identity.(identity.AccountLinker); ok {
		return adopter.Find(ctx, listed.ID)
	}
	if listed.OurID == uuid.Nil {
		return listed, nil
	}
	return d.cfg.Identity.Lookup(ctx, listed.OurID)
}
