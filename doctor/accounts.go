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

// maxLookups bounds the logins that are asked for one by one in a look: the provider's rate limit is the sign-ups' too. So
// many that differ are one finding.
const maxLookups = 50

// accounts is what the provider has, compared with the catalog as of before.
type accounts struct {
	// listed: the list came to its end, or every user that was asked for was looked up.
	listed bool
	looked int
	// odd are those that the catalog does not explain, absent the users whose login was not in the list.
	unexplained []identity.User
	absent      []uuid.UUID
	// blocked are those that the provider lets nobody in with.
	blocked []identity.User
	// turn are users whose login no list shows, and whose turn it is to be asked for.
	batch []uuid.UUID
}

// listIdentities compares the provider's list with the catalog as of before: what differs is looked at more closely later.
func (e *examination) listIdentities(ctx context.Context) error {
	switch {
	case e.previous != nil && e.previous.accounts.listed:
		e.accounts = e.previous.accounts
	case e.cfg.Identity == nil:
		e.skipped = append(e.skipped, "Identities were not looked at: no identity provider is configured.")
	case e.only != nil:
		for _, u := range e.before.Users {
			if e.only[u.TenantID] && u.Active {
				e.accounts.absent = append(e.accounts.absent, u.ID)
			}
		}
		e.accounts.looked, e.accounts.listed = len(e.accounts.absent), true
	case e.lister() == nil:
		var all []uuid.UUID
		for id, u := range e.before.Users {
			if u.Active {
				all = append(all, id)
			}
		}
		e.accounts.batch = e.nextBatch(all)
		e.accounts.looked = len(e.accounts.batch)
		e.skipped = append(e.skipped, fmt.Sprintf(
			"Of %s, the logins of %d were looked up: the identity provider cannot list them, so none was looked for that nobody knows.",
			count(len(all), "user"), len(e.accounts.batch)))
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

// listAll reads the whole list. It need not show logins that sign-ups linked, which may be of another connection.
func (e *examination) listAll(ctx context.Context) error {
	users := map[string]uuid.UUID{} // by login
	for account, id := range e.before.Identities {
		if e.before.Users[id].Active {
			users[account] = id
		}
	}
	err := e.lister().List(ctx, func(account identity.User) error {
		e.accounts.looked++
		delete(users, account.ID)
		e.recordBlocked(account)
		if e.mismatch(account, e.before) != "" {
			e.accounts.unexplained = append(e.accounts.unexplained, account)
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
		e.accounts = accounts{}
		return nil
	}
	e.accounts.listed = true
	linked := linkedUsers(e.before)
	var elsewhere []uuid.UUID
	for _, id := range users {
		if linked[id] {
			elsewhere = append(elsewhere, id)
		} else {
			e.accounts.absent = append(e.accounts.absent, id)
		}
	}
	e.accounts.batch = e.nextBatch(elsewhere)
	e.accounts.looked += len(e.accounts.batch)
	return nil
}

// linkedUsers are the users whose login was there before they signed up.
func linkedUsers(survey catalog.Survey) map[uuid.UUID]bool {
	users := map[uuid.UUID]bool{}
	for _, s := range survey.Signups {
		if s.IdentityID != nil {
			users[s.UserID] = true
		}
	}
	return users
}

// nextBatch takes the users that come after those of the last examination. The second pass takes those of the first.
func (e *examination) nextBatch(users []uuid.UUID) []uuid.UUID {
	if e.previous != nil {
		return e.previous.accounts.batch
	}
	slices.SortFunc(users, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	if len(users) <= maxLookups {
		return users
	}
	e.Doctor.mu.Lock()
	defer e.Doctor.mu.Unlock()
	from, _ := slices.BinarySearchFunc(users, e.lastAsked, func(id, last uuid.UUID) int {
		return cmp.Or(slices.Compare(id[:], last[:]), -1)
	})
	batch := slices.Concat(users[from:], users[:from])[:maxLookups]
	e.lastAsked = batch[len(batch)-1]
	return batch
}

// errLookupUnsupported says that nobody can report whether a login is there: it was linked, and this provider links none.
var errLookupUnsupported = errors.New("the identity provider cannot be asked for this login")

// accountOf asks for the login of an active user: by the provider's id where that is possible, for one that was linked has no
// id of ours.
func (e *examination) accountOf(ctx context.Context, user catalog.SurveyedUser) (identity.User, error) {
	account, err := e.lookUpAccount(ctx, user)
	if err == nil {
		e.recordBlocked(account)
	}
	return account, err
}

func (e *examination) lookUpAccount(ctx context.Context, user catalog.SurveyedUser) (identity.User, error) {
	if linker, ok := e.cfg.Identity.(identity.AccountLinker); ok {
		return linker.Find(ctx, user.IdentityID)
	}
	if linkedUsers(e.after)[user.ID] {
		return identity.User{}, errLookupUnsupported
	}
	return e.cfg.Identity.Lookup(ctx, user.ID)
}

func (e *examination) recordBlocked(account identity.User) {
	if account.Blocked {
		e.accounts.blocked = append(e.accounts.blocked, account)
	}
}

// compareBlocked tells of active users whom the provider does not let in.
func (e *examination) compareBlocked() {
	for _, account := range e.accounts.blocked {
		if user, ok := userOf(account, e.after); ok && user.Active && user.IdentityID == account.ID {
			e.add(Finding{Code: IdentityBlocked, Subject: account.ID, TenantID: &user.TenantID, Detail: "the login is blocked at the identity provider"})
		}
	}
}

// lookUpListed asks for a login that was listed, as it is now, where the provider can be asked for it.
func (d *Doctor) lookUpListed(ctx context.Context, listed identity.User) (identity.User, error) {
	if linker, ok := d.cfg.Identity.(identity.AccountLinker); ok {
		return linker.Find(ctx, listed.ID)
	}
	if listed.OurID == uuid.Nil {
		return listed, nil
	}
	return d.cfg.Identity.Lookup(ctx, listed.OurID)
}
