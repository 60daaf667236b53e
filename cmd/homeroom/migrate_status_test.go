package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/fleet"
	"homeroom/internal/pgtest"
)

func TestVersionStatusInASentence(t *testing.T) {
	t.Parallel()
	counts := func(version uint, n int) map[uint]int { return map[uint]int{version: n} }
	for want, s := range map[string]fleet.VersionStatus{
		"All tenants are at version 4.":                                     {To: 4, At: 2},
		"Of 6 tenants, 0 are at version 40; 6 are above it, at version 46.": {To: 40, Ahead: counts(46, 6)},
		"Of 1 tenant, 0 are at version 4; 1 has another set of migrations.": {To: 4, Others: 1},
		"Of 4 tenants, 1 is at version 4; 1 is behind it, at version 3; 2 are held at version 1; 1 is quarantined.": {
			To: 4, At: 1, Behind: counts(3, 1), Held: counts(1, 2), Quarantined: 1,
		},
		"Of 2 tenants, 2 are at version 4; 1 has a schema whose version is unclear.": {To: 4, At: 2, Mismatches: make([]fleet.Mismatch, 1)},
	} {
		if got := versionSentence(s, false); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := versionSentence(fleet.VersionStatus{To: 4, At: 1}, true); got != "All chosen tenants are at version 4." {
		t.Errorf("of chosen tenants: %q", got)
	}
}

// TestMigrateReportsTheVersions when there is nothing to migrate.
func TestMigrateReportsTheVersions(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	newest, older, changed := t.TempDir(), t.TempDir(), t.TempDir()
	for _, file := range []struct{ dir, name, sql string }{
		{newest, "000001_pupils.up.sql", "create table pupils (name text);"},
		{newest, "000002_class.up.sql", "alter table pupils add class text;"},
		{older, "000001_pupils.up.sql", "create table pupils (name text);"},
		{changed, "000001_pupils.up.sql", "-- the pupils\ncreate table pupils (name text);"},
		{changed, "000003_rooms.up.sql", "create table rooms ();"},
	} {
		if err := os.WriteFile(filepath.Join(file.dir, file.name), []byte(file.sql), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ids := makeTenants(t, postgres.URL("catalog"), postgres.URL("postgres"), newest, 3)
	expect := func(dir string, code int, want string, args ...string) {
		t.Helper()
		got, out, errs := command(t, []string{
			"HOMEROOM_CATALOG_URL=" + postgres.URL("catalog"), "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey),
			"HOMEROOM_TENANT_MIGRATIONS=" + dir,
		}, append([]string{"migrate"}, args...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("migrate %v: exit code %d, want %d with %q:\n%s%s", args, got, code, want, out, errs)
		}
	}
	expect(newest, exitOK, "All tenants are at version 2.\n")
	expect(older, exitOK, "Of 3 tenants, 0 are at version 1; 3 are above it, at version 2.\n")
	expect(newest, exitOK, "3 are above it, at version 2.\nThose above it are migrated down only by name", "--to", "1")
	expect(changed, exitFailures, "Of 3 tenants, 0 are at version 3; 3 have another set of migrations.\n")
	expect(changed, exitFailures, "3 have another set of migrations.\n", "-o", "json")
	expect(changed, exitOK, "3 have another set of migrations.\n", "--plan")
	expect(changed, exitOK, `"otherMigrations": 3`, "--plan", "-o", "json")
	pgtest.Exec(t, postgres.URL(ids[1].Database()), "update schema_migrations set dirty = true")
	expect(newest, exitFailures, "1 has a schema whose version is unclear.\nunclear "+ids[1].Database())
	expect(newest, exitFailures, "the database is dirty at version 2: ", "--tenant", ids[1].Database())
	expect(newest, exitOK, "All chosen tenants are at version 2.", "--tenant", ids[0].Database())
}
