package main

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homeroom/auth0"
	"homeroom/catalog"
	"homeroom/doctor"
	"homeroom/internal/pgtest"
	"homeroom/tenant"
)

// examine runs the doctor on everything. Any finding is a failure, except warnings about the test server and notes.
// Where other catalogs use the server, it may hold their databases and roles.
func (w *world) examine(t *testing.T) {
	t.Helper()
	for _, f := range w.findings(t) {
		t.Errorf("%s %s: %s: %s", f.Severity, f.Code, f.Subject, f.Detail)
	}
}

func (w *world) findings(t *testing.T) (all []doctor.Finding) {
	t.Helper()
	store, err := catalog.Open(t.Context(), catalog.Config{URL: w.catalogURL})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client, err := auth0.New(auth0.Config{
		BaseURL: w.auth0.URL(), ClientID: "homeroom-dev", ClientSecret: "homeroom-dev-secret",
		Organizations: slices.Contains(w.env, "AUTH0_ORGANIZATIONS=true"),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := app{catalog: store, cfg: config{}}
	d, err := doctor.New(doctor.Config{
		Catalog: store, Servers: tenant.Servers{"main": w.server}, Identity: client, Jobs: a.unfinishedJobs, Pause: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.Examine(t.Context(), doctor.Options{Open: doctor.All})
	if err != nil {
		t.Fatal(err)
	}
	catalogs, err := w.number(t.Context(), "select count(*) from pg_database where datname like 'catalog%'")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Skipped) > 0 {
		t.Errorf("the doctor has not looked at everything: %v", report.Skipped)
	}
	for _, f := range report.Findings {
		others := catalogs > 1 && (f.Code == doctor.DatabaseWithoutRow || f.Code == doctor.RoleWithoutDatabase)
		killed := f.Code == doctor.MailsUnsent // a process was killed while it sent a mail: its outcome is unknown
		if f.Severity != doctor.Info && f.Code != doctor.ServerWarning && !others && !killed {
			all = append(all, f)
		}
	}
	return all
}

// homeroom runs a command of the program in this world.
func (w *world) homeroom(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, program{environ: slices.Concat(w.environ(), w.env), stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// environ is the configuration of the commands.
func (w *world) environ() []string {
	return []string{
		"HOMEROOM_CATALOG_URL=" + w.catalogURL, "HOMEROOM_SERVER_MAIN_URL=" + w.serverURL, "HOMEROOM_ALLOW_SUPERUSER=true",
		"HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey), "AUTH0_BASE_URL=" + w.auth0.URL(),
		"AUTH0_CLIENT_ID=homeroom-dev", "AUTH0_CLIENT_SECRET=homeroom-dev-secret", "AUTH0_AUDIENCE=https://api.homeroom.test",
	}
}

// closed makes a world with a spare, and a school whose database accepts no connections.
func closed(t *testing.T) (w *world, database string) {
	t.Helper()
	postgres := pgtest.Private(t, nil)
	w = newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	p := w.start(t)
	w.waitIdle(t)
	newSchool(1).mustSucceed(t, p.url)
	w.waitIdle(t)
	p.kill()
	if code, out, errs := w.homeroom(t, "doctor"); code != exitOK ||
		!strings.Contains(out, "Examined 2 tenants, 1 server, 1 identity, 0 unfinished sign-ups in ") || !strings.HasSuffix(out, "Nothing is wrong.\n") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	database = w.databases(t, "state = 'ready'")[0]
	pgtest.Exec(t, w.serverURL, "alter database "+database+" allow_connections false")
	return w, database
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	w, database := closed(t)
	code, out, _ := w.homeroom(t, "doctor")
	for _, want := range []string{
		"error    database_closed\n", "lincoln-high (main): the database accepts no connections.\n", "--fix:  Run the tenant's provisioning steps again.",
		"Advice: Find out who set allow_connections to false.", "Next:   Repair it:\n           homeroom doctor --fix --yes --tenant t_", "Found 1 error. homeroom doctor --fix would repair 1 of them.\n",
	} {
		if code != exitFailures || !strings.Contains(out, want) {
			t.Errorf("exit code %d, and it does not say %q:\n%s", code, want, out)
		}
	}
	for line := range strings.Lines(out) {
		if len(line) > pageWidth+1 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	var report struct {
		Findings []struct{ Code, Severity, Subject, Server, TenantID, Fix string }
		LookedAt struct{ Tenants, DatabasesOpened int }
		Repairs  []struct{ Code, Problem string }
	}
	code, out, _ = w.homeroom(t, "doctor", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailures || len(report.Findings) != 1 ||
		report.Findings[0].Code != "database_closed" || report.Findings[0].Subject != "lincoln-high" || report.LookedAt.Tenants != 2 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	code, out, _ = w.homeroom(t, "doctor", "-o", "csv", "--shallow", "--tenant", "lincoln-high")
	if rows, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || code != exitFailures || len(rows) != 2 || rows[1][1] != "database_closed" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if code, _, errs := w.homeroom(t, "doctor", "--tenant", "nobody"); code != exitCannot || !strings.Contains(errs, "homeroom tenant list") {
		t.Errorf("a tenant that is not there: exit code %d: %s", code, errs)
	}

	// A test has no terminal.
	if code, out, _ := w.homeroom(t, "doctor", "--fix"); code != exitFailures || !strings.Contains(out, "lincoln-high (database_closed): run the tenant's provisioning steps again.") ||
		!strings.Contains(out, "Nothing was repaired.") {
		t.Errorf("without a yes: exit code %d: %s", code, out)
	}
	code, out, errs := w.homeroom(t, "doctor", "--fix", "--yes", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || len(report.Findings) != 0 || len(report.Repairs) != 1 ||
		report.Repairs[0].Problem != "" || !strings.Contains(errs, "repaired  lincoln-high (database_closed)") {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	w.audit(t)
	if n, err := w.number(t.Context(), "select count(*) from audit_events where action = 'doctor.fix' and actor <> 'homeroom'"); err != nil || n != 1 {
		t.Errorf("%d repairs are recorded, %v", n, err)
	}
	pgtest.Exec(t, w.serverURL, "alter database "+database+" allow_connections false")
	if code, out, _ := w.homeroom(t, "doctor", "--fix", "--yes"); code != exitOK || !strings.Contains(out, "repaired  lincoln-high") ||
		!strings.HasSuffix(out, "Nothing is wrong.\n") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestDoctorWithoutAProvider(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	makeCatalog(t, postgres.URL("catalog"))
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 0)
	var out bytes.Buffer
	code := run(t.Context(), []string{"doctor"}, program{environ: []string{
		"HOMEROOM_CATALOG_URL=" + w.catalogURL, "HOMEROOM_ALLOW_SUPERUSER=true",
		"HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey),
	}, stdout: &out, stderr: io.Discard})
	if code != exitOK || !strings.Contains(out.String(), "Identities were not checked: no identity provider is configured.\n") {
		t.Errorf("exit code %d: %s", code, &out)
	}
}

// TestTheServiceExamines: what the service finds is logged once, and is in the metrics.
func TestTheServiceExamines(t *testing.T) {
	t.Parallel()
	w, _ := closed(t)
	cfg, err := readConfig([]string{
		"HOMEROOM_CATALOG_URL=" + w.catalogURL, "HOMEROOM_SERVER_MAIN_URL=" + w.serverURL, "HOMEROOM_ALLOW_SUPERUSER=true",
		"HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey), "HOMEROOM_METRICS_ADDR=127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	a, err := openApp(t.Context(), cfg, slog.New(slog.NewTextHandler(&logs, nil)), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	watcher, metricsListener, err := a.newWatcher()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = serveUntil(t.Context(), metricsListener, watcher.metrics.Handler()) }()
	metrics := func() string {
		resp, err := http.Get("http://" + metricsListener.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", resp.StatusCode, err)
		}
		return string(body)
	}
	watcher.pass(t.Context())
	watcher.pass(t.Context())
	if n := strings.Count(logs.String(), "code=database_closed"); n != 1 {
		t.Errorf("it is logged %d times: %s", n, &logs)
	}
	scraped := metrics()
	for _, want := range []string{
		`homeroom_doctor_findings{code="database_closed",severity="error"} 1`, "homeroom_doctor_last_run_timestamp_seconds 1.", "homeroom_doctor_duration_seconds ",
		`homeroom_tenants{state="ready"} 1`, `homeroom_tenants{state="spare"} 1`, `homeroom_tenants{state="quarantined"} 0`, "go_goroutines ",
		"process_start_time_seconds ",
	} {
		if !strings.Contains(scraped, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if code, out, _ := w.homeroom(t, "doctor", "--fix", "--yes"); code != exitOK {
		t.Fatal(out)
	}
	watcher.pass(t.Context())
	if scraped := metrics(); strings.Contains(scraped, "homeroom_doctor_findings{") {
		t.Errorf("the metrics still have findings: %s", scraped)
	}
}

func TestEveryFindingIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs/recover.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range doctor.Codes() {
		if !strings.Contains(string(text), fmt.Sprintf("| `%s` | ", code)) {
			t.Errorf("recover.md has no line for %s", code)
		}
	}
}
