package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
}

// listIdentities compares the provider's list with the catalog as of before: what differs is looked at more closely later.
func (e *examination) listIdentities(ctx context.Context) error {
	switch {
	case e.former != nil && e.former.logins.listed:
		e.logins = e.former.logins
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
		e.skipped = append(e.skipped, "Identities were not looked at: the identity provider cannot list them.")
	default:
		return e.listAll(ctx)
	}
	return nil
}

func (e *examination) listAll(ctx context.Context) error {
	users := map[string]uuid.UUID{} // by login
	for id, u := range e.before.Users {
		if u.Active {
			users[u.IdentityID] = id
		}
	}
	err := e.lister().List(ctx, func(login identity.User) error {
		e.logins.looked++
		delete(users, login.ID)
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
	e.logins.absent = slices.Collect(maps.Values(users))
	return nil
}

// mismatch tells in what a login differs from the active user that it belongs to; nothing when in nothing.
func (e *examination) mismatch(login identity.User, survey catalog.Survey) string {
	user, ok := survey.Users[login.OurID]
	if !ok || !user.Active || user.IdentityID != login.ID {
		return "it belongs to no active user"
	}
	t := survey.Tenants[user.TenantID]
	var wrong []string
	if login.Metadata.TenantID != t.ID.String() {
		wrong = append(wrong, fmt.Sprintf("its tenant_id is %q, the catalog's %s", login.Metadata.TenantID, t.ID))
	}
	if login.Metadata.Database != t.Database {
		wrong = append(wrong, fmt.Sprintf("its database is %q, the catalog's %s", login.Metadata.Database, t.Database))
	}
	if !strings.EqualFold(login.Email, user.Email) {
		wrong = append(wrong, "its e-mail is not the catalog's")
	}
	if signup, ok := survey.Signups[parseID(login.Metadata.SignupID)]; !ok || signup.UserID != user.ID {
		wrong = append(wrong, fmt.Sprintf("its signup_id is %q, which is not its user's", login.Metadata.SignupID))
	}
	return strings.Join(wrong, "; ")
}

// parseID is the zero UUID for a text that is none.
func parseID(text string) uuid.UUID {
	id, _ := uuid.Parse(text)
	return id
}

// compareIdentities asks the provider about every login that the list and the catalog disagree on, since the list may be
// behind. The strangers are those whose sign-up the catalog does not know.
func (e *examination) compareIdentities(ctx context.Context) (strangers []identity.User, err error) {
	odd, absent := e.suspects()
	suspects := len(odd) + len(absent)
	if suspects > mostLookups {
		e.add(Finding{
			Code: IdentitiesUnconfirmed, Subject: "identity provider",
			Detail: fmt.Sprintf("%d of %s and users differ; only %d were looked at one by one", suspects, count(e.logins.looked, "login"), mostLookups),
		})
	}
	asked := 0
	for _, login := range odd {
		if asked++; asked > mostLookups {
			return strangers, nil
		}
		stranger, err := e.compareLogin(ctx, login)
		switch {
		case err != nil && ctx.Err() == nil:
			e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
			e.logins.listed = false
			return strangers, nil
		case err != nil:
			return nil, err
		case stranger != nil:
			strangers = append(strangers, *stranger)
		}
	}
	for _, id := range absent {
		if asked++; asked > mostLookups {
			return strangers, nil
		}
		if err := e.compareAbsent(ctx, id); err != nil {
			e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
			return strangers, nil
		}
	}
	return strangers, nil
}

// suspects leaves out what the catalog explains by now: a sign-up that began while the list was read, or still goes on.
func (e *examination) suspects() (odd []identity.User, absent []uuid.UUID) {
	for _, login := range e.logins.odd {
		signup, ok := e.after.Signups[parseID(login.Metadata.SignupID)]
		underWay := ok && (signup.Held || signup.Unattended)
		if !underWay && e.mismatch(login, e.after) != "" {
			odd = append(odd, login)
		}
	}
	for _, id := range e.logins.absent {
		if e.after.Users[id].Active {
			absent = append(absent, id)
		}
	}
	return odd, absent
}

// compareAbsent looks for the login of an active user by its id.
func (e *examination) compareAbsent(ctx context.Context, id uuid.UUID) error {
	user := e.after.Users[id]
	login, err := e.cfg.Identity.Lookup(ctx, id)
	t := e.after.Tenants[user.TenantID]
	switch {
	case errors.Is(err, identity.ErrNotFound):
		e.add(about(IdentityMissing, t, "the login "+user.IdentityID+" of its user is not at the identity provider"))
	case err != nil:
		return err
	default:
		if wrong := e.mismatch(login, e.after); wrong != "" {
			e.addMismatch(login, t.ID, wrong)
		}
	}
	return nil
}

func (e *examination) addMismatch(login identity.User, tenantID uuid.UUID, wrong string) {
	e.add(Finding{Code: IdentityMismatch, Subject: login.ID, TenantID: &tenantID, Detail: wrong})
}

// compareLogin judges a login that the catalog as of before did not explain. Its sign-up's row is read after it was seen,
// and was written before it was made: who has none now never had one, or has lost it.
func (e *examination) compareLogin(ctx context.Context, listed identity.User) (stranger *identity.User, err error) {
	login := listed
	if listed.OurID != uuid.Nil {
		login, err = e.cfg.Identity.Lookup(ctx, listed.OurID)
		if errors.Is(err, identity.ErrNotFound) {
			return nil, nil // just removed
		}
		if err != nil {
			return nil, err
		}
	}
	if e.mismatch(login, e.after) == "" {
		return nil, nil // the list was behind
	}
	signup, err := e.cfg.Catalog.Signup(ctx, parseID(login.Metadata.SignupID))
	known := err == nil
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, err
	}
	user, hasUser := e.after.Users[login.OurID]
	switch {
	case hasUser && user.Active:
		e.addMismatch(login, user.TenantID, e.mismatch(login, e.after))
	case !known:
		return &login, nil
	case login.OurID != signup.UserID:
		e.add(Finding{
			Code: IdentityMismatch, Subject: login.ID, TenantID: signup.TenantID, SignupID: &signup.ID,
			Detail: "it carries the sign-up of another login",
		})
	case over(signup):
		e.add(e.deleteIdentity(Finding{
			Code: IdentityOfExpiredSignup, Subject: login.ID, SignupID: &signup.ID,
			Detail: fmt.Sprintf("its sign-up has %s, and nobody will look at it again", signup.Status),
		}, signup))
	}
	return nil, nil // under way, or parked, or finished since
}

// over tells whether a sign-up has left nothing, and nobody looks at it any more.
func over(signup catalog.Signup) bool {
	return (signup.Status == catalog.Expired || signup.Status == catalog.Failed) && signup.TenantID == nil && signup.CheckAt == nil
}
