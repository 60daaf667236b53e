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

// compareLost looks at the logins whose sign-up nobody knows, and at the databases without a row.
func (e *examination) compareLost(ctx context.Context, strangers []identity.User) error {
	lost := e.withoutRow()
	for _, login := range strangers {
		id := tenant.ID(parseID(login.Metadata.TenantID))
		if login.Metadata.Database != id.Database() || login.OurID == uuid.Nil || parseID(login.Metadata.SignupID) == uuid.Nil {
			e.addStranger(login)
			continue
		}
		if t, ok := e.after.Tenants[id.UUID()]; ok {
			e.compareTaken(ctx, login, t)
			continue
		}
		i := slices.IndexFunc(lost, func(db found) bool { return db.id == id })
		if i < 0 {
			e.addStranger(login)
			continue
		}
		e.compareForgotten(ctx, login, lost[i])
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

func (e *examination) addStranger(login identity.User) {
	e.add(Finding{
		Code: IdentityWithoutSignup, Subject: login.ID,
		Detail: fmt.Sprintf("it carries sign-up %s, which the catalog does not know, and database %q, which is on no server here",
			login.Metadata.SignupID, login.Metadata.Database),
	})
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
func (e *examination) compareTaken(ctx context.Context, login identity.User, t catalog.SurveyedTenant) {
	finding := schoolOf(login, tenant.ID(t.ID), t.Server, ", and its tenant is another sign-up's there")
	if t.State == catalog.Spare {
		finding = schoolOf(login, tenant.ID(t.ID), t.Server, ", and takes its tenant for a spare, which the next school would be given")
		if server, ok := e.cfg.Servers[t.Server]; ok {
			seen := e.peek(ctx, found{server: server, name: t.Database, id: tenant.ID(t.ID), FoundDatabase: e.servers[t.Server].Databases[t.Database]})
			finding = e.adoptable(finding, login, server, seen)
		}
	}
	e.add(finding)
}

// compareForgotten judges a login without a sign-up whose tenant has no row, and a database.
func (e *examination) compareForgotten(ctx context.Context, login identity.User, db found) {
	finding := schoolOf(login, db.id, db.server.Name(), "")
	e.add(e.adoptable(finding, login, db.server, e.peek(ctx, db)))
}

// adoptable adds the repair when the database is provably ours: its role lets our key's password in.
func (e *examination) adoptable(finding Finding, login identity.User, server *tenant.Server, seen *inspection) Finding {
	switch {
	case seen == nil:
		finding.Detail += "; it was not looked into"
	case !seen.Login:
		finding.Detail += "; our key does not open it"
	case !trustworthy(seen.Status):
		finding.Detail += fmt.Sprintf("; its schema is %s", seen.Status.State)
	default:
		return e.adopt(finding, login, server)
	}
	return finding
}

// compareNobodys judges a database without a row that no login names. An empty one of the newest version may serve as a
// spare, if all logins were looked at.
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
	case db.Invalid:
		finding.Detail = "its dropping was begun and interrupted"
	case seen == nil:
		finding.Detail = "no login that is known names it; it was not looked into"
	case !seen.Login:
		finding.Detail = "our key does not open it: another Homeroom's, or the key has changed since"
	case !seen.empty:
		finding.Detail = "our key opens it, it holds data, and no login that is known names it"
	case !e.logins.listed, e.unfingered(seen):
		finding.Detail = "our key opens it, and it is empty"
	default:
		finding.Detail = "our key opens it, it is empty, and no login names it"
		finding = e.adoptSpare(finding, db)
	}
	e.add(finding)
}

// unfingered tells whether a database is not just what a spare of this program's version is.
func (e *examination) unfingered(seen *inspection) bool {
	latest := e.cfg.Servers.Migrations().Latest()
	want, known := e.references[latest]
	return seen.Status.Version != latest || !trustworthy(seen.Status) || known && seen.Schema.Fingerprint() != want
}

// peek looks into a database that has no row; nil when that is not to be, or not possible.
func (e *examination) peek(ctx context.Context, db found) *inspection {
	if e.options.Open == 0 || !db.Ours || !db.Open || db.Invalid || db.MarkedAs == nil || *db.MarkedAs != db.id {
		return nil
	}
	seen, err := look(ctx, db.server, db.id)
	if err != nil && !postgres.Unreachable(err) {
		e.cfg.Logger.Warn("look into a database without a row", "database", db.name, "cause", err)
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
