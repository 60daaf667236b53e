package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"homeroom/catalog"
	"homeroom/migrations"
	"homeroom/tenant"
)

// compareSchema checks whether the schema is the one in the catalog, and the one of its version. It cannot check the
// versions of other migrations. While a fleet run is active, databases are ahead of their rows.
//
// The number in schema_migrations may be wrong, because anybody with rights can write it. The schema itself decides
// which version it has, wherever that version's schema is known.
func (e *examination) compareSchema(t catalog.SurveyedTenant, seen inspection) {
	if e.before.Migrating || e.after.Migrating {
		return
	}
	fingerprint := seen.Schema.Fingerprint()
	is, known := e.versionOf(seen.Schema, seen.Status.Version)
	if ours := e.cfg.Servers.Migrations().Lineage(); t.Lineage != ours {
		if known && is == seen.Status.Version && versionReliable(seen.Status) {
			e.add(about(LineageDiffers, t,
				fmt.Sprintf("the catalog says that it has other migrations (%s), and its schema is that of version %d of this program's", t.Lineage, is)).
				withSteps(inCatalog("In the catalog run", fmt.Sprintf("update tenants set lineage = '%s' where id = '%s'", ours, t.ID))))
		}
		return
	}
	want := e.references[seen.Status.Version].Fingerprint
	says := fmt.Sprintf("schema_migrations says version %d", seen.Status.Version)
	switch {
	case seen.VersionRows > 1:
		e.add(withActualVersion(about(SchemaUnclear, t, fmt.Sprintf("schema_migrations has %d rows", seen.VersionRows)), t, is, known))
	case !versionReliable(seen.Status):
		e.add(withActualVersion(about(SchemaUnclear, t, fmt.Sprintf("the schema is %s at version %d", seen.Status.State, seen.Status.Version)), t, is, known))
	case known && is != seen.Status.Version:
		e.add(withActualVersion(about(VersionFalse, t, says), t, is, known))
	case seen.Status.Version != t.SchemaVersion && want == "" && seen.Status.State == migrations.Ahead:
		e.add(about(VersionFalse, t, fmt.Sprintf("%s, for which this program has no file, and the catalog %d", says, t.SchemaVersion)))
	case seen.Status.Version != t.SchemaVersion && want != "" && want != fingerprint:
		e.add(drift(t, fingerprint, fmt.Sprintf("%s, the catalog %d, and its schema is that of no version", says, t.SchemaVersion)))
	case seen.Status.Version != t.SchemaVersion:
		detail := fmt.Sprintf("the catalog says version %d, the database has %d", t.SchemaVersion, seen.Status.Version)
		e.add(e.recordHealth(about(VersionDiffers, t, detail), t))
	case want != "" && fingerprint != want:
		e.add(drift(t, fingerprint, fmt.Sprintf("its schema is not that of version %d", t.SchemaVersion)))
	case t.Fingerprint != nil && fingerprint != *t.Fingerprint:
		e.add(e.recordHealth(about(FingerprintDiffers, t, "its schema is not the one in the catalog"), t))
	}
}

// drift returns the finding on a schema that differs from its version's.
func drift(t catalog.SurveyedTenant, fingerprint, detail string) Finding {
	f := about(SchemaDrift, t, detail).withSteps(command("Show the differences", "tenant drift --tenant "+t.Database))
	f.fingerprint = fingerprint
	return f
}

// versionOf returns the version whose schema a database has, if the catalog knows one: the one that the database
// records, or else the newest. The comparison omits the version table itself, since it is not reliable.
func (e *examination) versionOf(schema tenant.Schema, records uint) (is uint, known bool) {
	if e.references[records].Fingerprint == schema.Fingerprint() {
		return records, true
	}
	mine := withoutVersions(schema)
	for _, version := range append(slices.Sorted(maps.Keys(e.references)), records) {
		if lines := e.references[version].Lines; len(lines) > 0 && slices.Equal(withoutVersions(lines), mine) {
			is, known = version, true
		}
	}
	return is, known
}

func withoutVersions(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "schema_migrations") })
}

// withActualVersion adds to a finding on a version the version of the actual schema.
func withActualVersion(f Finding, t catalog.SurveyedTenant, is uint, known bool) Finding {
	if !known {
		f.Detail += "; its schema is that of no known version"
		return f
	}
	f.Detail += fmt.Sprintf("; its schema is that of version %d", is)
	f.Advice = "Somebody has edited or dropped schema_migrations by hand, or a migration was interrupted. Record the version that it really has."
	return f.withSteps(asOwner(t.Database, fmt.Sprintf("set role homeroom_owner; "+
		"create table if not exists public.schema_migrations (version bigint not null primary key, dirty boolean not null); "+
		"delete from public.schema_migrations; insert into public.schema_migrations values (%d, false)", is)),
		repairTenant(t).withCondition("And then"))
}

// compareNoSchema reports a database whose schema public cannot be used. If a setting of the database hides the schema,
// it reports only that.
func (e *examination) compareNoSchema(t catalog.SurveyedTenant, seen inspection) {
	wrong := e.servers[t.Server].Databases[t.Database].Problems
	switch hidden := slices.ContainsFunc(wrong, func(what string) bool { return strings.Contains(what, "search_path") }); {
	case seen.schemaOwner == "":
		e.add(about(SchemaMissing, t, "the schema public was dropped, and with it every table in it").withSteps(reprovisionStep(t, true)))
	case !hidden:
		e.add(about(SchemaOwner, t, "the schema public belongs to "+seen.schemaOwner+", and the owner of the tables may not use it").
			withSteps(asSuperuser(t.Database, "alter schema public owner to pg_database_owner"), repairTenant(t).withCondition("And then")))
	}
}

// versionReliable reports whether the version that a database records is reliable.
func versionReliable(status migrations.Status) bool {
	return status.State == migrations.Current || status.State == migrations.Behind || status.State == migrations.Ahead
}
