package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
	"homeroom/internal/killpoint"
	"homeroom/signup"
	"homeroom/tenant"
)

// ensureKey is the prefix of the keys of repairs that reprovision a tenant, and so give its role the password of our
// key.
const ensureKey = "ensure "

// ensure adds the repair that runs a tenant's provisioning steps. This also migrates its schema to the newest version,
// so a tenant that an operator holds at an older version is left to a person, like those that are quarantined or have
// other migrations.
func (e *examination) ensure(f Finding, t catalog.SurveyedTenant) Finding {
	schema := e.cfg.Servers.Migrations()
	held := t.HeldAt != nil && *t.HeldAt != schema.Latest()
	if t.State == catalog.Quarantined || held || t.Lineage != schema.Lineage() {
		return f
	}
	return f.withSteps(repairTenant(t)).withRepair("run the tenant's provisioning steps again", ensureKey+t.Database, func(ctx context.Context) error {
		row, err := e.unchanged(ctx, t)
		if err != nil {
			return err
		}
		result, err := e.cfg.Servers[t.Server].Ensure(ctx, tenant.ID(t.ID), row.PasswordRotation, nil)
		if err != nil {
			return err
		}
		err = e.cfg.Catalog.SetHealth(ctx, t, catalog.Health{Version: result.Version, Fingerprint: result.Fingerprint})
		if errors.Is(err, catalog.ErrStateChanged) {
			return nil // claimed or migrated meanwhile, for which its database must be correct
		}
		return err
	})
}

// ensureIdentity adds the repair of a role that is refused. A tenant that must keep its version only gets its password.
func (e *examination) ensureIdentity(f Finding, t catalog.SurveyedTenant) Finding {
	if f = e.ensure(f, t); f.Fix != "" {
		return f
	}
	return f.withSteps(repairTenant(t)).withRepair("set the role's password again", ensureKey+t.Database, func(ctx context.Context) error {
		return e.cfg.Servers[t.Server].Rotate(ctx, tenant.ID(t.ID), func(ctx context.Context) (int, error) {
			row, err := e.unchanged(ctx, t)
			return row.PasswordRotation, err
		}, false)
	})
}

// recordKey adds the repair that records the tenant key of the passwords in the catalog. The roles' own passwords are
// other findings, which are repaired after it: after a crash in between, the next repair with the same key finds
// refused roles.
func (e *examination) recordKey(f Finding) Finding {
	return f.withSteps(command("Repair it", "doctor --fix --yes --new-tenant-key")).withRepair("record that the tenants' passwords come from this key from now on", "tenant key", func(ctx context.Context) error {
		return e.cfg.Catalog.SetTenantKeyCheck(ctx, e.cfg.KeyCheck, e.cfg.Actor)
	})
}

// unchanged returns a tenant's row, if it still is in the state in which it was found.
func (d *Doctor) unchanged(ctx context.Context, t catalog.SurveyedTenant) (catalog.Tenant, error) {
	row, err := d.cfg.Catalog.TenantByID(ctx, t.ID)
	if err == nil && row.State != t.State {
		err = fmt.Errorf("tenant %s is %s now: %w", t.Database, row.State, catalog.ErrStateChanged)
	}
	return row, err
}

// recordHealth adds the repair that writes into the catalog what was found in the database.
func (e *examination) recordHealth(f Finding, t catalog.SurveyedTenant) Finding {
	return f.withSteps(repairTenant(t)).withRepair("record what was found in the database", "health "+t.Database, func(ctx context.Context) error {
		seen, err := e.cfg.Servers[t.Server].Inspect(ctx, tenant.ID(t.ID), t.PasswordRotation)
		if err != nil {
			return err
		}
		if !versionReliable(seen.Status) {
			return fmt.Errorf("the schema is %s now: %w", seen.Status.State, catalog.ErrStateChanged)
		}
		return e.cfg.Catalog.SetHealth(ctx, t, catalog.Health{Version: seen.Status.Version, Fingerprint: seen.Schema.Fingerprint()})
	})
}

// rebuild adds the repair that builds a spare without a database again.
func (e *examination) rebuild(f Finding, t catalog.SurveyedTenant) Finding {
	return f.withSteps(repairTenant(t)).withRepair("let the refiller build it again", "rebuild "+t.Database, func(ctx context.Context) error {
		stats, err := e.cfg.Servers[t.Server].Stats(ctx, tenant.ID(t.ID))
		if err != nil {
			return err
		}
		if stats.Exists {
			return fmt.Errorf("database %s exists: %w", t.Database, catalog.ErrStateChanged)
		}
		return e.cfg.Catalog.RebuildSpare(ctx, t.ID)
	})
}

// dropInvalid adds the repair that drops an invalid database of a spare, which no school had and nobody can open. While
// the spare is in state building no school can claim it; after a crash in between it stays, and the next examination
// finds it.
func (e *examination) dropInvalid(f Finding, t catalog.SurveyedTenant) Finding {
	return f.withSteps(repairTenant(t)).withRepair("drop the rest of it, and let the refiller build it again", "rebuild "+t.Database, func(ctx context.Context) error {
		if t.State == catalog.Spare {
			if err := e.cfg.Catalog.RebuildSpare(ctx, t.ID); err != nil {
				return err
			}
		} else if _, err := e.unchanged(ctx, t); err != nil {
			return err
		}
		killpoint.Here("doctor.rebuilding")
		id := tenant.ID(t.ID)
		return e.cfg.Servers[t.Server].Archive(ctx, id, tenant.ArchiveName(id, time.Now()))
	})
}

// dropRole adds the repair that drops a role that has neither a database nor a row.
func (e *examination) dropRole(f Finding, id tenant.ID) Finding {
	server := e.cfg.Servers[f.Server]
	return f.withRepair("drop the role", "role "+f.Server+" "+f.Subject, func(ctx context.Context) error {
		_, err := e.cfg.Catalog.TenantByID(ctx, id.UUID())
		if err == nil {
			return fmt.Errorf("tenant %s has a row: %w", id, catalog.ErrStateChanged)
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		return server.DropRole(ctx, id)
	})
}

// repairShared adds the repair of what all tenants of a server share: the two roles, and the template.
func (e *examination) repairShared(f Finding, by string) Finding {
	return f.withRepair(by, "prepare "+f.Server, func(ctx context.Context) error {
		return e.cfg.Servers[f.Server].RepairShared(ctx)
	})
}

// dropTemplate adds the repair that drops a template that this program does not use.
func (e *examination) dropTemplate(f Finding) Finding {
	return f.withRepair("drop the template", "template "+f.Server+" "+f.Subject, func(ctx context.Context) error {
		return e.cfg.Servers[f.Server].DropTemplate(ctx, f.Subject)
	})
}

// deleteIdentity adds the repair that removes the account of an ended sign-up, as the reconciler does.
func (e *examination) deleteIdentity(f Finding, row catalog.Signup) Finding {
	return f.withRepair("delete the login", "identity "+f.Subject, func(ctx context.Context) error {
		now, err := e.cfg.Catalog.Signup(ctx, row.ID)
		if err != nil {
			return err
		}
		if over, err := e.isOver(ctx, now); err != nil || !over {
			return cmp.Or(err, fmt.Errorf("sign-up %s is %s now: %w", row.ID, now.Status, catalog.ErrStateChanged))
		}
		account, err := e.cfg.Identity.Lookup(ctx, now.UserID)
		if errors.Is(err, identity.ErrNotFound) {
			return nil
		}
		if err == nil && account.Metadata.SignupID != row.ID.String() {
			return fmt.Errorf("account %s has another sign-up now: %w", account.ID, catalog.ErrStateChanged)
		}
		if err != nil {
			return err
		}
		return e.cfg.Identity.Delete(ctx, now.UserID)
	})
}

// unlinkIdentity adds the repair that removes the metadata of an ended sign-up from the account that it had linked, as
// the reconciler does. It never deletes the account.
func (e *examination) unlinkIdentity(f Finding, row catalog.Signup) Finding {
	linker, ok := e.cfg.Identity.(identity.AccountLinker)
	if !ok {
		return f
	}
	return f.withRepair("remove the sign-up's metadata from the account", "identity "+f.Subject, func(ctx context.Context) error {
		now, err := e.cfg.Catalog.Signup(ctx, row.ID)
		if err != nil {
			return err
		}
		if over, err := e.isOver(ctx, now); err != nil || !over {
			return cmp.Or(err, fmt.Errorf("sign-up %s is %s now: %w", row.ID, now.Status, catalog.ErrStateChanged))
		}
		return linker.UnlinkAccount(ctx, *row.IdentityID, row.ID.String())
	})
}

// reconcile adds the repair that finishes or undoes a sign-up without a worker, as the reconciler does.
func (e *examination) reconcile(f Finding) Finding {
	if e.cfg.Reconcile == nil {
		return f
	}
	return f.withRepair("finish or undo it, as the reconciler of a running service does", "reconcile", e.cfg.Reconcile)
}

// resume adds the repair that resumes a sign-up that needs an operator. It does not repair the cause.
func (e *examination) resume(f Finding, s catalog.SurveyedSignup) Finding {
	f = f.withSteps(command("When the cause is repaired, finish it", "signup resolve "+s.ID.String()+" --finish"))
	if e.cfg.Resume == nil {
		return f
	}
	return f.withRepair("resume it", "resume "+s.ID.String(), func(ctx context.Context) error { return e.cfg.Resume(ctx, s.ID) })
}

// cancelJob adds the repair that cancels a job whose row is gone.
func (e *examination) cancelJob(f Finding, job Job) Finding {
	if e.cfg.CancelJob == nil {
		return f
	}
	return f.withRepair("cancel the job", f.Subject, func(ctx context.Context) error { return e.cfg.CancelJob(ctx, job.ID) })
}

// discard adds the repair that drops a database without a row, if it still is empty.
func (e *examination) discard(f Finding, db orphanDatabase) Finding {
	return f.withRepair("drop the empty database and its role", "discard "+f.Subject, func(ctx context.Context) error {
		_, err := e.cfg.Catalog.TenantByID(ctx, db.id.UUID())
		if err == nil {
			return fmt.Errorf("tenant %s has a row now: %w", db.name, catalog.ErrStateChanged)
		}
		if !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
		return db.server.Discard(ctx, db.id)
	})
}

// restore adds the repair that writes a lost school's rows, after its account and its database were checked again.
func (e *examination) restore(f Finding, account identity.User, server *tenant.Server) Finding {
	return f.withRepair("write its tenant, user and sign-up into the catalog again", "adopt "+f.Subject, func(ctx context.Context) error {
		now, err := e.lookUpListed(ctx, account)
		if err != nil {
			return err
		}
		if now.Metadata != account.Metadata {
			return fmt.Errorf("account %s has other metadata now: %w", account.ID, catalog.ErrStateChanged)
		}
		id := tenant.ID(*f.TenantID)
		seen, err := server.Inspect(ctx, id, 0)
		if err != nil {
			return err
		}
		if !seen.CanLogin || !versionReliable(seen.Status) {
			return fmt.Errorf("database %s has changed: %w", f.Subject, catalog.ErrStateChanged)
		}
		adoption := e.restoration(f, now, server, seen)
		adoption.OrganizationID = e.organizations.of(id.UUID()).ID
		return e.cfg.Catalog.RestoreFromProvider(ctx, adoption)
	})
}

// restoration returns the rows of a school, made from its account. The account's creation time is that of the sign-up.
func (d *Doctor) restoration(f Finding, account identity.User, server *tenant.Server, seen tenant.Inspection) catalog.ProviderRestore {
	id, email := tenant.ID(*f.TenantID), account.Email
	if normalised, err := signup.NormaliseEmail(email); err == nil {
		email = normalised
	}
	at := account.CreatedAt
	if at.IsZero() {
		at = time.Now()
	}
	a := catalog.ProviderRestore{
		SignupID: *f.SignupID, UserID: account.OurID, TenantID: id.UUID(), Server: server.Name(), Database: id.Database(),
		Lineage: server.Migrations().Lineage(), Health: catalog.Health{Version: seen.Status.Version, Fingerprint: seen.Schema.Fingerprint()},
		Email: email, SchoolName: account.Metadata.SchoolName, IdentityID: account.ID, EmailVerified: account.EmailVerified,
		Slug: signup.Slug(account.Metadata.SchoolName), CreatedAt: at.UTC(), Actor: d.cfg.Actor,
	}
	if account.OurID == uuid.Nil { // its owner had it before, and the id of its user is lost
		a.UserID, a.Linked = uuid.Must(uuid.NewV7()), true
	}
	a.Result = func(slug string) (json.RawMessage, error) {
		return json.Marshal(signup.NewResult(a.SignupID,
			catalog.User{ID: a.UserID, IdentityID: a.IdentityID, Email: a.Email, EmailVerified: a.EmailVerified, CreatedAt: a.CreatedAt},
			catalog.Tenant{
				ID: a.TenantID, Name: a.SchoolName, Slug: slug, Database: a.Database, SchemaVersion: a.Health.Version, CreatedAt: a.CreatedAt,
			}))
	}
	return a
}
