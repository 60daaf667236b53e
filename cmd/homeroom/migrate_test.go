package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	stock "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"

	"homeroom/catalog"
	"homeroom/internal/pgtest"
	"homeroom/internal/secret"
	"homeroom/migrations"
	"homeroom/tenant"
)

// fleetSize is how many tenants TestMigrateTheFleet makes. In one of a hundred the migration fails.
func fleetSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HOMEROOM_TEST_TENANTS")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 {
		t.Fatalf("HOMEROOM_TEST_TENANTS must be 100 or more, not %q", text)
	}
	return n
}

// TestMigrateTheFleet migrates many tenants, some of which fail, to a new version with the command line.
func TestMigrateTheFleet(t *testing.T) {
	t.Parallel()
	tenants := fleetSize(t)
	failing := tenants / 100
	postgres := pgtest.Private(t, map[string]string{"synchronous_commit": "off"})
	dir := t.TempDir()
	write := func(name, sql string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(sql), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("000001_pupils.up.sql", "create table pupils (name text);")
	ids := makeTenants(t, postgres.URL("catalog"), postgres.URL("postgres"), dir, tenants)
	write("000002_names.up.sql", "alter table pupils alter column name set not null;")
	write("000002_names.down.sql", "alter table pupils alter column name drop not null;")
	for i := range failing {
		failing := pgtest.Connect(t, postgres.URL(ids[20+i*50].Database()))
		if _, err := failing.Exec(t.Context(), "insert into pupils values (null)"); err != nil {
			t.Fatal(err)
		}
	}

	homeroom := func(args ...string) (int, string, string) {
		return command(t, []string{
			"HOMEROOM_CATALOG_URL=" + postgres.URL("catalog"), "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey),
			"HOMEROOM_TENANT_MIGRATIONS=" + dir,
		}, args...)
	}
	code, out, _ := homeroom("migrate", "--plan")
	if code != exitOK || !strings.Contains(out, fmt.Sprintf("%d tenants to migrate to version 2. In waves of 1, 10, 100, ", tenants)) ||
		!strings.Contains(out, "From version 1: 000002_names.up.sql") {
		t.Fatalf("plan: %d %s", code, out)
	}
	code, out, stderr := homeroom("migrate")
	if code != exitFailures {
		t.Errorf("exit code %d, want %d", code, exitFailures)
	}
	for _, want := range []string{
		ids[20].Database(), `column "name" of relation "pupils" contains null values`, "000002_names.up.sql",
		fmt.Sprintf("failed  %d tenants, for the same cause:", failing),
		fmt.Sprintf("%d tenants migrated to version 2, %d failed", tenants-failing, failing),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if !strings.Contains(stderr, fmt.Sprintf("of %d tenants migrated, %d failed", tenants, failing)) {
		t.Errorf("progress: %s", stderr)
	}
	if _, out, _ := homeroom("tenant", "list", "--status", "quarantined", "-o", "json"); strings.Count(out, "contains null values") != failing {
		t.Errorf("the quarantined tenants: %s", out)
	}
	if code, out, _ := homeroom("migrate", "show"); code != exitOK || !strings.Contains(out, fmt.Sprintf("%d done, %d failed", tenants-failing, failing)) {
		t.Errorf("the run: %d %s", code, out)
	}

	for i := range failing {
		pgtest.Exec(t, postgres.URL(ids[20+i*50].Database()), "delete from pupils")
	}
	if code, out, _ := homeroom("migrate", "--no-progress"); code != exitOK || !strings.Contains(out, fmt.Sprintf("%d tenants migrated to version 2, 0 failed", failing)) {
		t.Errorf("after the correction: %d %s", code, out)
	}
	if code, out, _ := homeroom("migrate"); code != exitOK || !strings.Contains(out, "All tenants are at version 2.") {
		t.Errorf("with nothing to do: %d %s", code, out)
	}
	checkStockDriver(t, postgres.URL(ids[3].Database()), dir, 2)
	checkDrift(t, homeroom, postgres.URL(ids[5].Database()), ids[5].Database())
	migrateDownAndUp(t, homeroom, ids[7].Database())

	write("000003_broken.up.sql", "create table (")
	if code, _, stderr := homeroom("migrate"); code != exitCannot || !strings.Contains(stderr, "000003_broken.up.sql:1") {
		t.Errorf("with a broken file: %d %s", code, stderr)
	}
}

// checkDrift changes a tenant's schema by hand, and finds the drift.
func checkDrift(t *testing.T, homeroom func(...string) (int, string, string), url, database string) {
	t.Helper()
	if code, out, _ := homeroom("tenant", "drift"); code != exitOK || !strings.Contains(out, "none differs") {
		t.Errorf("before: %d %s", code, out)
	}
	pgtest.Exec(t, url, "create index by_name on pupils (name)")
	code, out, _ := homeroom("tenant", "drift")
	if code != exitFailures || !strings.Contains(out, "1 tenant at version 2: "+database) || !strings.Contains(out, "extra    index public.by_name") {
		t.Errorf("drift: %d %s", code, out)
	}
	if code, out, _ := homeroom("tenant", "drift", "--stored", "-o", "csv"); code != exitFailures || !strings.Contains(out, "public.by_name") {
		t.Errorf("drift that is known: %d %s", code, out)
	}
}

// migrateDownAndUp migrates one tenant to the first version and back.
func migrateDownAndUp(t *testing.T, homeroom func(...string) (int, string, string), database string) {
	t.Helper()
	if code, out, errs := homeroom("migrate", "--tenant", database, "--to", "1", "--no-progress"); code != exitOK || !strings.Contains(out, "1 tenant migrated to version 1") {
		t.Errorf("back: %d %s%s", code, out, errs)
	}
	if code, out, _ := homeroom("migrate"); code != exitOK || !strings.Contains(out, "are at version 2; 1 is held at version 1.") {
		t.Errorf("a run over the fleet: %d %s", code, out)
	}
	if code, out, _ := homeroom("migrate", "--tenant", database, "--no-progress"); code != exitOK || !strings.Contains(out, "1 tenant migrated to version 2") {
		t.Errorf("forward: %d %s", code, out)
	}
}

// command runs the program with this environment.
func command(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, program{environ: environ, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// makeTenants fills a catalog with spares of the schema in dir.
func makeTenants(t *testing.T, catalogURL, serverURL, dir string, n int) []tenant.ID {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: catalogURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.RegisterServers(t.Context(), []string{"main"}); err != nil {
		t.Fatal(err)
	}
	set, err := migrations.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	server, err := tenant.Open(tenant.Config{URL: secret.String(serverURL), Key: testKey, Migrations: set})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ids := make([]tenant.ID, n)
	var group errgroup.Group
	group.SetLimit(4)
	for i := range ids {
		ids[i] = tenant.NewID()
		group.Go(func() error {
			if err := store.InsertSpare(t.Context(), catalog.NewSpare{ID: ids[i].UUID(), Server: "main", Database: ids[i].Database(), Lineage: set.Lineage()}); err != nil {
				return err
			}
			result, err := server.Ensure(t.Context(), ids[i], 0, nil)
			if err != nil {
				return err
			}
			return store.MarkSpareBuilt(t.Context(), ids[i].UUID(), catalog.Health{Version: result.Version, Fingerprint: result.Fingerprint}, json.RawMessage(`[]`))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// checkStockDriver reads a tenant's version with golang-migrate's own driver, as its command line does.
func checkStockDriver(t *testing.T, url, dir string, want uint) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	driver, err := stock.WithInstance(stdlib.OpenDB(*cfg), &stock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithDatabaseInstance("file://"+dir, "pgx5", driver)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if version, dirty, err := m.Version(); err != nil || dirty || version != want {
		t.Errorf("the stock driver reads version %d, dirty %v, %v; want %d", version, dirty, err, want)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		environ []string
		code    int
		want    string
	}{
		"no argument prints the help":   {nil, nil, exitOK, "Bring tenants"},
		"an unknown command":            {[]string{"fly"}, nil, exitUsage, "unexpected argument fly"},
		"a missing catalog":             {[]string{"serve"}, nil, exitCannot, "HOMEROOM_CATALOG_URL"},
		"a key that is too short":       {[]string{"migrate"}, []string{"HOMEROOM_CATALOG_URL=x", "HOMEROOM_TENANT_KEY=YQ=="}, exitCannot, "openssl rand -base64 32"},
		"a rate that is none":           {[]string{"serve"}, []string{"HOMEROOM_SIGNUP_RATE=often"}, exitCannot, "5/1h"},
		"the configuration's help":      {[]string{"help", "config"}, nil, exitOK, "HOMEROOM_TENANT_MIGRATIONS"},
		"the version":                   {[]string{"version"}, nil, exitOK, "homeroom "},
		"a folder without migrations":   {[]string{"migrate"}, valid("HOMEROOM_TENANT_MIGRATIONS=" + t.TempDir()), exitCannot, "HOMEROOM_TENANT_MIGRATIONS"},
		"a secret and its file at once": {[]string{"migrate"}, valid("HOMEROOM_CATALOG_URL_FILE=/x"), exitCannot, "remove one"},
		"a catalog that does not answer": {
			[]string{"migrate"}, valid("HOMEROOM_CATALOG_URL=postgres://u:hush-hush@127.0.0.1:1/c"), exitCannot, "connect to the catalog",
		},
		"serve without Auth0": {[]string{"serve"}, valid(), exitCannot, "AUTH0_CLIENT_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, c.environ, c.args...)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", code, c.code, c.want, out, errs)
			}
			if strings.Contains(out+errs, "hush-hush") {
				t.Errorf("a password was printed:\n%s%s", out, errs)
			}
		})
	}
}

// valid is a complete environment, with changes.
func valid(changes ...string) []string {
	return append([]string{
		"HOMEROOM_CATALOG_URL=postgres://u:p@127.0.0.1:1/c", "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey),
	}, changes...)
}
