package migrations_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"homeroom/migrations"
)

var update = flag.Bool("update", false, "append the new migrations to sums.txt")

const manifest = "sums.txt"

// Up files that have run in databases must not change: an edit would make old databases differ from new ones.
func TestManifest(t *testing.T) {
	content, err := os.ReadFile(manifest)
	must(t, err)
	added, faults := compare(string(content), os.DirFS("."), "catalog", "tenant")
	for _, fault := range faults {
		t.Error(fault)
	}
	switch {
	case t.Failed() || len(added) == 0:
	case *update:
		must(t, os.WriteFile(manifest, []byte(string(content)+strings.Join(added, "\n")+"\n"), 0o644))
	default:
		t.Errorf("%s lacks the lines below. When these files are final, run: go test ./migrations -run Manifest -update\n%s",
			manifest, strings.Join(added, "\n"))
	}
}

func TestManifestSeesEditsAndLateFiles(t *testing.T) {
	t.Parallel()
	files := func(names ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for _, name := range names {
			m[name] = &fstest.MapFile{Data: []byte("select 1")}
		}
		return m
	}
	both := files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql", "tenant/000002_b.up.sql", "tenant/000002_b.down.sql")
	lines, faults := compare("", both, "tenant")
	if len(lines) != 2 || len(faults) != 0 {
		t.Fatalf("new files: %q, %q", lines, faults)
	}
	sums := strings.Join(lines, "\n") + "\n"
	if added, faults := compare(sums, both, "tenant"); len(added)+len(faults) != 0 {
		t.Errorf("the same files: %q, %q", added, faults)
	}

	edited := files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql", "tenant/000002_b.up.sql", "tenant/000002_b.down.sql")
	edited["tenant/000001_a.up.sql"].Data = []byte("select 2")
	late := files("tenant/000001_c.up.sql", "tenant/000001_c.down.sql", "tenant/000002_b.up.sql", "tenant/000002_b.down.sql")
	gap := files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql", "tenant/000002_b.up.sql", "tenant/000002_b.down.sql",
		"tenant/000004_d.up.sql", "tenant/000004_d.down.sql")
	for want, fsys := range map[string]fstest.MapFS{
		"tenant/000001_a.up.sql was edited":                       edited,
		"tenant/000001_c.up.sql is numbered below":                late,
		"tenant/000002_b.up.sql is gone":                          files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql"),
		"tenant/000004_d.up.sql must have the number 000003":      gap,
		"tenant/000002_b.up.sql has no down file":                 files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql", "tenant/000002_b.up.sql"),
		"tenant/2_b.up.sql must have the number 000002, six digi": files("tenant/000001_a.up.sql", "tenant/000001_a.down.sql", "tenant/2_b.up.sql", "tenant/2_b.down.sql"),
	} {
		if _, faults := compare(sums, fsys, "tenant"); !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("faults %q do not say %q", faults, want)
		}
	}
}

// compare compares folders of migrations with the manifest. It returns the lines for new files, and what is wrong.
func compare(sums string, fsys fs.FS, folders ...string) (added, faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	known := map[string]string{}
	newest := map[string]string{}
	for line := range strings.Lines(sums) {
		name, sum, _ := strings.Cut(strings.TrimSpace(line), " ")
		known[name] = sum
		newest[path.Dir(name)] = max(newest[path.Dir(name)], name)
		if _, err := fs.Stat(fsys, name); err != nil {
			fault("%s is gone, but databases have it: bring it back", name)
		}
	}
	for _, folder := range folders {
		ups, _ := fs.Glob(fsys, folder+"/*.up.sql")
		for i, name := range ups {
			content, err := fs.ReadFile(fsys, name)
			if err != nil {
				fault("%v", err)
			}
			sum := fmt.Sprintf("%x", sha256.Sum256(content))
			if number := fmt.Sprintf("%06d", i+1); !strings.HasPrefix(path.Base(name), number+"_") {
				fault("%s must have the number %s, six digits: the embedded files have no gaps", name, number)
			}
			if _, err := fs.Stat(fsys, strings.TrimSuffix(name, ".up.sql")+".down.sql"); err != nil {
				fault("%s has no down file", name)
			}
			switch was, listed := known[name]; {
			case !listed && name < newest[folder]:
				fault("%s is numbered below %s, which databases have: they would never run it", name, newest[folder])
			case !listed:
				added = append(added, name+" "+sum)
			case was != sum:
				fault("%s was edited, but databases have it as it was: undo that, and put the change into a new file", name)
			}
		}
	}
	return added, faults
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]*migrations.Set{"catalog": migrations.Catalog(), "tenant": migrations.Tenant()} {
		onDisk, err := migrations.Load(os.DirFS(name))
		must(t, err)
		if set.Hash() != onDisk.Hash() || !regexp.MustCompile("^[0-9a-f]{12}$").MatchString(set.Hash()) {
			t.Errorf("%s: hash %s embedded, %s on disk", name, set.Hash(), onDisk.Hash())
		}
	}
}
