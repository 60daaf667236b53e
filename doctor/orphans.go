package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/postgres"
	"homeroom/tenant"
)

// What is missing in a catalog that was restored from an older backup: the account of a school names its tenant, and
// the tenant's database exists without a row, or with the row of the spare that it was then. The latter is dangerous:
// the next sign-up would get a school's data.

// orphanDatabase is a database without a row.
type orphanDatabase struct {
	server *tenant.Server
	name   string
	id     tenant.ID
	tenant.FoundDatabase
}

// restoreCandidate is a school that accounts name and whose sign-up is not in the catalog.
type restoreCandidate struct {
	id tenant.ID
	// owner is the account for which its rows are restored. If there are several accounts, it may be unclear who the
	// owner is.
	owner      identity.User
	ownerKnown bool
	all        []identity.User
}

// compareLostSchools checks the accounts whose sign-up is not in the catalog, and the databases without a row.
func (e *examination) compareLostSchools(ctx context.Context, unknownAccounts []identity.User) error {
	orphans := e.orphanDatabases()
	for _, c := range e.restoreCandidates(unknownAccounts) {
		if t, ok := e.after.Tenants[c.id.UUID()]; ok {
			e.compareCandidateWithRow(ctx, c, t)
			continue
		}
		i := slices.IndexFunc(orphans, func(db orphanDatabase) bool { return db.id == c.id })
		if i < 0 {
			for _, account := range c.all {
				e.addUnknownAccount(account)
			}
			continue
		}
		e.compareCandidateWithoutRow(ctx, c, orphans[i])
		orphans = slices.Delete(orphans, i, i+1)
	}
	for _, db := range orphans {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.compareOrphan(ctx, db)
	}
	return ctx.Err()
}

// restoreCandidates groups the accounts by the school that they name, and reports those that name none. Of several
// accounts of one school the owner's is the one whose sign-up the organization was created for.
func (e *examination) restoreCandidates(unknownAccounts []identity.User) (candidates []restoreCandidate) {
	for _, account := range unknownAccounts {
		id := tenant.ID(parseID(account.Metadata.TenantID))
		if account.Metadata.Database != id.Database() || parseID(account.Metadata.SignupID) == uuid.Nil {
			e.addUnknownAccount(account)
			continue
		}
		founder := e.organizations.of(id.UUID()).SignupID == account.Metadata.SignupID
		i := slices.IndexFunc(candidates, func(c restoreCandidate) bool { return c.id == id })
		if i < 0 {
			candidates = append(candidates, restoreCandidate{id, account, true, []identity.User{account}})
			continue
		}
		c := &candidates[i]
		if founder {
			c.owner = account
		}
		c.ownerKnown = e.organizations.of(id.UUID()).SignupID == c.owner.Metadata.SignupID
		c.all = append(c.all, account)
	}
	return candidates
}

func (e *examination) addUnknownAccount(account identity.User) {
	detail := fmt.Sprintf(
		"its metadata names sign-up %s, which the catalog does not know, and database %q, which is on no configured server",
		account.Metadata.SignupID, account.Metadata.Database)
	if account.Metadata.Database == "" {
		detail = fmt.Sprintf("its metadata names sign-up %s, which the catalog does not know, and no database yet",
			account.Metadata.SignupID)
	}
	e.add(Finding{Code: IdentityWithoutSignup, Subject: account.ID, Detail: detail})
}

// orphanDatabases returns the databases with a tenant's name whose tenant has no row, or a row on another server.
func (e *examination) orphanDatabases() []orphanDatabase {
	var orphans []orphanDatabase
	for server, survey := range e.servers {
		for name, db := range survey.Databases {
			id, err := tenant.ParseDatabase(name)
			if err != nil {
				continue
			}
			before, was := e.before.Tenants[id.UUID()]
			after, is := e.after.Tenants[id.UUID()]
			if was && before.Server == server || is && after.Server == server {
				continue
			}
			orphans = append(orphans, orphanDatabase{e.cfg.Servers[server], name, id, db})
		}
	}
	slices.SortFunc(orphans, func(a, b orphanDatabase) int { return slices.Compare(a.id[:], b.id[:]) })
	return orphans
}

// lostSchoolFinding returns the finding on a school without a row in the catalog.
func lostSchoolFinding(account identity.User, id tenant.ID, server, detail string) Finding {
	uid, signup := id.UUID(), parseID(account.Metadata.SignupID)
	return Finding{
		Code: LostSchool, Subject: id.Database(), Server: server, TenantID: &uid, SignupID: &signup,
		Detail: fmt.Sprintf("account %s belongs to %q and this database; the catalog does not know it%s", account.ID, account.Metadata.SchoolName, detail),
	}
}

// compareCandidateWithRow checks an account without a sign-up whose tenant has a row.
func (e *examination) compareCandidateWithRow(ctx context.Context, c restoreCandidate, t catalog.SurveyedTenant) {
	finding := lostSchoolFinding(c.owner, c.id, t.Server,
		", and there its tenant belongs to another sign-up: that of another school, or of the school that this person had joined")
	if t.State == catalog.Spare {
		would := ""
		if t.Claimable {
			would = ", which the next school would get"
		}
		finding = lostSchoolFinding(c.owner, c.id, t.Server, ", and has its tenant as a spare"+would)
		if server, ok := e.cfg.Servers[t.Server]; ok {
			seen := e.inspectOrphan(ctx, orphanDatabase{server, t.Database, c.id, e.servers[t.Server].Databases[t.Database]})
			finding = e.restorable(finding, c, server, seen)
		}
	}
	e.add(finding)
}

// compareCandidateWithoutRow checks an account without a sign-up whose tenant has a database and no row.
func (e *examination) compareCandidateWithoutRow(ctx context.Context, c restoreCandidate, db orphanDatabase) {
	finding := lostSchoolFinding(c.owner, db.id, db.server.Name(), "")
	e.add(e.restorable(finding, c, db.server, e.inspectOrphan(ctx, db)))
}

// restorable adds the repair if the database is provably ours: its role accepts the password of our key.
func (e *examination) restorable(finding Finding, c restoreCandidate, server *tenant.Server, seen *inspection) Finding {
	switch {
	case !c.ownerKnown:
		finding.Detail += fmt.Sprintf("; %d accounts name it, and it is unclear which is the owner's", len(c.all))
	case seen == nil:
		finding.Detail += "; it was not opened"
	case !seen.CanLogin:
		finding.Detail += "; our key does not open it"
	case !versionReliable(seen.Status):
		finding.Detail += fmt.Sprintf("; its schema is %s", seen.Status.State)
	default:
		return e.restore(finding, c.owner, server)
	}
	return finding
}

// compareOrphan checks a database without a row that no account names. Even an empty one may be in use: its school may
// have written nothing yet, and its account may be one that the provider does not list.
func (e *examination) compareOrphan(ctx context.Context, db orphanDatabase) {
	uid := db.id.UUID()
	finding := Finding{Code: DatabaseWithoutRow, Subject: db.name, Server: db.server.Name(), TenantID: &uid}
	seen := e.inspectOrphan(ctx, db)
	row, elsewhere := e.after.Tenants[uid]
	switch {
	case elsewhere:
		finding.Severity, finding.Detail = Error, fmt.Sprintf("the catalog says that this tenant is on server %s", row.Server)
	case db.MarkedAs == nil && !db.Ours:
		finding.Detail = "a database with a tenant's name that Homeroom did not create"
	case db.MarkedAs != nil && *db.MarkedAs != db.id:
		finding.Detail = "the database has the comment of another tenant, " + db.MarkedAs.String()
	case db.InUse != "":
		finding.Severity, finding.Detail = Error, fmt.Sprintf("a school that the catalog does not know uses it: it is marked as %q", db.InUse)
	case db.Invalid:
		finding.Detail = "its DROP was interrupted"
	case seen == nil:
		finding.Detail = "no known account names it; it was not opened"
	case !seen.CanLogin:
		finding.Detail = "our key does not open it: it belongs to another Homeroom, or the key has changed since"
	case !seen.empty:
		finding.Detail = "our key opens it, it holds data, and no known account names it"
	default:
		finding.Detail = "our key opens it, it holds no rows, is not marked as in use, and no known account names it"
		finding = e.discard(finding, db)
	}
	e.add(finding)
}

// inspectOrphan opens a database that has no row; nil if it may not or cannot.
func (e *examination) inspectOrphan(ctx context.Context, db orphanDatabase) *inspection {
	if e.options.Open == 0 || !db.Ours || !db.AcceptsConnections || db.Invalid || db.MarkedAs == nil || *db.MarkedAs != db.id {
		return nil
	}
	seen, err := inspectAsNew(ctx, db.server, db.id)
	if err != nil && !postgres.Unreachable(err) {
		e.cfg.Logger.Warn("inspect a database without a row", "database", db.name, "error", err)
	}
	if err != nil {
		return nil
	}
	return &seen
}

// inspectAsNew opens a database that has no row, with the password that a new tenant gets.
func inspectAsNew(ctx context.Context, server *tenant.Server, id tenant.ID) (seen inspection, err error) {
	if seen.Inspection, err = server.Inspect(ctx, id, 0); err == nil {
		seen.empty, err = server.Empty(ctx, id)
	}
	return seen, err
}
