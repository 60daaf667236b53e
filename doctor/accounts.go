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

// maxLookups is how many accounts an examination looks up one by one at most, because sign-ups share the provider's
// rate limit. If more accounts differ, that is a single finding.
const maxLookups = 50

// accounts are the accounts of the provider, compared with the catalog's rows from before.
type accounts struct {
	// listed reports whether the list was read completely, or every selected user was looked up.
	listed bool
	looked int
	// unexplained are the accounts that the catalog does not explain, absent the users whose account was not in the
	// list.
	unexplained []identity.User
	absent      []uuid.UUID
	// blocked are accounts that are blocked at the provider.
	blocked []identity.User
	// batch are the users to look up in this examination, because no list shows their accounts.
	batch []uuid.UUID
}

// listIdentities compares the provider's list with the catalog's rows from before. Differences are checked again later.
func (e *examination) listIdentities(ctx context.Context) error {
	switch {
	case e.previous != nil && e.previous.accounts.listed:
		e.accounts = e.previous.accounts
	case e.cfg.Identity == nil:
		e.skipped = append(e.skipped, "Identities were not checked: no identity provider is configured.")
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
			"Of %s, the accounts of %d were looked up: the identity provider cannot list them, so unknown accounts were not searched for.",
			count(len(all), "user"), len(e.accounts.batch)))
	default:
		return e.listAll(ctx)
	}
	return nil
}

// lister returns the provider if it can list the accounts that Homeroom created. A provider without metadata cannot
// distinguish them from others.
func (d *Doctor) lister() identity.Lister {
	lister, ok := d.cfg.Identity.(identity.Lister)
	if !ok || !identity.SupportsMetadata(d.cfg.Identity) {
		return nil
	}
	return lister
}

// listAll reads the whole list. The list need not show accounts that sign-ups linked, which may be of another
// connection.
func (e *examination) listAll(ctx context.Context) error {
	users := map[string]uuid.UUID{} // by account
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

// linkedUsers returns the users whose account existed before they signed up.
func linkedUsers(survey catalog.Survey) map[uuid.UUID]bool {
	users := map[uuid.UUID]bool{}
	for _, s := range survey.Signups {
		if s.IdentityID != nil {
			users[s.UserID] = true
		}
	}
	return users
}

// nextBatch returns the users that follow those of the last examination. The second pass uses those of the first.
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

// errLookupUnsupported says that it is unknown whether an account exists: it was linked, and this provider cannot link
// accounts.
var errLookupUnsupported = errors.New("the identity provider cannot look up this account")

// accountOf looks up the account of an active user, by the provider's id where that is possible, because a linked
// account does not have our id.
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

// compareBlocked reports active users whose account is blocked at the provider.
func (e *examination) compareBlocked() {
	for _, account := range e.accounts.blocked {
		if user, ok := userOf(account, e.after); ok && user.Active && user.IdentityID == account.ID {
			e.add(Finding{Code: IdentityBlocked, Subject: account.ID, TenantID: &user.TenantID, Detail: "the account is blocked at the identity provider"})
		}
	}
}

// lookUpListed reads a listed account again, if the provider can look it up.
func (d *Doctor) lookUpListed(ctx context.Context, listed identity.User) (identity.User, error) {
	if linker, ok := d.cfg.Identity.(identity.AccountLinker); ok {
		return linker.Find(ctx, listed.ID)
	}
	if listed.OurID == uuid.Nil {
		return listed, nil
	}
	return d.cfg.Identity.Lookup(ctx, listed.OurID)
}
