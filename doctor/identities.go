package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
)

// userOf returns the user of an account: the user who is known to have it, or else the one for whom it was created.
func userOf(account identity.User, survey catalog.Survey) (catalog.SurveyedUser, bool) {
	if id, ok := survey.Identities[account.ID]; ok {
		return survey.Users[id], true
	}
	user, ok := survey.Users[account.OurID]
	return user, ok
}

// mismatch returns how an account differs from its active user; empty if it does not.
func (e *examination) mismatch(account identity.User, survey catalog.Survey) string {
	user, ok := userOf(account, survey)
	if !ok || !user.Active || user.IdentityID != account.ID {
		return "it belongs to no active user"
	}
	var wrong []string
	if identity.SupportsMetadata(e.cfg.Identity) {
		wrong = wrongMetadata(account.Metadata, user, survey)
	}
	if !strings.EqualFold(account.Email, user.Email) {
		wrong = append(wrong, "its e-mail is not the catalog's")
	}
	return strings.Join(wrong, "; ")
}

// wrongMetadata returns the entries of an account's metadata that are wrong.
func wrongMetadata(m identity.Metadata, user catalog.SurveyedUser, survey catalog.Survey) (wrong []string) {
	t := survey.Tenants[user.TenantID]
	if m.TenantID != t.ID.String() {
		wrong = append(wrong, fmt.Sprintf("its tenant_id is %q, the catalog's %s", m.TenantID, t.ID))
	}
	if m.Database != t.Database {
		wrong = append(wrong, fmt.Sprintf("its database is %q, the catalog's %s", m.Database, t.Database))
	}
	if signup, ok := survey.Signups[parseID(m.SignupID)]; !ok || signup.UserID != user.ID {
		wrong = append(wrong, fmt.Sprintf("its signup_id is %q, which is not its user's", m.SignupID))
	}
	return wrong
}

// parseID returns the zero UUID for a text that is not one.
func parseID(text string) uuid.UUID {
	id, _ := uuid.Parse(text)
	return id
}

// compareIdentities looks up every account on which the list and the catalog disagree, since the list may be outdated.
// The unknown accounts are those whose sign-up the catalog does not know.
func (e *examination) compareIdentities(ctx context.Context) (unknownAccounts []identity.User, err error) {
	unexplained, absent := e.suspects()
	suspects := len(unexplained) + len(absent)
	if suspects > maxLookups {
		e.add(Finding{
			Code: IdentitiesUnconfirmed, Subject: "identity provider",
			Detail: fmt.Sprintf("%d of %s and users differ; only %d were checked one by one", suspects, count(e.accounts.looked, "login"), maxLookups),
		})
	}
	asked, unreachable := 0, false
	for _, account := range unexplained {
		if asked++; asked > maxLookups || unreachable {
			unknown, err := e.isListedUnknown(ctx, account)
			if err != nil {
				return nil, err
			}
			if unknown && e.hasDatabase(account) {
				unknownAccounts = append(unknownAccounts, account)
			}
			continue
		}
		unknown, err := e.compareAccount(ctx, account)
		switch {
		case err != nil && ctx.Err() == nil:
			e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
			e.accounts.listed, unreachable = false, true
		case err != nil:
			return nil, err
		case unknown != nil:
			unknownAccounts = append(unknownAccounts, *unknown)
		}
	}
	if unreachable {
		return unknownAccounts, nil
	}
	if left := max(0, maxLookups-asked); len(absent) > left {
		absent = absent[:left]
	}
	for _, id := range slices.Concat(absent, e.accounts.batch) {
		if err := e.compareAbsent(ctx, id); err != nil {
			e.add(Finding{Code: IdentitiesUnreachable, Subject: "identity provider", Detail: reason(err)})
			return unknownAccounts, nil
		}
	}
	return unknownAccounts, nil
}

// suspects omits what the catalog explains by now: a sign-up that began while the list was read, or is still in
// progress. One that waits for a person is in progress too, and its account names no tenant yet.
func (e *examination) suspects() (unexplained []identity.User, absent []uuid.UUID) {
	underWay := map[uuid.UUID]bool{} // users and sign-ups
	for id, s := range e.after.Signups {
		if s.Held || s.Unattended {
			underWay[id], underWay[s.UserID] = true, true
		}
	}
	for _, account := range e.accounts.unexplained {
		user, _ := userOf(account, e.after)
		if !underWay[parseID(account.Metadata.SignupID)] && !underWay[user.ID] && e.mismatch(account, e.after) != "" {
			unexplained = append(unexplained, account)
		}
	}
	for _, id := range e.accounts.absent {
		if e.after.Users[id].Active {
			absent = append(absent, id)
		}
	}
	return unexplained, absent
}

// compareAbsent looks up the account of an active user by its id.
func (e *examination) compareAbsent(ctx context.Context, id uuid.UUID) error {
	user := e.after.Users[id]
	if !user.Active {
		return nil
	}
	account, err := e.accountOf(ctx, user)
	t := e.after.Tenants[user.TenantID]
	switch {
	case errors.Is(err, identity.ErrNotFound):
		e.add(about(IdentityMissing, t, "the login "+user.IdentityID+" of its user is not at the identity provider"))
	case errors.Is(err, errLookupUnsupported):
	case err != nil:
		return err
	default:
		if wrong := e.mismatch(account, e.after); wrong != "" {
			e.addMismatch(account, t.ID, wrong)
		}
	}
	return nil
}

func (e *examination) addMismatch(account identity.User, tenantID uuid.UUID, wrong string) {
	e.add(Finding{Code: IdentityMismatch, Subject: account.ID, TenantID: &tenantID, Detail: wrong})
}

// compareAccount checks an account that the catalog did not explain before. The sign-up's row was written before the
// account was created, and is read after the account was seen: so an account without a row never had one, or has lost
// it.
func (e *examination) compareAccount(ctx context.Context, listed identity.User) (unknown *identity.User, err error) {
	account, err := e.lookUpListed(ctx, listed)
	if errors.Is(err, identity.ErrNotFound) {
		return nil, nil // it has just been removed
	}
	if err != nil {
		return nil, err
	}
	if e.mismatch(account, e.after) == "" {
		return nil, nil // the list was outdated
	}
	signup, err := e.cfg.Catalog.Signup(ctx, parseID(account.Metadata.SignupID))
	known := err == nil
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return nil, err
	}
	user, hasUser := userOf(account, e.after)
	switch {
	case hasUser && user.Active:
		e.addMismatch(account, user.TenantID, e.mismatch(account, e.after))
		return nil, nil
	case account.Metadata.SignupID == "":
		return nil, nil // it has just been unlinked
	case !known:
		return &account, nil
	case !belongsTo(account, signup):
		e.add(Finding{
			Code: IdentityMismatch, Subject: account.ID, TenantID: signup.TenantID, SignupID: &signup.ID,
			Detail: "it has the sign-up of another account in its metadata",
		})
		return nil, nil
	}
	over, err := e.isOver(ctx, signup)
	if over {
		e.addLeftover(account, signup)
	}
	return nil, err // else in progress, or an operator must resolve it, or finished since
}

// isListedUnknown reports whether the catalog does not know the sign-up of an account, according to the list. A repair
// looks up the account again.
func (e *examination) isListedUnknown(ctx context.Context, account identity.User) (bool, error) {
	if user, ok := userOf(account, e.after); ok && user.Active || account.Metadata.SignupID == "" {
		return false, nil
	}
	_, err := e.cfg.Catalog.Signup(ctx, parseID(account.Metadata.SignupID))
	if errors.Is(err, catalog.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// hasDatabase reports whether an account names a tenant whose database is on one of these servers. That one is in use.
func (e *examination) hasDatabase(account identity.User) bool {
	for _, survey := range e.servers {
		if _, ok := survey.Databases[account.Metadata.Database]; ok {
			return true
		}
	}
	return false
}

// belongsTo reports whether an account is the one that a sign-up created or linked.
func belongsTo(account identity.User, signup catalog.Signup) bool {
	if signup.IdentityID != nil {
		return account.ID == *signup.IdentityID
	}
	return account.OurID == signup.UserID
}

// addLeftover reports what an ended sign-up has left at the provider: the account that it created, or its metadata on
// an existing account, which stays its owner's.
func (e *examination) addLeftover(account identity.User, signup catalog.Signup) {
	finding := Finding{
		Code: IdentityOfExpiredSignup, Subject: account.ID, SignupID: &signup.ID,
		Detail: fmt.Sprintf("its sign-up has %s, and will not be checked again", signup.Status),
	}
	if signup.IdentityID == nil {
		e.add(e.deleteIdentity(finding, signup))
		return
	}
	finding.Detail = fmt.Sprintf("its metadata still names a sign-up that linked it, and has %s", signup.Status)
	finding.Advice = "The account belongs to its owner, who may sign up with it again at any time. It must not be deleted."
	e.add(e.unlinkIdentity(finding, signup))
}

// isOver reports whether a sign-up has left nothing in the catalog, not even its user, and is not checked any more.
func (d *Doctor) isOver(ctx context.Context, signup catalog.Signup) (bool, error) {
	ended := signup.Status == catalog.Expired || signup.Status == catalog.Failed
	if !ended || signup.TenantID != nil || signup.CheckAt != nil {
		return false, nil
	}
	_, err := d.cfg.Catalog.UserByID(ctx, signup.UserID)
	if errors.Is(err, catalog.ErrNotFound) {
		return true, nil
	}
	return false, err
}
