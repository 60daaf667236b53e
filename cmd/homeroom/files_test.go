package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

// Every command refuses to run when files that have already run were changed, and names the file.
func TestMigrationFilesThatHaveRunMustStay(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	const pupils, grades = "create table pupils (\nid int);", "create table grades (id int);"
	folder := func(files map[string]string) string {
		dir := t.TempDir()
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	base := map[string]string{"000001_pupils.up.sql": pupils, "000003_grades.up.sql": grades}
	with := func(name, content string) string {
		files := map[string]string{name: content}
		for other, content := range base {
			if other != name {
				files[other] = content
			}
		}
		return folder(files)
	}
	homeroom := func(dir string, args ...string) (int, string) {
		code, out, errs := command(t, []string{
			"HOMEROOM_CATALOG_URL=" + postgres.URL("catalog"), "HOMEROOM_TENANT_KEY=" + base64.StdEncoding.EncodeToString(testKey),
			"HOMEROOM_SERVER_MAIN_URL=" + postgres.URL("postgres"), "HOMEROOM_TENANT_MIGRATIONS=" + dir,
		}, args...)
		return code, out + errs
	}
	id := makeTenants(t, postgres.URL("catalog"), postgres.URL("postgres"), folder(base), 1)[0]
	if code, out := homeroom(folder(base), "migrate", "--no-progress"); code != exitOK {
		t.Fatalf("as they were: %d %s", code, out)
	}
	for name, c := range map[string]struct{ dir, file string }{
		"a lower number":    {with("000002_rooms.up.sql", "create table rooms (id int);"), "000002_rooms.up.sql: has a lower number than 000003_grades.up.sql"},
		"an edited file":    {with("000003_grades.up.sql", "create table grades (id bigint);"), "000003_grades.up.sql: was changed after it had run"},
		"a file that went":  {folder(map[string]string{"000001_pupils.up.sql": pupils, "000004_x.up.sql": ""}), "000003_grades.up.sql: has run"},
		"an edit and a new": {folder(map[string]string{"000001_pupils.up.sql": pupils, "000003_grades.up.sql": "", "000004_x.up.sql": ""}), "000003_grades.up.sql: was changed"},
	} {
		for _, args := range [][]string{{"migrate", "--no-progress"}, {"migrate", "--plan"}, {"tenant", "reprovision", id.Database()}, {"tenant", "drift"}} {
			if code, out := homeroom(c.dir, args...); code != exitCannot || !strings.Contains(out, c.file) {
				t.Errorf("%s, %s: %d %s", name, strings.Join(args, " "), code, out)
			}
		}
		if _, out := homeroom(c.dir, "doctor", "-o", "json"); !strings.Contains(out, `"migrations_changed"`) {
			t.Errorf("%s: the doctor says %s", name, out)
		}
	}
	if code, out := homeroom(with("000004_crlf.up.sql", "select 1;\r\n"), "migrate", "--no-progress"); code != exitOK || !strings.Contains(out, "1 tenant migrated to version 4") {
		t.Errorf("another file: %d %s", code, out)
	}
	windows := folder(map[string]string{
		"000001_pupils.up.sql": strings.ReplaceAll(pupils, "\n", "\r\n"), "000003_grades.up.sql": "\ufeff" + grades, "000004_crlf.up.sql": "select 1;\n",
	})
	if code, out := homeroom(windows, "migrate", "--no-progress"); code != exitOK || !strings.Contains(out, "version 4") {
		t.Errorf("with other line ends: %d %s", code, out)
	}
	databases := "select string_agg(datname, ' ' order by datname) from pg_database where datname like 'homeroom_template_%'"
	var templates string
	if err := pgtest.Connect(t, postgres.URL("postgres")).QueryRow(t.Context(), databases).Scan(&templates); err != nil || len(strings.Fields(templates)) != 2 {
		t.Errorf("templates were made with files that were refused: %s, %v", templates, err)
	}
}

// A service whose files differ from those that have run keeps serving, logs that, and is not ready: a deployment with
// such files stops.
func TestAServiceWithChangedFilesServesAndIsNotReady(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	first := w.start(t)
	w.waitIdle(t)
	ready := func(url string) int {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if status := ready(first.url); status != http.StatusOK {
		t.Fatalf("at first: %d", status)
	}
	catalog := pgtest.Connect(t, postgres.URL("catalog"))
	if _, err := catalog.Exec(t.Context(), "update schema_files set hash = 'another' where version = 2"); err != nil {
		t.Fatal(err)
	}
	second := w.start(t)
	for name, p := range map[string]*process{"running": first, "started": second} {
		if status := ready(p.url); status != http.StatusServiceUnavailable {
			t.Errorf("%s: readyz answers %d", name, status)
		}
	}
	if !strings.Contains(second.logs.String(), "000002_menu.up.sql: was changed after it had run") {
		t.Errorf("it does not say so: %s", second.logs)
	}
	newSchool(1).mustSucceed(t, second.url) // with the spare
	eventually(t, "the refusal to build another spare", func() (bool, error) {
		return strings.Contains(second.logs.String()+first.logs.String(), "fill the stock of spares"), errors.New(second.logs.String())
	})
	var templates, databases int
	err := pgtest.Connect(t, postgres.URL("postgres")).QueryRow(t.Context(), `
		select count(*) filter (where datname like 'homeroom_template%'), count(*) filter (where datname like 't\_%') from pg_database`).Scan(&templates, &databases)
	if err != nil || templates != 1 || databases != 1 {
		t.Error(fmt.Errorf("%d templates and %d databases of tenants: %w", templates, databases, err))
	}
}
