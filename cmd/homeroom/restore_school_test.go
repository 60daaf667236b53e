package main

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"homeroom/internal/pgtest"
)

// restoreCommands returns the commands of recover.md that save and restore one school.
func restoreCommands(t *testing.T) (save, restore string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/recover.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "* **One school**")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, 2)
	if len(blocks) != 2 || !strings.Contains(blocks[0][1], "pg_dump") || !strings.Contains(blocks[1][1], "pg_restore") {
		t.Fatalf("recover.md does not describe how to restore one school: %q", blocks)
	}
	return blocks[0][1], blocks[1][1]
}

// TestOneSchoolIsRestoredAsDocumented runs the commands of recover.md.
func TestOneSchoolIsRestoredAsDocumented(t *testing.T) {
	t.Parallel()
	save, restore := restoreCommands(t)
	if _, err := exec.LookPath("pg_dump"); err != nil {
		t.Fatal("this test needs pg_dump and pg_restore: apt-get install postgresql-client, or brew install libpq")
	}
	postgres := pgtest.Private(t, nil)
	w := newWorld(t, postgres.URL("catalog"), postgres.URL("postgres"), 1)
	p := w.start(t)
	w.waitIdle(t)
	newSchool(1).mustSucceed(t, p.url)
	w.waitIdle(t)
	p.kill()
	database := w.databases(t, "state = 'ready'")[0]
	inside := pgtest.Connect(t, postgres.URL(database))
	for _, statement := range []string{
		"insert into lunch_weeks (starts_on) values ('2026-11-30')",
		"insert into lunch_days (day, week, orders_close_at) values ('2026-12-01', '2026-11-30', '2026-11-30 12:00Z')",
	} {
		if _, err := inside.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_ = inside.Close(context.Background())
	dir := stateFolder(t)
	shell := func(commands string) {
		t.Helper()
		sh := exec.CommandContext(t.Context(), "sh", "-e")
		sh.Dir, sh.Stdin = dir, strings.NewReader(commands)
		sh.Env = append(w.environ(), "DATABASE_URL="+postgres.URL(database), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%v of\n%s\n%s", err, commands, out)
		}
	}
	slug := slugByDatabase(t, w, database)
	shell(strings.ReplaceAll(save, "lincoln-high", slug))
	shell(strings.ReplaceAll(restore, "lincoln-high", slug))
	var days, versions int
	again := pgtest.Connect(t, postgres.URL(database))
	if err := again.QueryRow(t.Context(), "select (select count(*) from lunch_days), (select count(*) from schema_migrations)").Scan(&days, &versions); err != nil {
		t.Fatal(err)
	}
	if days != 1 || versions != 1 {
		t.Errorf("%d days and %d versions were restored, want 1 and 1", days, versions)
	}
	if code, out, errs := w.homeroom(t, "doctor", "-o", "csv"); code != exitOK && strings.Contains(out, "error") {
		t.Errorf("the doctor ends with %d: %s%s", code, out, errs)
	}
}

func slugByDatabase(t *testing.T, w *world, database string) (slug string) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), "select slug from tenants where database = $1", database).Scan(&slug); err != nil {
		t.Fatal(err)
	}
	return url.PathEscape(slug)
}
