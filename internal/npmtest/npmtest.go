// Package npmtest installs packages from npm, runs scripts and creates certificates, for tests with independent programs.
package npmtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installing bounds an installation.
const installing = 3 * time.Minute

// Install returns the folder in which packages such as "scimmy@1.3.5" are installed, once for all tests of this user. Concurrent
// installations use separate folders, and the first to finish renames its folder to the final name, which is
// that of the first package.
func Install(t testing.TB, packages ...string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is needed for this test: apt-get install nodejs npm, or brew install node", program)
		}
	}
	folder := filepath.Join(cache(), "homeroom-test", strings.Trim(strings.NewReplacer("/", "-", "@", "-").Replace(packages[0]), "-"))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o750); err != nil {
		t.Fatal(err)
	}
	mine, err := os.MkdirTemp(filepath.Dir(folder), "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(mine) }() // already renamed, unless another process was faster
	ctx, cancel := context.WithTimeout(t.Context(), installing)
	defer cancel()
	args := append([]string{"install", "--no-save", "--no-audit", "--no-fund", "--prefix", mine}, packages...)
	//nolint:gosec // the packages are named in the tests
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		t.Fatalf("npm cannot install %s, which this test needs; is its registry reachable? %v\n%s", strings.Join(packages, " "), err, out)
	}
	if err := os.Rename(mine, folder); err != nil {
		if _, there := os.Stat(folder); there != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// cache is the user's cache folder; the temporary folder for a user without a home.
func cache() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return dir
	}
	return os.TempDir()
}
