package devpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvBin names the environment variable that holds the folder of Postgres binaries to use, instead of any search.
const EnvBin = "HOMEROOM_PG_BIN"

// oldest is the first supported major version.
const oldest = 15

// installHint ends every error about missing binaries.
const installHint = "install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@18), " +
	"or name the folder of its binaries in " + EnvBin

// Binaries are the programs of one Postgres installation.
type Binaries struct {
	Dir     string // the folder of postgres and initdb
	Version string // such as "15.18"
	Major   int
}

// path is the path of one program.
func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// binariesFor finds or downloads binaries for data of the given major version (0 = no data yet).
func (cfg Config) binariesFor(ctx context.Context, user account, major int) (Binaries, error) {
	found, err := cfg.find(user, major)
	if !errors.Is(err, ErrNoBinaries) || os.Getenv(EnvBin) != "" {
		return found, err
	}
	fetched, fetchErr := cfg.download(ctx, user)
	if fetchErr != nil {
		return found, fmt.Errorf("%w\nand fetching it failed: %w", err, fetchErr)
	}
	return fetched, nil
}

// find returns the first usable installation, with data of a known version the first of that version. If only others are
// there, it returns one of them, for the caller's error to name.
func (cfg Config) find(user account, major int) (Binaries, error) {
	if dir := os.Getenv(EnvBin); dir != "" {
		found, err := inspect(dir, user)
		if err != nil {
			return found, fmt.Errorf("%w in %s=%s: %w", ErrNoBinaries, EnvBin, dir, err)
		}
		return found, nil
	}
	var other Binaries
	var reasons []string
	for _, dir := range cfg.candidates() {
		found, err := inspect(dir, user)
		switch {
		case err != nil:
			reasons = append(reasons, fmt.Sprintf("\n  %s: %v", dir, err))
		case major == 0 || major == found.Major:
			return found, nil
		case other.Dir == "":
			other = found
		}
	}
	if other.Dir != "" {
		return other, nil
	}
	return Binaries{}, fmt.Errorf("%w: %s%s", ErrNoBinaries, installHint, strings.Join(reasons, ""))
}

// candidates lists existing folders of binaries, best first.
func (cfg Config) candidates() []string {
	var list []string
	if file, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(file); err == nil {
			file = target // initdb is beside the link's target, not beside the link
		}
		list = append(list, filepath.Dir(file))
	}
	var installed []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Postgres' own packages for Red Hat
		"/usr/libexec/postgresql*",                           // Alpine
		"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew on Apple silicon
		"/usr/local/opt/postgresql*/bin",                     // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	} {
		dirs, _ := filepath.Glob(pattern)
		installed = append(installed, dirs...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
	list = append(list, installed...)
	if dir := cfg.downloaded(); isDir(dir) {
		list = append(list, dir)
	}
	return list
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect reads the version of the binaries in dir, and checks that the server's user can run them.
func inspect(dir string, user account) (Binaries, error) {
	b := Binaries{Dir: dir}
	for _, program := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(b.path(program)); err != nil {
			return b, fmt.Errorf("look for %s: %w", program, err)
		}
	}
	if at := user.blockedAt(b.path("postgres")); at != "" {
		return b, fmt.Errorf("Postgres must run as user %s, who may not enter %s", user.name, at) //nolint:staticcheck // a name
	}
	cmd := exec.Command(b.path("postgres"), "--version") //nolint:gosec,noctx // returns at once
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return b, fmt.Errorf("ask postgres for its version: %w\n%s", err, lastLines(string(out)))
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return b, fmt.Errorf("ask postgres for its version: it said %q", out)
	}
	b.Version = string(match[1])
	b.Major, _ = strconv.Atoi(string(match[2]))
	if b.Major < oldest {
		return b, fmt.Errorf("version %s is too old: %d or newer is needed", b.Version, oldest)
	}
	return b, nil
}

// numberIn is the version in a path such as /usr/lib/postgresql/15/bin; 0 when there is none.
func numberIn(path string) float64 {
	number, _ := strconv.ParseFloat(regexp.MustCompile(`\d+(\.\d+)?`).FindString(path), 64)
	return number
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
