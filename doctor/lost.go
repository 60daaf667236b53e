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

// What a catalog that was restored to an earlier time has forgotten: the login of a school names its tenant, and the tenant's
// database is there, without a row, or with the row of the spare that it was then. That one is dangerous: the next sign-up
// would be given a school's data.

// found is a database on a server.
type found struct {
	server *tenant.Server
	name   string
	id     tenant.ID
	tenant.FoundDatabase
}

// claim is a school that logins name whose sign-up nobody knows.
type claim struct {
	id tenant.ID
	// owner is the login that it is written again for. It is not clear whose the school is where there are several.
	owner identity.User
	clear bool
	all   []identity.User
}

// compareLostSchools looks at the logins whose sign-up nobody knows, and at the databases without a row.
func (e *examination) compareLostSchools(ctx context.Context, unknownAccounts []identity.User) error {
	lost := e.withoutRow()
	for _, c := range e.claims(unknownAccounts) {
		if t, ok := e.after.Tenants[c.id.UUID()]; ok {
			e.compareTaken(ctx, c, t)
			continue
		}
		i := slices.IndexFunc(lost, func(db found) bool { return db.id == c.id })
		if i < 0 {
			for _, login := range c.all {
				e.addStranger(login)
			}
			continue
		}
		e.compareForgotten(ctx, c, lost[i])
		lost = slices.Delete(lost, i, i+1)
	}
	for _, db := range lost {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.compareNobodys(ctx, db)
	}
	return ctx.Err()
}

// claims sorts the logins by the school that they name, and tells of those that name none. Of several with one school the
// owner's is the one whose sign-up its organization was made for.
func (e *examination) claims(unknownAccounts []identity.User) (claims []claim) {
	for _, login := range unknownAccounts {
		id := tenant.ID(parseID(login.Metadata.TenantID))
		if login.Metadata.Database != id.Database() || parseID(login.Metadata.SignupID) == uuid.Nil {
			e.addStranger(login)
			continue
		}
		founder := e.organizations.of(id.UUID()).SignupID == login.Metadata.SignupID
		i := slices.IndexFunc(claims, func(c claim) bool { return c.id == id })
		if i < 0 {
			claims = append(claims, claim{id, login, true, []identity.User{login}})
			continue
		}
		c := &claims[i]
		if founder {
			c.owner = login
		}
		c.clear = e.organizations.of(id.UUID()).SignupID == c.owner.Metadata.SignupID
		c.all = append(c.all, login)
	}
	return claims
}

func (e *examination) addStranger(login identity.User) {
	detail := fmt.Sprintf(
		"it carries sign-up %s, which the catalog does not know, and database %q, which is on no server here",
		login.Metadata.SignupID, login.Metadata.Database)
	if login.Metadata.Database == "" {
		detail = fmt.Sprintf("it carries sign-up %s, which the catalog does not know, and had no database yet",
			login.Metadata.SignupID)
	}
	e.add(Finding{Code: IdentityWithoutSignup, Subject: login.ID, Detail: detail})
}

// withoutRow lists the databases with a tenant's name whose tenant has no row, or one that is on another server.
func (e *examination) withoutRow() []found {
	var lost []found
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
			lost = append(lost, found{e.cfg.Servers[server], name, id, db})
		}
	}
	slices.SortFunc(lost, func(a, b found) int { return slices.Compare(a.id[:], b.id[:]) })
	return lost
}

// schoolOf is the finding on a school that the catalog has forgotten.
func schoolOf(login identity.User, id tenant.ID, server, detail string) Finding {
	uid, signup := id.UUID(), parseID(login.Metadata.SignupID)
	return Finding{
		Code: LostSchool, Subject: id.Database(), Server: server, TenantID: &uid, SignupID: &signup,
		Detail: fmt.Sprintf("login %s belongs to %q and this database; the catalog does not know it%s", login.ID, login.Metadata.SchoolName, detail),
	}
}

// compareTaken judges a login without a sign-up whose tenant has a row.
func (e *examination) compareTaken(ctx context.Context, c claim, t catalog.SurveyedTenant) {
	finding := schoolOf(c.owner, c.id, t.Server,
		", and its tenant is another sign-up's there: another school's by now, or the one that this person had joined")
	if t.State == catalog.Spare {
		would := ""
		if t.Claimable {
			would = ", which the next school would be given"
		}
		finding = schoolOf(c.owner, c.id, t.Server, ", and takes its tenant for a spare"+would)
		if server, ok := e.cfg.Servers[t.Server]; ok {
			seen := e.peek(ctx, found{server, t.Database, c.id, e.servers[t.Server].Databases[t.Database]})
			finding = e.adoptable(finding, c, server, seen)
		}
	}
	e.add(finding)
}

// compareForgotten judges a login without a sign-up whose tenant has no row, and a database.
func (e *examination) compareForgotten(ctx context.Context, c claim, db found) {
	finding := schoolOf(c.owner, db.id, db.server.Name(), "")
	e.add(e.adoptable(finding, c, db.server, e.peek(ctx, db)))
}

// adoptable adds the repair when the database is provably ours: its role lets our key's password in.
func (e *examination) adoptable(finding Finding, c claim, server *tenant.Server, seen *inspection) Finding {
	switch {
	case !c.clear:
		finding.Detail += fmt.Sprintf("; %d logins name it, and which of them is its owner's is not clear", len(c.all))
	case seen == nil:
		finding.Detail += "; it was not looked into"
	case !seen.CanLogin:
		finding.Detail += "; our key does not open it"
	case !trustworthy(seen.Status):
		finding.Detail += fmt.Sprintf("; its schema is %s", seen.Status.State)
	default:
		return e.adopt(finding, c.owner, server)
	}
	return finding
}

// compareNobodys judges a database without a row that no login names. That it is empty does not make it nobody's: its school
// may have written nothing yet, and its login may be one that the provider does not list.
func (e *examination) compareNobodys(ctx context.Context, db found) {
	uid := db.id.UUID()
	finding := Finding{Code: DatabaseWithoutRow, Subject: db.name, Server: db.server.Name(), TenantID: &uid}
	seen := e.peek(ctx, db)
	row, elsewhere := e.after.Tenants[uid]
	switch {
	case elsewhere:
		finding.Severity, finding.Detail = Error, fmt.Sprintf("the catalog says that this tenant is on server %s", row.Server)
	case db.MarkedAs == nil && !db.Ours:
		finding.Detail = "a database with a tenant's name that Homeroom did not make"
	case db.MarkedAs != nil && *db.MarkedAs != db.id:
		finding.Detail = "the database bears the mark of another tenant, " + db.MarkedAs.String()
	case db.InUse != "":
		finding.Severity, finding.Detail = Error, fmt.Sprintf("a school has it, which the catalog does not know: it is marked as %q", db.InUse)
	case db.Invalid:
		finding.Detail = "its dropping was begun and interrupted"
	case seen == nil:
		finding.Detail = "no login that is known names it; it was not looked into"
	case !seen.CanLogin:
		finding.Detail = "our key does not open it: another Homeroom's, or the key has changed since"
	case !seen.empty:
		finding.Detail = "our key opens it, it holds data, and no login that is known names it"
	default:
		finding.Detail = "our key opens it, it holds no rows, is not marked as in use, and no login that is known names it"
		finding = e.discard(finding, db)
	}
	e.add(finding)
}

// peek looks into a database that has no row; nil when that is not to be, or not possible.
func (e *examination) peek(ctx context.Context, db found) *inspection {
	if e.options.Open == 0 || !db.Ours || !db.AcceptsConnections || db.Invalid || db.MarkedAs == nil || *db.MarkedAs != db.id {
		return nil
	}
	seen, err := look(ctx, db.server, db.id)
	if err != nil && !postgres.Unreachable(err) {
		e.cfg.Logger.Warn("look into a database without a row", "database", db.name, "error", err)
	}
	if err != nil {
		return nil
	}
	return &seen
}

// look opens a database that has no row, with the password that a new tenant gets.
func look(ctx context.Context, server *tenant.Server, id tenant.ID) (seen inspection, err error) {
	if seen.Inspection, err = server.Inspect(ctx, id, 0); err == nil {
		seen.empty, err = server.Empty(ctx, id)
	}
	return seen, err
}
